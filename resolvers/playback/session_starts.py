"""Opening a playback session: in Redis, where streams are counted, and stored in MongoDB.

Either may be down: without MongoDB a session is in Redis alone; without Redis it is opened in
MongoDB, not counted, and counted once Redis has it. Every open session is stored in one of them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import models
from resolvers.context import Context, Viewer
from services.errors import TooManyStreams, UpstreamUnavailable
from services.limits.address_prefixes import shorten_address
from services.playback.sessions import MOST_STREAMS, ViewingSession
from services.playback.state import Base
from services.settings.settings import Settings
from services.telemetry import metrics
from services.telemetry.logs import get_logger

_MAX_USER_AGENT_CHARACTERS = 300
_REGISTRATION_WINDOW = timedelta(
    hours=24
)  # how long a session opened without Redis may yet come to it

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
        log.warning("playback_session_write_failed", session=opened.session_id)
    return opened


async def register_in_redis(context: Context, session_id: str, *, is_ending: bool = False) -> bool:
    """Register a session that was opened without Redis; False if there is none.

    A session that is about to end needs no room among the viewer's streams.

    Raises:
        TooManyStreams: the viewer's other streams are as many as may play.
        UpstreamUnavailable, Unauthenticated.
    """
    viewer = context.require(models.Role.USER)
    session = (await find_unregistered(context, viewer, [session_id])).get(session_id)
    if session is None:
        return False
    stored = await models.progress_by_playable(viewer.user_id, [session.playable_id])
    base = models.progress_base(stored.get(session.playable_id))
    tier_limit = stream_limit(context.runtime.settings, viewer.tier)
    limit = MOST_STREAMS if is_ending else tier_limit
    now_ms = int(context.runtime.clock() * 1000)
    await context.runtime.playback.sessions.start(session._replace(seen_at_ms=now_ms), base, limit)
    await models.mark_session_in_redis(session_id)
    return True


async def find_unregistered(
    context: Context, viewer: Viewer, session_ids: Collection[str]
) -> dict[str, ViewingSession]:
    """The viewer's sessions that were opened without Redis and are not in it yet.

    Raises:
        UpstreamUnavailable: MongoDB does not answer.
    """
    since = datetime.fromtimestamp(context.runtime.clock(), UTC) - _REGISTRATION_WINDOW
    records = await models.awaited_sessions(viewer.user_id, session_ids, since)
    return {record.id: _from_record(record) for record in records}


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
        device=models.device_tag(record.device),
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
