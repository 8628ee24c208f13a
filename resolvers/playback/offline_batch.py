"""Progress made offline, reported later: up to 500 events, each applied once.

A device's clock may be wrong: its offset is the difference between `sent_at` and now, and every
event is moved by that. An impossible batch is refused whole; the error names the first bad event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import loaders
import models
from resolvers.context import Context
from resolvers.paging import require_kind
from resolvers.playback.durations import find_durations
from resolvers.playback.reports import PAST_THE_END_SECONDS, check_seconds
from services.errors import NotFound, ValidationFailed
from services.playback import conflict_rule
from services.playback.changes import OfflineEvent
from services.playback.state import DeviceTag, ReportOutcome

MAX_EVENTS = 500
_MAX_KEY_CHARACTERS = 128
_AFTER_SENDING = timedelta(minutes=5)  # more, and the clock was changed in between


@dataclass(frozen=True, slots=True)
class OfflineReport:
    """An event as a device recorded it; times by its own clock."""

    playable_id: str
    device_key: str
    event_id: str
    position_seconds: float
    duration_seconds: float | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class BatchResult:
    """`progress` of all titles named, in that order; those without any are left out.

    `ignored` counts events that were repeats, or older than the stored state and no further.
    """

    progress: list[models.LiveProgress]
    applied: int
    ignored: int


async def report_progress_batch(
    context: Context, events: Sequence[OfflineReport], sent_at: datetime
) -> BatchResult:
    """Apply all events with one find and one call to Redis.

    Raises:
        ValidationFailed: too many events, or an impossible one; nothing was applied.
        NotFound: one names no film or episode; nothing was applied.
        UpstreamUnavailable: not stored for certain; send the same batch again.
        Unauthenticated.
    """
    viewer = context.require(models.Role.USER)
    if len(events) > MAX_EVENTS:
        raise ValidationFailed(f"At most {MAX_EVENTS} events at once.", path=["events"])
    now_ms = int(context.runtime.clock() * 1000)
    drift_ms = now_ms - models.milliseconds(sent_at)
    for index, event in enumerate(events):
        _check(index, event, sent_at, drift_ms)
    titles = await _titles(context, events)
    stored = await models.progress_by_playable(viewer.user_id, titles)
    durations = await find_durations(context, titles.values())
    _refuse_beyond(events, durations, stored)
    changed = await context.progress_buffer.apply_offline(
        viewer.user_id,
        [_event(event, durations[event.playable_id], drift_ms, now_ms) for event in events],
        now_ms,
        {id_: models.progress_base(stored.get(id_)) for id_ in titles},
    )
    progress = [models.live_progress(one) for one in changed.progress.values() if one is not None]
    for one in progress:
        context.loader(loaders.ProgressByPlayableId).renew(one)
    applied = changed.outcomes.count(ReportOutcome.APPLIED)
    return BatchResult(progress, applied, len(events) - applied)


async def _titles(context: Context, events: Sequence[OfflineReport]) -> dict[str, Any]:
    """The titles by id, in the order they are first named."""
    titles = await context.load_many(
        loaders.PlayableById, dict.fromkeys(event.playable_id for event in events)
    )
    for index, event in enumerate(events):
        if titles[event.playable_id] is None:
            raise NotFound(
                "There is no such film or episode.", path=["events", str(index), "playableId"]
            )
    return titles


def _refuse_beyond(
    events: Sequence[OfflineReport],
    durations: Mapping[str, float | None],
    stored: Mapping[str, models.ProgressRecord],
) -> None:
    """Refuse an event beyond the end; without a duration of its own, by the longest known."""
    for index, event in enumerate(events):
        if event.duration_seconds is not None:
            continue
        progress = stored.get(event.playable_id)
        stored_seconds = (progress and progress.duration_seconds) or 0.0
        known_seconds = durations[event.playable_id] or 0.0
        if conflict_rule.is_beyond(event.position_seconds, max(stored_seconds, known_seconds)):
            raise conflict_rule.beyond_end_error(["events", str(index), "positionSeconds"])


def _event(
    event: OfflineReport, known_seconds: float | None, drift_ms: int, now_ms: int
) -> OfflineEvent:
    at_ms = models.milliseconds(event.occurred_at) + drift_ms
    return OfflineEvent(
        event.event_id,
        event.playable_id,
        DeviceTag(event.device_key, None, models.DeviceKind.OTHER.value),
        event.position_seconds,
        event.duration_seconds or known_seconds,
        min(at_ms, now_ms),
    )


def _check(index: int, event: OfflineReport, sent_at: datetime, drift_ms: int) -> None:
    try:
        _check_one(event, sent_at)
        if models.milliseconds(event.occurred_at) + drift_ms < 0:
            raise ValidationFailed("By our clock it happened before 1970.", path=["occurredAt"])
    except ValidationFailed as error:
        path = ["events", str(index), *(error.path or ())]
        raise ValidationFailed(error.message, path=path) from None


def _check_one(event: OfflineReport, sent_at: datetime) -> None:
    require_kind(event.playable_id, path=["playableId"])
    _check_key(event.event_id, "eventId")
    _check_key(event.device_key, "deviceKey")
    check_seconds(event.position_seconds, "positionSeconds")
    if event.occurred_at - sent_at > _AFTER_SENDING:  # a sum may lie beyond the year 9999
        raise ValidationFailed("It happened after it was sent.", path=["occurredAt"])
    if event.duration_seconds is None:
        return
    check_seconds(event.duration_seconds, "durationSeconds")
    if event.duration_seconds == 0:
        raise ValidationFailed("`durationSeconds` must be above 0.", path=["durationSeconds"])
    if event.position_seconds > event.duration_seconds + PAST_THE_END_SECONDS:
        raise ValidationFailed("The position is beyond the end.", path=["positionSeconds"])


def _check_key(value: str, name: str) -> None:
    if not value.strip() or len(value) > _MAX_KEY_CHARACTERS:
        message = f"`{name}` must be 1 to {_MAX_KEY_CHARACTERS} characters."
        raise ValidationFailed(message, path=[name])
