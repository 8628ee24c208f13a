"""Sessions at their start, in MongoDB, for whatever must go on without Redis.

A session's document is written once; starting it again, by the same key, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from models.accounts.documents import DeviceRecord
from models.mongo.base import utc_now
from models.mongo.reading import database_errors, find, projection, to_record
from models.mongo.updates import build_initial_values, build_update, encode_record
from models.playback.documents import device_of, instant
from models.playback.viewings import StoredSession, StoredSessionRecord
from services.playback.sessions import ViewingSession

_BESIDE_SECONDS = 1.0  # how long a start that Redis has taken waits for MongoDB


async def store_session(started: StoredSessionRecord) -> None:
    """Store a session that Redis opened; it replaces an earlier one of the same key.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    earlier = {"_id": started.id, "started_at": {"$lt": started.started_at}}
    with database_errors(), pymongo.timeout(_BESIDE_SECONDS):
        try:
            await StoredSession.get_pymongo_collection().update_one(
                earlier,
                build_update(StoredSession, _encode_session(started) | {"in_redis": True}),
                upsert=True,
            )
        except DuplicateKeyError:
            return  # it is there


async def open_session(started: StoredSessionRecord) -> StoredSessionRecord:
    """Open a session without Redis, or find it open; returns the stored one.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time; opening it again does no harm.
    """
    change = build_update(StoredSession, {"in_redis": False}, on_insert=_encode_session(started))
    collection = StoredSession.get_pymongo_collection()
    with database_errors():
        stored: Any = await collection.find_one_and_update(
            {"_id": started.id},
            change,
            projection(StoredSessionRecord, None),
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    return to_record(stored, StoredSessionRecord)


async def playback_session_record(session_id: str) -> StoredSessionRecord | None:
    """The session as it began, read from the primary; None if unknown or expired.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    records = await find(StoredSession, StoredSessionRecord, {"_id": session_id}, limit=1)
    return records[0] if records else None


async def recent_sessions(
    user_id: str, session_ids: Collection[str], since: datetime
) -> list[StoredSessionRecord]:
    """Sessions of the user begun after `since`, with or without Redis.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where = {
        "_id": {"$in": list(session_ids)},
        "user_id": user_id,
        "started_at": {"$gt": since},
    }
    return await find(StoredSession, StoredSessionRecord, where, limit=len(session_ids))


async def mark_session_in_redis(session_id: str) -> None:
    """Record that Redis knows the session.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    with database_errors():
        await StoredSession.get_pymongo_collection().update_one(
            {"_id": session_id},
            build_update(StoredSession, {"in_redis": True, "updated_at": utc_now()}),
        )


def stored_session(
    session: ViewingSession, *, address: str | None, user_agent: str | None
) -> StoredSessionRecord:
    """Convert a session from Redis to its stored form."""
    return StoredSessionRecord(
        id=session.session_id,
        user_id=session.user_id,
        playable_id=session.playable_id,
        device=device_of(session.device) or DeviceRecord(),
        quality=session.quality,
        address=address,
        user_agent=user_agent,
        started_at=instant(session.started_at_ms),
        start_position_seconds=session.position_seconds,
        duration_seconds=session.duration_seconds or None,
    )


def _encode_session(started: StoredSessionRecord) -> dict[str, Any]:
    now = utc_now()
    values = encode_record(started, exclude={"in_redis"})
    return {**values, **build_initial_values(now), "version": 1, "updated_at": now}
