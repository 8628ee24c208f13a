"""Changes of progress without a running session.

Builds offline events, marks, dismissals and reconciliations for lua/change_progress.lua and decodes
its answer. An offline event moves the position only if it is later than the stored state; reaching
further, or the end, counts anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import astuple

from services.playback.state import (
    Base,
    BufferedProgress,
    DeviceTag,
    ProgressState,
    ReportOutcome,
    decode_progress,
    device_json,
    validate_seconds,
)

MOST_CHANGES = 500  # in one call: a few ms of Redis's time
_OUTCOMES = (ReportOutcome.REPEATED, ReportOutcome.APPLIED, ReportOutcome.UNCHANGED)
PackedValues = tuple[Any, ...]


class OfflineEvent(NamedTuple):
    """Position reached at `at_ms` (of our clock), reported later; counts once by its id."""

    event_id: str
    playable_id: str
    device: DeviceTag | None
    position_seconds: float
    duration_seconds: float | None
    at_ms: int


class Mark(NamedTuple):
    """Viewer's mark on a title; `at_ms` is when it was watched."""

    playable_id: str
    at_ms: int
    duration_seconds: float | None = None


class ChangeResult(NamedTuple):
    """Outcomes in the order of the changes, and all titles' progress (None: still nothing).

    `needed`: Redis does not hold these titles; nothing was changed, call again with their bases.
    """

    needed: list[str]
    outcomes: list[ReportOutcome]
    progress: dict[str, BufferedProgress | None]


class ScriptChange(NamedTuple):
    """Change as the script reads it, without its title's index."""

    kind: str
    playable_id: str
    arguments: PackedValues = ()


def offline_change(event: OfflineEvent) -> ScriptChange:
    """Build the change of one offline event.

    Raises:
        ValidationFailed: the position or the duration cannot be.
    """
    event_id, playable_id, device, position, duration, at_ms = event
    validate_seconds(position, duration)
    arguments = (event_id, position, duration or 0, at_ms, device_json(device))
    return ScriptChange("event", playable_id, arguments)


def mark_change(mark: Mark, *, watched: bool) -> ScriptChange:
    """Build the change that marks a title as watched or unwatched.

    Raises:
        ValidationFailed: the duration cannot be.
    """
    validate_seconds(mark.duration_seconds)
    if not watched:
        return ScriptChange("unwatched", mark.playable_id)
    return ScriptChange("watched", mark.playable_id, (mark.at_ms, mark.duration_seconds or 0))


def dismissal_change(playable_id: str, at_ms: int) -> ScriptChange:
    """Build the change that dismisses a title from continue-watching."""
    return ScriptChange("dismissed", playable_id, (at_ms,))


def reconcile_change(playable_id: str, version: int, state: ProgressState) -> ScriptChange:
    """Build the change that merges MongoDB's state into Redis."""
    return ScriptChange("adopted", playable_id, (version, astuple(state)))


def list_titles(changes: Sequence[ScriptChange]) -> list[str]:
    """List the titles of the changes, each once, in order."""
    return list(dict.fromkeys(change.playable_id for change in changes))


def pack_titles(titles: Sequence[str], bases: Mapping[str, Base]) -> list[PackedValues]:
    """Pack titles with their bases for the script; version -1: no base."""
    return [
        (title, base.version, astuple(base.state)) if base is not None else (title, -1)
        for title, base in ((title, bases.get(title)) for title in titles)
    ]


def pack_changes(titles: Sequence[str], changes: Sequence[ScriptChange]) -> list[PackedValues]:
    """Pack changes for the script; titles by their index from 1."""
    places = {title: index for index, title in enumerate(titles, 1)}
    return [(kind, places[title], *arguments) for kind, title, arguments in changes]


def decode_changes(user_id: str, titles: Sequence[str], answer: list[Any]) -> ChangeResult:
    """Decode the script's answer, unless the shard was full."""
    if answer[0] == 1:
        return ChangeResult([title.decode() for title in answer[1]], [], {})
    outcomes = [_OUTCOMES[number] for number in answer[1]]
    progress = {
        title: decode_progress(user_id, title, *row)
        for title, row in zip(titles, answer[2], strict=True)
    }
    return ChangeResult([], outcomes, progress)
