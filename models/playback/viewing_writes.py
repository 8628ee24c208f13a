"""Writes of the history: outcomes of viewings, many in one command, and deletions.

Each write is guarded by `stamp_ms < new`, so repeating it, in any order, is harmless. A deleted
viewing keeps its id and a stamp above all others, so that a late write changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from models.mongo.base import utc_now
from models.mongo.reading import collect_refused_writes, database_errors, find
from models.mongo.updates import build_initial_values, build_update, encode_record
from models.playback.documents import milliseconds
from models.playback.viewings import (
    StoredSession,
    StoredSessionRecord,
    Viewing,
    ViewingRecord,
    viewing_id,
)

_DUPLICATE_KEY = 11000
_ABOVE_ALL = 2**62
_LONGEST_WRITE_DELAY = timedelta(
    days=2
)  # the longest that a session's viewing may not be written yet
_MAX_UNWRITTEN_SESSIONS = 10_000  # sessions of one viewer in that time
_FORGOTTEN = (
    "playable_id",
    "started_at",
    "last_seen_at",
    "ended_at",
    "watched_seconds",
    "completed",
    "device",
    "expires_at",
)


async def write_viewings(records: Sequence[ViewingRecord], lifetime: timedelta) -> frozenset[str]:
    """Write the newest state of each viewing; each id once, at most 1000.

    Each expires a `lifetime` after it was last seen. Returns the ids that MongoDB will not take.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; any part may be written, so write all again.
    """
    if not records:
        return frozenset()
    failed = await _send(records, lifetime, upsert=True)
    raced = [records[at] for at, code in failed.items() if code == _DUPLICATE_KEY]
    refused = {records[at].id for at, code in failed.items() if code != _DUPLICATE_KEY}
    if raced:  # there is a newer one, or another worker's of this moment, perhaps an older one
        refused |= {raced[at].id for at in await _send(raced, lifetime, upsert=False)}
    return frozenset(refused)


async def delete_viewing(user_id: str, id_: str, now: datetime) -> bool:
    """Delete one of the user's viewings; False if there is none, True again if repeated."""
    with database_errors():
        answer = await Viewing.get_pymongo_collection().update_one(
            {"_id": id_, "user_id": user_id}, _build_deletion(now)
        )
    return bool(answer.matched_count)


async def delete_viewings(
    user_id: str, now: datetime, *, playable_id: str | None = None, before: datetime | None = None
) -> None:
    """Delete all the user's viewings of a title, or begun before a time, for good.

    Also those on their way here: the sessions they come from are known since they began.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; any part may be done, so do all again.
    """
    where: dict[str, Any] = {"user_id": user_id}
    if playable_id is not None:
        where["playable_id"] = playable_id
    if before is not None:
        where["started_at"] = {"$lt": before}
    await _refuse_late_ones(where, now)
    with database_errors():
        await Viewing.get_pymongo_collection().update_many(where, _build_deletion(now))
        await StoredSession.get_pymongo_collection().delete_many(
            {"$and": [where, {"started_at": {"$lt": now - _LONGEST_WRITE_DELAY}}]}
        )


async def _refuse_late_ones(where: dict[str, Any], now: datetime) -> None:
    recent = {"$and": [where, {"started_at": {"$gte": now - _LONGEST_WRITE_DELAY}}]}
    fields = frozenset({"started_at", "user_id"})
    sessions = await find(
        StoredSession, StoredSessionRecord, recent, fields=fields, limit=_MAX_UNWRITTEN_SESSIONS
    )
    marks = list(_build_marks(sessions, now))
    if marks:
        with database_errors():
            await Viewing.get_pymongo_collection().bulk_write(marks, ordered=False)


def _build_marks(sessions: Iterable[StoredSessionRecord], now: datetime) -> Iterable[UpdateOne]:
    for session in sessions:
        id_ = viewing_id(session.id, milliseconds(session.started_at))
        change = build_update(
            Viewing,
            {"user_id": session.user_id, **_build_deletion_values(now)},
            unset=_FORGOTTEN,
            on_insert=_build_initial_values(now),
        )
        yield UpdateOne({"_id": id_}, change, upsert=True)


def _build_deletion(now: datetime) -> dict[str, Any]:
    return build_update(Viewing, _build_deletion_values(now), unset=_FORGOTTEN)


def _build_deletion_values(now: datetime) -> dict[str, Any]:
    return {"deleted_at": now, "stamp_ms": _ABOVE_ALL, "updated_at": now}


def _build_initial_values(now: datetime) -> dict[str, Any]:
    return {"version": 1, **build_initial_values(now)}


async def _send(
    records: Sequence[ViewingRecord], lifetime: timedelta, *, upsert: bool
) -> dict[int, int]:
    """The error code of each write that failed, by position."""
    operations = [_operation(record, lifetime, upsert=upsert) for record in records]
    with database_errors():
        try:
            await Viewing.get_pymongo_collection().bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            return collect_refused_writes(error)
    return {}


def _operation(record: ViewingRecord, lifetime: timedelta, *, upsert: bool) -> UpdateOne:
    now = utc_now()
    values = {
        **encode_record(record),
        "deleted_at": None,
        "expires_at": record.last_seen_at + lifetime,
        "updated_at": now,
    }
    change = build_update(
        Viewing,
        values,
        on_insert=_build_initial_values(now),
    )
    older = {"_id": record.id, "stamp_ms": {"$lt": record.stamp_ms}}
    return UpdateOne(older, change, upsert=upsert)
