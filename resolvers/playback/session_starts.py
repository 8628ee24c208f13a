"""Opening a playback session: in Redis, where streams are counted, and stored in MongoDB.

Either may be down: without MongoDB a session is in Redis alone; without Redis it is opened in
MongoDB, not counted, and counted once Redis has it; so is one that Redis lost. Every open session
is stored in one of them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import models
from resolvers.context import Context, Viewer
from services.errors import TooManyStreams, UpstreamUnavailable
from services.limits.address_prefixes import shorten_address
from services.playback.sessions import MOST_STREAMS, SESSION_SECONDS, ViewingSession
from services.playback.state import Base, device_json
from services.settings.settings import Settings
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import is_store_away

_MAX_USER_AGENT_CHARACTERS = 300
_REGISTRATION_WINDOW = timedelta(
    hours=24
)  # how long a session may yet come to Redis that does not know it

log = get_logger("playback")


async def open_session(
    context: Context, viewer: Viewer, requested: ViewingSession, base: Base | None
) -> ViewingSession:
    """Open the session, or return the one that is open already, as it is stored.

    Raises:
        TooManyStreams: the viewer's tier allows no more.
        UpstreamUnavailable: neither Redis nor MongoDB stored it.
    """
    sessions = context.runtime.playback.sessions
    limit = stream_limit(context.runtime.settings, viewer.tier)
    try:
        opened = await sessions.start(requested, base, limit)
    except TooManyStreams:
        _REFUSED.inc()
        raise
    except UpstreamUnavailable:
        record = await models.open_session(_to_record(context, requested))
        _WITHOUT_REDIS.inc()
        return _from_record(record)
    _STARTED.inc()
    try:
        await models.store_session(_to_record(context, opened))
    except UpstreamUnavailable:
        if not is_store_away():  # which is logged already, once for all sessions
            log.warning("playback_session_write_failed", session=opened.session_id)
    return opened


async def restore_in_redis(context: Context, session_id: str, *, is_ending: bool = False) -> bool:
    """Open a running session that Redis does not know; False if there is none.

    A session that is about to end needs no room among the viewer's streams.

    Raises:
        TooManyStreams: the viewer's other streams are as many as may play.
        UpstreamUnavailable, Unauthenticated.
    """
    viewer = context.require(models.Role.USER)
    session = (await find_missing(context, viewer, [session_id])).get(session_id)
    if session is None:
        return False
    stored = await models.progress_by_playable(viewer.user_id, [session.playable_id])
    base = models.progress_base(stored.get(session.playable_id))
    tier_limit = stream_limit(context.runtime.settings, viewer.tier)
    limit = MOST_STREAMS if is_ending else tier_limit
    now_ms = int(context.runtime.clock() * 1000)
    await context.runtime.playback.sessions.start(session.replace(seen_at_ms=now_ms), base, limit)
    await models.mark_session_in_redis(session_id)
    return True


async def find_missing(
    context: Context, viewer: Viewer, session_ids: Collection[str]
) -> dict[str, ViewingSession]:
    """The viewer's running sessions that Redis does not know, though it should.

    They were opened without it and are not in it yet, or it lost them.

    Raises:
        UpstreamUnavailable: MongoDB does not answer.
    """
    since = datetime.fromtimestamp(context.runtime.clock(), UTC) - _REGISTRATION_WINDOW
    records = await models.recent_sessions(viewer.user_id, session_ids, since)
    lost = [record for record in records if record.in_redis]
    waiting = {record.id: _from_record(record) for record in records if not record.in_redis}
    return waiting | await _find_lost(context, viewer, lost) if lost else waiting


async def _find_lost(
    context: Context, viewer: Viewer, records: Collection[models.StoredSessionRecord]
) -> dict[str, ViewingSession]:
    """Those of which MongoDB has a report of the last hour, or the start, and no end."""
    viewing_ids = {
        record.id: models.viewing_id(record.id, models.milliseconds(record.started_at))
        for record in records
    }
    viewings = await models.viewings_by_id(viewer.user_id, viewing_ids.values())
    titles = {record.playable_id for record in records}
    progress = await models.progress_by_playable(viewer.user_id, titles)
    oldest_ms = int(context.runtime.clock() * 1000) - SESSION_SECONDS * 1000
    sessions = [
        _resume(record, viewings.get(viewing_ids[record.id]), progress.get(record.playable_id))
        for record in records
    ]
    return {
        session.session_id: session
        for session in sessions
        if session is not None and session.seen_at_ms > oldest_ms
    }


def _resume(
    record: models.StoredSessionRecord,
    viewing: models.ViewingRecord | None,
    progress: models.LiveProgress | None,
) -> ViewingSession | None:
    """The session as MongoDB has it; None if it has ended."""
    session = _from_record(record)
    if viewing is not None:
        if viewing.ended_at is not None:
            return None
        session = session.replace(
            watched_seconds=viewing.watched_seconds,
            is_finished=viewing.completed,
            seen_at_ms=models.milliseconds(viewing.last_seen_at),
        )
    if progress is None or progress.session_id != record.id:
        return session
    reported_ms = models.milliseconds(progress.last_watched_at)
    return session.replace(
        position_seconds=progress.position_seconds,
        duration_seconds=progress.duration_seconds or session.duration_seconds,
        seen_at_ms=max(session.seen_at_ms, reported_ms),
    )


def stream_limit(settings: Settings, tier: models.AccountTier) -> int:
    """How many streams an account of this tier may play at once."""
    return {
        models.AccountTier.FREE: settings.playback_streams_free,
        models.AccountTier.PREMIUM: settings.playback_streams_premium,
        models.AccountTier.API: settings.playback_streams_api,
    }[tier]


def _to_record(context: Context, session: ViewingSession) -> models.StoredSessionRecord:
    agent = context.user_agent
    return models.stored_session(
        session,
        address=shorten_address(context.client_address),
        user_agent=agent[:_MAX_USER_AGENT_CHARACTERS] if agent else None,
    )


def _from_record(record: models.StoredSessionRecord) -> ViewingSession:
    started_at_ms = models.milliseconds(record.started_at)
    return ViewingSession(
        session_id=record.id,
        user_id=record.user_id,
        playable_id=record.playable_id,
        device_json=device_json(models.device_tag(record.device)),
        state=models.PlaybackState.PLAYING.value,
        position_seconds=record.start_position_seconds,
        duration_seconds=record.duration_seconds or 0.0,
        quality=record.quality,
        started_at_ms=started_at_ms,
        seen_at_ms=started_at_ms,
    )


_STARTED = metrics.playback_starts_total.labels("started")
_REFUSED = metrics.playback_starts_total.labels("too_many_streams")
_WITHOUT_REDIS = metrics.playback_starts_total.labels("without_redis")
