"""The outbox of purges: what caches and the CDN have yet to drop, with the next attempt.

A purge is inserted before the change it is about; until the change is confirmed, it waits long
enough for that. So a process that dies in between purges too much, never too little.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

from pymongo import IndexModel, UpdateOne

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find
from models.mongo.updates import build_revision

_DONE_RETENTION = timedelta(days=1)
_FAILED_RETENTION = timedelta(days=30)
_COUNTED = 10_000  # beyond it waiting ones are not counted


class PurgeState(Enum):
    WAITING = "WAITING"
    DONE = "DONE"
    FAILED = "FAILED"


class Purge(StoredDocument):
    """A purge of cached data.

    `keys`: of cache entries; `tags`: of lists and answers; `paths`, `prefixes`: of images and
    addresses at the CDN; `is_everything`: the whole catalogue. `is_told`: our own caches have
    dropped it. `lease`: of the worker that processes it, until `due_at`.
    """

    id_kind = "purge"
    state: PurgeState = PurgeState.WAITING
    movie_id: str | None = None
    keys: list[str] = []
    tags: list[str] = []
    paths: list[str] = []
    prefixes: list[str] = []
    is_everything: bool = False
    is_told: bool = False
    due_at: datetime
    lease: str | None = None
    attempts: int = 0
    error: str | None = None
    expires_at: datetime | None = None

    class Settings:
        name = "purges"
        indexes = [
            IndexModel([("state", 1), ("due_at", 1)], name="due"),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class PurgeRecord(IdentifiedRecord, frozen=True):
    state: PurgeState = PurgeState.WAITING
    movie_id: str | None = None
    keys: list[str] = []
    tags: list[str] = []
    paths: list[str] = []
    prefixes: list[str] = []
    is_everything: bool = False
    is_told: bool = False
    due_at: datetime = EPOCH
    attempts: int = 0
    error: str | None = None
    created_at: datetime = EPOCH


class PurgeBacklog(NamedTuple):
    """Number of waiting purges, and the creation time of the oldest."""

    purges: int
    oldest_at: datetime | None


async def insert(purge: Purge) -> None:
    """Insert a purge.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    with database_errors():
        await purge.insert()


async def mark_ready_many(tags_by_purge: Mapping[str, Collection[str]], now: datetime) -> None:
    """Make purges due: the change is made, our caches dropped it, these tags remain."""
    changes = [
        UpdateOne(
            {"_id": id_, "state": PurgeState.WAITING.value, "lease": None},
            build_revision(
                Purge,
                {"keys": [], "tags": sorted(tags), "is_told": True, "due_at": now},
                now,
            ),
        )
        for id_, tags in tags_by_purge.items()
    ]
    if changes:
        with database_errors():
            await Purge.get_pymongo_collection().bulk_write(changes, ordered=False)


async def expedite(purge_id: str, now: datetime, *, caches_purged: bool) -> bool:
    """Make a purge due now; False if a worker has claimed it before."""
    change = build_revision(Purge, {"due_at": now, "is_told": caches_purged}, now)
    with database_errors():
        answer = await Purge.get_pymongo_collection().update_one(
            {"_id": purge_id, "state": PurgeState.WAITING.value, "attempts": 0},
            change,
        )
    return bool(answer.matched_count)


async def drop(purge_id: str) -> None:
    """Delete an unclaimed purge whose change was not made."""
    with database_errors():
        await Purge.get_pymongo_collection().delete_one({"_id": purge_id, "lease": None})


async def claim(now: datetime, until: datetime, at_most: int) -> tuple[str, list[PurgeRecord]]:
    """Lease the purges that are due longest until `until`; returns the lease and the purges.

    Those that have another form fail, so that they keep no others waiting.
    """
    lease = secrets.token_hex(8)
    due: dict[str, Any] = {"state": PurgeState.WAITING.value, "due_at": {"$lte": now}}
    seen = await find(
        Purge, PurgeRecord, due, fields=frozenset({"id"}), sort=[("due_at", 1)], limit=at_most
    )
    if not seen:
        return lease, []
    mine = {"_id": {"$in": [record.id for record in seen]}}
    change = build_revision(Purge, {"lease": lease, "due_at": until}, now, attempts=1)
    with database_errors():
        answer = await Purge.get_pymongo_collection().update_many({**mine, **due}, change)
    if not answer.modified_count:
        return lease, []  # another worker was faster
    leased = await find(Purge, PurgeRecord, {**mine, "lease": lease}, limit=at_most)
    if len(leased) < answer.modified_count:
        decoded = {record.id for record in leased}
        undecodable = [record.id for record in seen if record.id not in decoded]
        await finish(undecodable, lease, now, "Its document has another form.")
    return lease, leased


async def finish(
    purge_ids: Sequence[str], lease: str, now: datetime, error: str | None = None
) -> int:
    """End purges as done, or with an error as failed; returns how many were still leased."""
    retention = _DONE_RETENTION if error is None else _FAILED_RETENTION
    state = PurgeState.DONE if error is None else PurgeState.FAILED
    end = {"state": state.value, "error": error, "expires_at": now + retention}
    return await _end_lease(purge_ids, lease, now, end)


async def postpone(
    purge_ids: Sequence[str],
    lease: str,
    now: datetime,
    *,
    due_at: datetime,
    error: str,
    caches_purged: bool,
    is_counted: bool = True,
) -> int:
    """Schedule the next attempt; returns how many purges were still leased.

    Args:
        caches_purged: our own caches have dropped it.
        is_counted: the attempt counts.
    """
    change = {"due_at": due_at, "error": error, "is_told": caches_purged}
    return await _end_lease(purge_ids, lease, now, change, attempts=0 if is_counted else -1)


async def count_waiting() -> PurgeBacklog:
    """Count the waiting purges, up to 10,000."""
    pipeline: list[dict[str, Any]] = [
        {"$match": {"state": PurgeState.WAITING.value}},
        {"$limit": _COUNTED},
        {"$group": {"_id": None, "purges": {"$sum": 1}, "oldest_at": {"$min": "$created_at"}}},
    ]
    with database_errors():
        rows = await (await Purge.get_pymongo_collection().aggregate(pipeline)).to_list()
    return PurgeBacklog(rows[0]["purges"], rows[0]["oldest_at"]) if rows else PurgeBacklog(0, None)


async def list_failed(at_most: int) -> list[PurgeRecord]:
    """List failed purges, newest first."""
    where = {"state": PurgeState.FAILED.value}
    return await find(Purge, PurgeRecord, where, sort=[("due_at", -1)], limit=at_most)


async def retry_failed(now: datetime) -> int:
    """Reset all failed purges to waiting; returns how many."""
    again = {
        "state": PurgeState.WAITING.value,
        "due_at": now,
        "attempts": 0,
        "expires_at": None,
    }
    with database_errors():
        answer = await Purge.get_pymongo_collection().update_many(
            {"state": PurgeState.FAILED.value}, build_revision(Purge, again, now)
        )
    return answer.modified_count


async def _end_lease(
    purge_ids: Sequence[str],
    lease: str,
    now: datetime,
    change: Mapping[str, Any],
    attempts: int = 0,
) -> int:
    if not purge_ids:
        return 0
    with database_errors():
        answer = await Purge.get_pymongo_collection().update_many(
            {"_id": {"$in": list(purge_ids)}, "lease": lease},
            build_revision(Purge, {**change, "lease": None}, now, attempts=attempts),
        )
    return answer.modified_count
