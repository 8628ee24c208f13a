"""Jobs: what runs longer than a request, with how far it is. Every change is one atomic command.

Promise: a job runs in one worker at a time. Its worker proves every few seconds that it lives; the
job of one that fell silent may be taken by another, and what the old one says no longer counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec
from pymongo import IndexModel, ReturnDocument

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find, projection

_RETENTION_SECONDS = 30 * 86400  # after the end
_OPEN = ["QUEUED", "RUNNING"]


class JobState(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED)


class Job(StoredDocument):
    """`heartbeat_at` is when somebody last saw to it; `worker` is who may say how it goes."""

    kind: str
    arguments: dict[str, Any] = {}
    state: JobState = JobState.QUEUED
    done: int = 0
    total: int | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    created_by: str | None = None
    heartbeat_at: datetime
    worker: str | None = None
    attempts: int = 0

    class Settings:
        name = "jobs"
        indexes = [
            IndexModel([("state", 1), ("heartbeat_at", 1)], name="open"),
            IndexModel([("kind", 1), ("state", 1), ("started_at", -1)], name="kind"),
            IndexModel([("finished_at", 1)], name="expires", expireAfterSeconds=_RETENTION_SECONDS),
        ]


class JobRecord(IdentifiedRecord, frozen=True):
    kind: str = ""
    arguments: dict[str, Any] = {}
    state: JobState = JobState.QUEUED
    done: int = 0
    total: int | None = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    created_by: str | None = None
    created_at: datetime = EPOCH
    attempts: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class JobEnd:
    """`error` of a job that succeeded is what it had to leave out."""

    state: JobState
    error: str | None
    done: int
    total: int | None


async def insert_job(job: Job) -> None:
    with database_errors():
        await job.insert()


async def count_open_jobs(at_most: int) -> int:
    """How many are not finished; counting stops at `at_most`."""
    with database_errors():
        collection = Job.get_pymongo_collection()
        return await collection.count_documents({"state": {"$in": _OPEN}}, limit=at_most)


async def last_succeeded_job(kind: str) -> JobRecord | None:
    """The one that started last."""
    where = {"kind": kind, "state": JobState.SUCCEEDED.value}
    found = await find(Job, JobRecord, where, sort=[("started_at", -1)], limit=1)
    return found[0] if found else None


async def claim_job(
    worker: str, now: datetime, silent_since: datetime, job_id: str | None = None
) -> JobRecord | None:
    """This job (or any) for this worker: if it is queued, or its worker is silent that long.

    Without an id only what has been left alone that long is taken, the longest first.
    """
    silent = {"heartbeat_at": {"$lt": silent_since}}
    where: dict[str, Any] = {"state": {"$in": _OPEN}, **silent}
    if job_id is not None:
        where = {"_id": job_id, "$or": [{"state": "QUEUED"}, {"state": "RUNNING", **silent}]}
    change = {
        "state": JobState.RUNNING.value,
        "worker": worker,
        "heartbeat_at": now,
        "updated_at": now,
        "started_at": {"$ifNull": ["$started_at", now]},
        "attempts": {"$add": ["$attempts", 1]},
        "version": {"$add": ["$version", 1]},
    }
    with database_errors():
        row = await Job.get_pymongo_collection().find_one_and_update(
            where,
            [{"$set": change}],
            projection(JobRecord, None),
            sort=[("heartbeat_at", 1)],
            return_document=ReturnDocument.AFTER,
        )
    return msgspec.convert(row, JobRecord) if row is not None else None


async def heartbeat_job(
    job_id: str, worker: str, now: datetime, done: int, total: int | None
) -> bool:
    """The worker lives and is this far. False: the job is not this worker's any more."""
    return await _change(job_id, worker, {"heartbeat_at": now, "done": done, "total": total}, now)


async def finish_job(job_id: str, worker: str, now: datetime, end: JobEnd) -> bool:
    """False: the job is not this worker's any more."""
    ended = {
        "state": end.state.value,
        "error": end.error,
        "done": end.done,
        "total": end.total,
        "finished_at": now,
        "worker": None,
    }
    return await _change(job_id, worker, ended, now)


async def release_job(job_id: str, worker: str, now: datetime) -> bool:
    """Back into the queue, at its head, as if this worker had never tried."""
    left = {"state": JobState.QUEUED.value, "worker": None, "heartbeat_at": EPOCH}
    return await _change(job_id, worker, left, now, attempts=-1)


async def _change(
    job_id: str, worker: str, change: Mapping[str, Any], now: datetime, attempts: int = 0
) -> bool:
    with database_errors():
        answer = await Job.get_pymongo_collection().update_one(
            {"_id": job_id, "worker": worker, "state": JobState.RUNNING.value},
            {
                "$set": {**change, "updated_at": now},
                "$inc": {"version": 1, "attempts": attempts},
            },
        )
    return bool(answer.matched_count)
