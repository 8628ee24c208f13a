"""A report while Redis is down or full: stored in MongoDB, and given to Redis later.

Promise: what is acknowledged here is not lost when Redis is back, and undoes nothing that Redis
has, whether or not Redis applied the same report. The comment below says why.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

import models
from resolvers.context import Context
from services.errors import SessionNotFound, UpstreamUnavailable
from services.playback import conflict_rule
from services.playback.sessions import SESSION_SECONDS
from services.playback.state import (
    Base,
    BufferedProgress,
    BufferReply,
    ProgressState,
    Report,
    SessionState,
    device_json,
)
from services.telemetry import metrics

# Redis may have taken the report all the same (an answer lost, a frozen server that wakes), and
# may hold changes that MongoDB has not seen. Neither is lost, no position goes back, because:
# 1. Every change has a stamp: when its report *arrived*, and above that of what it was made from.
#    A report that goes this way gets a lead on those Redis took in the same moment, and is not
#    answered before that is over. A player sends the next after the answer to the last: of two of
#    one session the later has the higher stamp, whichever way each went, and whenever it was done.
#    (Between processes: if their clocks differ by less than two reports are apart. Run NTP.)
# 2. MongoDB takes only a higher stamp, from the flush as from here: what Redis flushes late is
#    older and refused, or newer and right. Here the stamp must also be the one that was read.
# 3. Sent again, a report has a sequence that is not above the stored one: not applied.
# 4. A repair is open before the answer leaves, so Redis gets it (reconcile) once it is back:
#    there, too, the higher stamp wins; the larger watch count and furthest position stay.
# That a session stopped, or another took over, in Redis's last second may be unknown here: that is
# the one weakness.
_LEAD_MS = 20  # more changes of one title than that are not made in as many ms
_MAX_ATTEMPTS = 5  # each lost one is another's success
_OPERATIONS = 2  # MONGODB_TIMEOUT_MS, so often: a slow one may be followed by quick ones


async def write_through(
    context: Context, user_id: str, report: Report, now_ms: int, redis_error: UpstreamUnavailable
) -> BufferReply:
    """Store the report in MongoDB, within `MONGODB_TIMEOUT_MS` twice.

    Args:
        now_ms: when the report arrived, in milliseconds since 1970.
        redis_error: why Redis did not store it; its retry time is used if MongoDB fails as well.

    Raises:
        SessionNotFound: the session is another user's.
        UpstreamUnavailable: not stored for certain; send the same sequence again.
    """
    seconds = context.runtime.settings.mongodb_timeout_ms / 1000 * _OPERATIONS
    try:
        async with asyncio.timeout(seconds):
            await asyncio.sleep(_LEAD_MS / 1000)
            reported = await _write_through(context, user_id, report, now_ms + _LEAD_MS)
    except (UpstreamUnavailable, TimeoutError) as error:
        _refuse(redis_error, error)
    _WRITTEN.inc()
    return reported


async def _write_through(
    context: Context, user_id: str, report: Report, now_ms: int
) -> BufferReply:
    playback = context.runtime.playback
    started = await models.playback_session_record(report.session_id)
    if started is None:  # Redis may know it
        raise UpstreamUnavailable("Redis did not answer in time.")
    if started.user_id != user_id:
        raise SessionNotFound("There is no such playback session: start playback again.")
    playback.repairs.set()
    for _ in range(_MAX_ATTEMPTS):
        stored = await models.progress_by_playable(user_id, [started.playable_id])
        base = models.progress_base(stored.get(started.playable_id))
        session = _build_session(started, base.state)
        _refuse_old(session, base, now_ms)
        outcome, state, _ = conflict_rule.apply(
            base.state, session, report, now_ms, playback.progress.rules
        )
        version = base.version + (state != base.state)
        new_progress = BufferedProgress(user_id, started.playable_id, version, True, state)
        if state == base.state or await _replace(new_progress, base):
            # a repeat, too: its first answer was lost, perhaps before its repair was open
            await models.open_repair(user_id, started.playable_id)
            return BufferReply(outcome, new_progress if version else None)
    raise UpstreamUnavailable("Too many wrote the same progress at once.")


async def _replace(new_progress: BufferedProgress, base: Base) -> bool:
    read_stamp_ms = base.state.stamp_ms if base.version else None
    return await models.replace_progress(models.live_progress(new_progress), read_stamp_ms)


def _build_session(started: models.StoredSessionRecord, state: ProgressState) -> SessionState:
    """The session as it started; later reports are in the progress (conflict_rule.py)."""
    reported_seconds = state.known_duration_seconds if state.session_id == started.id else 0.0
    return SessionState(
        session_id=started.id,
        device_json=device_json(models.device_tag(started.device)),
        started_ms=models.milliseconds(started.started_at),
        position_seconds=started.start_position_seconds,
        duration_seconds=reported_seconds or started.duration_seconds or 0.0,
        quality=started.quality,
    )


def _refuse_old(session: SessionState, base: Base, now_ms: int) -> None:
    """Refuse a session whose last known report is so old that it has ended.

    Raises:
        UpstreamUnavailable: Redis may know a newer one.
    """
    reported_ms = base.state.at_ms if base.state.session_id == session.session_id else 0
    if now_ms - max(reported_ms, session.started_ms) > SESSION_SECONDS * 1000:
        raise UpstreamUnavailable("Redis did not answer in time.")


def _refuse(redis_error: UpstreamUnavailable, error: Exception) -> NoReturn:
    raise UpstreamUnavailable(
        "Progress cannot be stored at the moment: send it again.",
        retry_after_seconds=redis_error.retry_after_seconds or 1,
    ) from error


_WRITTEN = metrics.progress_reports_total.labels("written_through")
