"""Viewings of what was watched without a connection: events of one device on one title, in turns.

A device reports places and times, no sessions: where each viewing began and how much was watched is
inferred from them, as bounded by the clock as for sessions.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import astuple

from services.playback.changes import OfflineEvent, PackedValues
from services.playback.conflict_rule import count_possible_seconds, is_completed
from services.playback.state import ProgressState, Rules, device_json
from services.playback.viewings import OFFLINE, ViewingEntry

_PAUSE_MS = 3_600_000  # a session that is silent for so long has ended, too
_NOTHING = ProgressState()


class OfflineViewing(NamedTuple):
    """Viewing of a title, and the places of its events in the batch."""

    playable_id: str
    places: list[int]
    entry: ViewingEntry


def infer_viewings(
    user_id: str, events: Sequence[OfflineEvent], stored: Mapping[str, ProgressState], rules: Rules
) -> list[OfflineViewing]:
    """Infer the viewings of a batch; every event is in one.

    Args:
        stored: progress by title before the batch, as far as it is known.
    """
    by_device: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place in sorted(range(len(events)), key=lambda place: events[place].at_ms):
        event = events[place]
        by_device[event.playable_id, device_json(event.device)].append(place)
    return [
        _infer(user_id, events, places, stored.get(events[places[0]].playable_id, _NOTHING), rules)
        for group in by_device.values()
        for places in _split_at_pauses(events, group)
    ]


def pack_viewings(viewings: Sequence[OfflineViewing], order: Sequence[int]) -> list[PackedValues]:
    """Pack viewings for the script, with the indexes of their events among the changes, from 1.

    Args:
        order: places of the events in the order in which the script gets them.
    """
    index_by_place = {place: index for index, place in enumerate(order, 1)}
    return [
        (astuple(viewing.entry), [index_by_place[place] for place in viewing.places])
        for viewing in viewings
    ]


def _split_at_pauses(events: Sequence[OfflineEvent], places: Sequence[int]) -> Iterator[list[int]]:
    run = [places[0]]
    for place in places[1:]:
        before, event = events[run[-1]], events[place]
        watched_ms = max(0.0, event.position_seconds - before.position_seconds) * 1000
        if event.at_ms - before.at_ms - watched_ms > _PAUSE_MS:
            yield run
            run = []
        run.append(place)
    yield run


def _infer(
    user_id: str,
    events: Sequence[OfflineEvent],
    places: list[int],
    stored: ProgressState,
    rules: Rules,
) -> OfflineViewing:
    own = [events[place] for place in places]
    first, last = own[0], own[-1]
    began_at_ms, began_position = _infer_start(first, stored)
    position, at_ms, watched = began_position, began_at_ms, 0.0
    for event in own:
        possible = count_possible_seconds(event.at_ms - at_ms)
        watched += max(0.0, min(event.position_seconds - position, possible))
        position, at_ms = event.position_seconds, event.at_ms
    known_seconds = stored.known_duration_seconds
    completed = any(
        is_completed(event.position_seconds, event.duration_seconds or known_seconds, rules)
        for event in own
    )
    entry = ViewingEntry(
        session_id=_session_id(user_id, first),
        started_at_ms=began_at_ms,
        watched_seconds=watched,
        ended_at_ms=last.at_ms,
        completed=int(completed),
        device_json=device_json(last.device),
        seen_ms=last.at_ms,
    )
    return OfflineViewing(first.playable_id, places, entry)


def _session_id(user_id: str, first: OfflineEvent) -> str:
    """The same text for the same first event, however often it is sent."""
    parts = (user_id, first.playable_id, device_json(first.device), first.event_id)
    return OFFLINE + hashlib.blake2b("\x1f".join(parts).encode(), digest_size=10).hexdigest()


def _infer_start(first: OfflineEvent, stored: ProgressState) -> tuple[int, float]:
    """Where it was left, or at the beginning, as long ago as the way to the first event takes."""
    is_resumed = 0 < stored.at_ms < first.at_ms and not stored.completed
    position = stored.position_seconds if is_resumed else 0.0
    if position > first.position_seconds:
        position = first.position_seconds
    began_at_ms = first.at_ms - round((first.position_seconds - position) * 1000)
    return max(began_at_ms, stored.at_ms if is_resumed else 0), position
