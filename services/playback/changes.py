"""Changes of progress that no running session makes: watched offline, marked, dismissed, adopted.

What they are, and how they travel to lua/change_progress.lua and back. An offline event moves the
position only if it is later than what is stored; that it reached further or the end counts anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import astuple

from services.playback.state import (
    Base,
    Buffered,
    DeviceTag,
    Outcome,
    ProgressState,
    decode,
    device_json,
    refuse_impossible,
)

MOST_CHANGES = 500  # in one call: a few ms of Redis's time
_OUTCOMES = (Outcome.REPEATED, Outcome.APPLIED, Outcome.KEPT)
Packed = tuple[Any, ...]


class OfflineEvent(NamedTuple):
    """A position somebody reached at `at_ms` (of our clock), told later; counts once by its id."""

    event_id: str
    playable_id: str
    device: DeviceTag | None
    position_seconds: float
    duration_seconds: float | None
    at_ms: int


class Mark(NamedTuple):
    """The viewer's word that a title is watched, or is not; `at_ms` is when it was watched."""

    playable_id: str
    at_ms: int
    duration_seconds: float | None = None


class Changed(NamedTuple):
    """Outcomes in the order given, and all touched titles' progress (None: still nothing).

    `needed`: Redis does not hold these titles; nothing was changed, call again with their bases.
    """

    needed: list[str]
    outcomes: list[Outcome]
    progress: dict[str, Buffered | None]


class Change(NamedTuple):
    """One change as the script takes it, without its title's place among the titles."""

    kind: str
    playable_id: str
    rest: Packed = ()


def offline(event: OfflineEvent) -> Change:
    """
    Raises:
        ValidationFailed: the position or the duration cannot be.
    """
    event_id, playable_id, device, position, duration, at_ms = event
    refuse_impossible(position, duration)
    rest = (event_id, position, duration or 0, at_ms, device_json(device))
    return Change("event", playable_id, rest)


def marked(mark: Mark, *, watched: bool) -> Change:
    """
    Raises:
        ValidationFailed: the duration cannot be.
    """
    refuse_impossible(mark.duration_seconds)
    if not watched:
        return Change("unwatched", mark.playable_id)
    return Change("watched", mark.playable_id, (mark.at_ms, mark.duration_seconds or 0))


def dismissed(playable_id: str, at_ms: int) -> Change:
    return Change("dismissed", playable_id, (at_ms,))


def adopted(playable_id: str, version: int, state: ProgressState) -> Change:
    return Change("adopted", playable_id, (version, astuple(state)))


def titles_of(changes: Sequence[Change]) -> list[str]:
    return list(dict.fromkeys(change.playable_id for change in changes))


def packed_titles(titles: Sequence[str], bases: Mapping[str, Base]) -> list[Packed]:
    return [
        (title, base.version, astuple(base.state)) if base is not None else (title, -1)
        for title, base in ((title, bases.get(title)) for title in titles)
    ]


def packed_changes(titles: Sequence[str], changes: Sequence[Change]) -> list[Packed]:
    places = {title: place for place, title in enumerate(titles, 1)}
    return [(kind, places[title], *rest) for kind, title, rest in changes]


def changed(user_id: str, titles: Sequence[str], answer: list[Any]) -> Changed:
    """What the script answered, unless the shard was full."""
    if answer[0] == 1:
        return Changed([title.decode() for title in answer[1]], [], {})
    outcomes = [_OUTCOMES[number] for number in answer[1]]
    progress = {
        title: decode(user_id, title, *row) for title, row in zip(titles, answer[2], strict=True)
    }
    return Changed([], outcomes, progress)
