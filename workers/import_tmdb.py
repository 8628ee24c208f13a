"""Starts a job once a day, whatever the number of processes, that imports changes from TMDb."""

from __future__ import annotations

import random

from resolvers import job_queue
from resolvers.context import Runtime
from resolvers.job_queue import JobKind
from services.errors import CodedError

_DAY_SECONDS = 24 * 3600
_JITTER = 0.05


async def import_tmdb(runtime: Runtime) -> bool:
    """Start the job if it is due; True if this call started it. Does nothing without a key.

    Raises:
        UpstreamUnavailable: Redis or MongoDB is unavailable.
    """
    if not runtime.catalog.tmdb.is_on:
        return False
    lease = JobKind.IMPORT_TMDB_CHANGES.value
    seconds = _DAY_SECONDS * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
    if not await runtime.ops.jobs.queue.claim_period(lease, seconds):
        return False
    try:
        await job_queue.start(runtime, JobKind.IMPORT_TMDB_CHANGES)
    except CodedError:
        await runtime.ops.jobs.queue.release_period(lease)
        raise
    return True
