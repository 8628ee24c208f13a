"""Players' reports of their position: applied once per sequence, acknowledged when stored.

A report goes to Redis in one call and reaches MongoDB later (workers/flush_progress.py). While
Redis is down or full it is written to MongoDB at once; with that down as well, it is refused.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import loaders
import models
from resolvers.context import Context
from resolvers.paging import require_kind
from resolvers.playback import session_starts, write_through
from services.errors import SessionNotFound, UpstreamUnavailable, ValidationFailed
from services.playback.state import BufferReply, Report, ReportOutcome
from services.quality import Quality

MAX_SEQUENCE = 2**31 - 1  # GraphQL's largest Int
_MAX_SECONDS = 48 * 3600.0
PAST_THE_END_SECONDS = 5  # players overshoot their own duration by a segment's rounding


class ReportResult(NamedTuple):
    """`applied` is False for a repeated or late report; `progress` is what is stored now."""

    progress: models.LiveProgress | None
    applied: bool


async def report_progress(
    context: Context,
    session_id: str,
    sequence: int,
    position_seconds: float,
    *,
    duration_seconds: float | None = None,
    state: models.PlaybackState = models.PlaybackState.PLAYING,
    quality: Quality | None = None,
    seeked: bool = False,
) -> ReportResult:
    """Move the viewer's progress, once per sequence; one call to Redis.

    Args:
        sequence: counts up from 0 within the session.

    Raises:
        SessionNotFound: unknown, expired or another viewer's.
        UpstreamUnavailable: not stored for certain; send the same sequence again.
        ValidationFailed, Unauthenticated.
    """
    _check_report(sequence, position_seconds, duration_seconds, state)
    report = Report(
        session_id,
        sequence,
        position_seconds,
        duration_seconds,
        state.text,
        quality.value if quality is not None else None,
        seeked,
    )
    return await apply_report(context, report)


async def apply_report(context: Context, report: Report) -> ReportResult:
    """Apply a validated report.

    Raises: as report_progress.
    """
    viewer = context.require(models.Role.USER)
    if require_kind(report.session_id, path=["sessionId"]) != "session":
        raise SessionNotFound("There is no such playback session: start playback again.")
    reported = await _store(context, viewer.user_id, report, _now_ms(context))
    if reported.progress is None:
        return ReportResult(None, reported.outcome is ReportOutcome.APPLIED)
    progress = models.live_progress(reported.progress)
    context.loader(loaders.ProgressByPlayableId).renew(progress)
    return ReportResult(progress, reported.outcome is ReportOutcome.APPLIED)


def check_seconds(value: float, name: str) -> None:
    """Validate a position or duration in seconds.

    Raises:
        ValidationFailed: it is not between 0 and two days.
    """
    if not math.isfinite(value) or not 0 <= value <= _MAX_SECONDS:
        raise ValidationFailed(f"`{name}` must be seconds from 0 to two days.", path=[name])


async def _store(context: Context, user_id: str, report: Report, now_ms: int) -> BufferReply:
    """Store the report at its time of arrival, whichever way it takes: see write_through.py."""
    try:
        return await _store_in_redis(context, user_id, report, now_ms)
    except UpstreamUnavailable as redis_error:
        return await write_through.write_through(context, user_id, report, now_ms, redis_error)


async def _store_in_redis(
    context: Context, user_id: str, report: Report, now_ms: int
) -> BufferReply:
    try:
        reported = await context.progress_buffer.report(user_id, report, now_ms)
    except SessionNotFound:
        is_ending = report.state == models.PlaybackState.STOPPED.value
        if not await session_starts.restore_in_redis(
            context, report.session_id, is_ending=is_ending
        ):
            raise
        reported = await context.progress_buffer.report(user_id, report, now_ms)
    if reported.outcome is ReportOutcome.BASE_NEEDED:
        return await _store_on_base(context, user_id, report, now_ms)
    return reported


async def _store_on_base(
    context: Context, user_id: str, report: Report, now_ms: int
) -> BufferReply:
    """Store a report of a title that Redis has dropped, on MongoDB's progress.

    Redis drops a title once it is flushed, while its session goes on.
    """
    session = await context.runtime.playback.sessions.read(user_id, report.session_id)
    if session is None:
        raise SessionNotFound("There is no such playback session: start playback again.")
    stored = await models.progress_by_playable(user_id, [session.playable_id])
    base = models.progress_base(stored.get(session.playable_id))
    return await context.progress_buffer.report(user_id, report, now_ms, base)


def _now_ms(context: Context) -> int:
    return int(context.runtime.clock() * 1000)


def _check_report(
    sequence: int,
    position_seconds: float,
    duration_seconds: float | None,
    state: models.PlaybackState,
) -> None:
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise ValidationFailed("`sequence` counts up from 0.", path=["sequence"])
    check_seconds(position_seconds, "positionSeconds")
    if state is models.PlaybackState.EXPIRED:
        raise ValidationFailed("A player cannot report this state.", path=["state"])
    if duration_seconds is None:
        return
    check_seconds(duration_seconds, "durationSeconds")
    if duration_seconds == 0:
        raise ValidationFailed("`durationSeconds` must be above 0.", path=["durationSeconds"])
    if position_seconds > duration_seconds + PAST_THE_END_SECONDS:
        raise ValidationFailed("The position is beyond the end.", path=["positionSeconds"])
