"""Jobs: work that outlasts a request, with its progress. Every change is one atomic command.

Promise: a job runs in one worker at a time. Its worker sends a heartbeat every few seconds; the job
of a silent worker may be claimed by another, and updates of the previous worker no longer count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from pymongo import IndexModel, ReturnDocument

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, decode_or_log, find, projection
from models.mongo.updates import build_revision, build_update, encode_record

_RETENTION_SECONDS = 30 * 86400  # after the end
_OPEN = ["QUEUED", "RUNNING"]


class JobState(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobState.SUCCEEDED, JobState.FAILED)


class Job(StoredDocument):
    """A job. `heartbeat_at` is the last sign of life; only `worker` may update the job."""

    id_kind = "job"
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
    """Outcome of a job; `error` of a succeeded job lists what it left out."""

    state: JobState
    error: str | None
    done: int
    total: int | None


_UNDECODABLE = JobEnd(JobState.FAILED, "Its document has another form.", 0, None)


async def insert_job(job: Job) -> None:
    """Insert a job."""
    with database_errors():
        await job.insert()


async def count_open_jobs(at_most: int) -> int:
    """Count the unfinished jobs, up to `at_most`."""
    with database_errors():
        collection = Job.get_pymongo_collection()
        return await collection.count_documents({"state": {"$in": _OPEN}}, limit=at_most)


async def last_succeeded_job(kind: str) -> JobRecord | None:
    """The succeeded job of this kind that started last, or None."""
    where = {"kind": kind, "state": JobState.SUCCEEDED.value}
    records = await find(Job, JobRecord, where, sort=[("started_at", -1)], limit=1)
    return records[0] if records else None


async def claim_job(
    worker: str, now: datetime, silent_since: datetime, job_id: str | None = None
) -> JobRecord | None:
    """Claim this job, or any, for a worker: if it is queued, or its worker is silent.

    Without an id only jobs without a heartbeat since `silent_since` are claimed, the oldest first.
    One that has another form fails.
    """
    while (row := await _claim(worker, now, silent_since, job_id)) is not None:
        job = decode_or_log(row, JobRecord)
        if job is not None:
            return job
        await finish_job(row["_id"], worker, now, _UNDECODABLE)
    return None


async def _claim(
    worker: str, now: datetime, silent_since: datetime, job_id: str | None
) -> dict[str, Any] | None:
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
        return await Job.get_pymongo_collection().find_one_and_update(
            where,
            [build_update(Job, change)],
            projection(JobRecord, None),
            sort=[("heartbeat_at", 1)],
            return_document=ReturnDocument.AFTER,
        )


async def heartbeat_job(
    job_id: str, worker: str, now: datetime, done: int, total: int | None
) -> bool:
    """Record a heartbeat and progress; False if the job belongs to another worker by now."""
    return await _change(job_id, worker, {"heartbeat_at": now, "done": done, "total": total}, now)


async def finish_job(job_id: str, worker: str, now: datetime, end: JobEnd) -> bool:
    """Record the outcome; False if the job belongs to another worker by now."""
    ended = {"finished_at": now, "worker": None}
    return await _change(job_id, worker, {**encode_record(end), **ended}, now)


async def release_job(job_id: str, worker: str, now: datetime) -> bool:
    """Return the job to the head of the queue without counting the attempt."""
    queued = {"state": JobState.QUEUED.value, "worker": None, "heartbeat_at": EPOCH}
    return await _change(job_id, worker, queued, now, attempts=-1)


async def _change(
    job_id: str, worker: str, change: Mapping[str, Any], now: datetime, attempts: int = 0
) -> bool:
    with database_errors():
        answer = await Job.get_pymongo_collection().update_one(
            {"_id": job_id, "worker": worker, "state": JobState.RUNNING.value},
            build_revision(Job, change, now, attempts=attempts),
        )
    return bool(answer.matched_count)
