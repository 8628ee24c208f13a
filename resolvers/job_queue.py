"""Queueing a job: in MongoDB first, so that a Redis outage only delays it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import models
from models import JobRecord
from models.mongo import ids
from resolvers.context import Runtime
from services.errors import RateLimited, UpstreamUnavailable

MAX_OPEN_JOBS = 100


class JobKind(Enum):
    """Which worker function runs a job (workers/run_jobs.py)."""

    IMPORT_FROM_TMDB = "import_from_tmdb"
    IMPORT_TMDB_CHANGES = "import_tmdb_changes"
    FLUSH_PROGRESS = "flush_progress"
    WARM_CACHE = "warm_cache"


def now(runtime: Runtime) -> datetime:
    """The runtime's time, in UTC."""
    return datetime.fromtimestamp(runtime.clock(), UTC)


async def start(
    runtime: Runtime,
    kind: JobKind,
    arguments: Mapping[str, Any] | None = None,
    *,
    total: int | None = None,
    created_by: str | None = None,
) -> JobRecord:
    """Queue a job; the caller has checked that it is allowed.

    Args:
        arguments: the job's own, as stored.
        total: how many items it will process, if known.
        created_by: the user's id.

    Raises:
        RateLimited: too many jobs wait already.
        UpstreamUnavailable: MongoDB did not answer; nothing was queued for certain.
    """
    if await models.count_open_jobs(MAX_OPEN_JOBS) >= MAX_OPEN_JOBS:
        raise RateLimited("Too many jobs are waiting: try again later.", retry_after_seconds=60)
    at = now(runtime)
    job = models.Job(
        id=ids.new("job"),
        kind=kind.value,
        arguments=dict(arguments or {}),
        total=total,
        created_by=created_by,
        created_at=at,
        updated_at=at,
        heartbeat_at=at,
    )
    await models.insert_job(job)
    with suppress(UpstreamUnavailable):  # workers look into MongoDB as well
        await runtime.ops.jobs.queue.push(job.id)
    return (await models.find_by_id(models.Job, JobRecord, [job.id]))[job.id]
