"""Runs jobs, one at a time in each worker process: from the queue, or found in MongoDB.

Promise: a started job ends, here or elsewhere. Jobs may run twice, so each must allow it; a worker
that was presumed dead stops as soon as it learns of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import models
from models import JobRecord, JobState
from resolvers.catalog import warming
from resolvers.catalog.imports import tmdb, tmdb_changes
from resolvers.context import Context, Runtime
from resolvers.job_queue import JobKind, now
from resolvers.runtimes import Jobs
from services.errors import CodedError, UpstreamUnavailable
from services.process_name import process_name
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from workers.flush_progress import flush_progress

JOB_SECONDS = 3600.0
MAX_ATTEMPTS = 3  # workers that may die over one job
_REPORT_SECONDS = 0.2  # between two words on how far a job is
_BEATS = 3  # before a silent worker is taken for dead

log = get_logger("workers")


class JobProgress:
    """Progress of a job: its runner updates it at will, others see it now and then."""

    def __init__(self, done: int, total: int | None) -> None:
        self.done = done
        self.total = total
        self.moved = asyncio.Event()

    def __call__(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total
        self.moved.set()


# Answers with what had to be left out, or None.
Runner = Callable[[Runtime, Mapping[str, Any], JobProgress], Awaitable[str | None]]


async def _flush_progress(
    runtime: Runtime, _arguments: Mapping[str, Any], progress: JobProgress
) -> None:
    flushed = await flush_progress(runtime)
    progress(flushed, flushed)


async def _warm_cache(
    runtime: Runtime, arguments: Mapping[str, Any], progress: JobProgress
) -> None:
    films = await warming.warm(Context(runtime), arguments["first"], progress)
    progress(films, films)


RUNNERS: dict[str, Runner] = {
    JobKind.IMPORT_FROM_TMDB.value: tmdb.run_import,
    JobKind.IMPORT_TMDB_CHANGES.value: tmdb_changes.run_import,
    JobKind.FLUSH_PROGRESS.value: _flush_progress,
    JobKind.WARM_CACHE.value: _warm_cache,
}


async def run_jobs(
    runtime: Runtime, worker: str | None = None, runners: Mapping[str, Runner] = RUNNERS
) -> int:
    """Run jobs until none is left; returns how many. A cancelled run releases its job.

    Args:
        worker: claims them by this name; None: the process's.

    Raises:
        UpstreamUnavailable: MongoDB is unavailable; the current job is claimed again later.
    """
    ran = 0
    worker = worker or process_name()
    while (job := await _next(runtime, worker)) is not None:
        await _run(runtime, job, worker, runners)
        ran += 1
    return ran


async def _next(runtime: Runtime, worker: str) -> JobRecord | None:
    at = now(runtime)
    silent_since = at - timedelta(seconds=runtime.settings.job_claim_idle_seconds)
    with suppress(UpstreamUnavailable):  # Redis is unavailable: look in MongoDB only
        while (job_id := await runtime.ops.jobs.queue.pop()) is not None:
            job = await _claim(runtime, worker, at, silent_since, job_id)
            if job is not None:
                return job
    return await _claim(runtime, worker, at, silent_since)


async def _claim(
    runtime: Runtime, worker: str, at: datetime, silent_since: datetime, job_id: str | None = None
) -> JobRecord | None:
    """Claim a job; a cancelled call puts back what MongoDB handed out meanwhile."""
    claim = asyncio.create_task(models.claim_job(worker, at, silent_since, job_id))
    try:
        return await asyncio.shield(claim)
    except asyncio.CancelledError:
        with suppress(UpstreamUnavailable):
            if (job := await claim) is not None:
                await _put_back(runtime, job.id, worker)
        raise


async def _run(
    runtime: Runtime, job: JobRecord, worker: str, runners: Mapping[str, Runner]
) -> None:
    progress = JobProgress(job.done, job.total)
    running = asyncio.create_task(_outcome(runtime, job, progress, runners.get(job.kind)))
    try:
        await _publish(runtime.ops.jobs, job.id)
        mine = await _heartbeat_loop(runtime, job.id, worker, running, progress)
    except asyncio.CancelledError:
        await _put_back(runtime, job.id, worker)
        raise
    finally:
        running.cancel()
        await asyncio.wait([running])
    if mine:
        await _finish(runtime, job, worker, models.JobEnd(*running.result(), *_counts(progress)))
    else:
        log.warning("job_lost", job=job.id, kind=job.kind)


def _counts(progress: JobProgress) -> tuple[int, int | None]:
    return progress.done, progress.total


async def _outcome(
    runtime: Runtime, job: JobRecord, progress: JobProgress, runner: Runner | None
) -> tuple[JobState, str | None]:
    """Outcome of the job. Details of internal errors stay in the log."""
    if runner is None:
        return JobState.FAILED, "This version runs no jobs of this kind."
    if job.attempts > MAX_ATTEMPTS:
        return JobState.FAILED, f"Given up: {MAX_ATTEMPTS} workers died over it."
    try:
        async with asyncio.timeout(JOB_SECONDS):
            return JobState.SUCCEEDED, await runner(runtime, job.arguments, progress)
    except CodedError as error:
        return JobState.FAILED, error.message
    except TimeoutError:
        return JobState.FAILED, "It took longer than an hour."
    except Exception as error:
        log.error("job_failed", job=job.id, kind=job.kind, exc_info=error)
        return JobState.FAILED, "Something went wrong on our side."


async def _heartbeat_loop(
    runtime: Runtime,
    job_id: str,
    worker: str,
    running: asyncio.Task[Any],
    progress: JobProgress,
) -> bool:
    """Send progress or heartbeats until the job ends; False if another worker took it."""
    beat_seconds = runtime.settings.job_claim_idle_seconds / _BEATS
    while True:
        moved = asyncio.create_task(progress.moved.wait())
        await asyncio.wait(
            [running, moved], timeout=beat_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        moved.cancel()
        if running.done():
            return True
        progress.moved.clear()
        with suppress(UpstreamUnavailable):  # the next beat may get through
            if not await models.heartbeat_job(job_id, worker, now(runtime), *_counts(progress)):
                return False
            await _publish(runtime.ops.jobs, job_id)
        await asyncio.wait([running], timeout=min(_REPORT_SECONDS, beat_seconds))


async def _finish(runtime: Runtime, job: JobRecord, worker: str, end: models.JobEnd) -> None:
    if await models.finish_job(job.id, worker, now(runtime), end):
        metrics.jobs_finished_total.labels(job.kind, end.state.value).inc()
        log.info("job_finished", job=job.id, kind=job.kind, state=end.state.value, done=end.done)
        await _publish(runtime.ops.jobs, job.id)


async def _put_back(runtime: Runtime, job_id: str, worker: str) -> None:
    with suppress(UpstreamUnavailable):  # then it is found when it has been silent long enough
        if await models.release_job(job_id, worker, now(runtime)):
            await _publish(runtime.ops.jobs, job_id)
            await runtime.ops.jobs.queue.push(job_id)


async def _publish(jobs: Jobs, job_id: str) -> None:
    with suppress(UpstreamUnavailable):  # watchers look by themselves
        await jobs.changed.publish(job_id.encode())
