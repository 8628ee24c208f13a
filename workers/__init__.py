"""Background work: WORKERS is the timetable, run_workers runs it.

A failed run is logged and counted, and the worker runs again; it never ends its process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from resolvers.context import Runtime
from services.errors import UpstreamUnavailable
from services.supervision import SupervisedTask
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import OutageLog
from workers.adopt_progress import adopt_progress, look_for_repairs
from workers.drop_dead_workers import drop_dead_workers
from workers.erase_accounts import erase_accounts
from workers.flush_progress import finish_flushing, flush_progress
from workers.import_tmdb import import_tmdb
from workers.join_layout import join_layout
from workers.publish_metrics import publish_metrics
from workers.purge_cdn import purge_cdn
from workers.record_document_uses import record_document_uses
from workers.run_jobs import run_jobs
from workers.send_mail import send_mail
from workers.trim_documents import trim_documents

_JITTER = 0.1  # of a period, so that processes started together do not come together
_RUN_SECONDS = 60.0
_FINISH_SECONDS = 10.0

log = get_logger("workers")
Run = Callable[[Runtime], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker. `where` it runs: in worker processes, in every API process, or in every process.

    `finish` runs once, at shutdown. A worker that bounds its own runs has no `run_seconds`; a
    shutdown then cancels the current run.
    """

    every_seconds: float
    run: Run
    where: Literal["worker", "api", "every"] = "worker"
    finish: Run | None = None
    run_seconds: float | None = _RUN_SECONDS


WORKERS: dict[str, Worker] = {
    "flush_progress": Worker(1, flush_progress, finish=finish_flushing),
    "adopt_progress": Worker(1, adopt_progress),
    "join_layout": Worker(1, join_layout, where="every"),
    "look_for_repairs": Worker(1, look_for_repairs, where="api"),
    "send_mail": Worker(1, send_mail),
    "erase_accounts": Worker(10, erase_accounts),
    "drop_dead_workers": Worker(600, lambda runtime: drop_dead_workers(runtime.playback.stream)),
    "run_jobs": Worker(1, run_jobs, run_seconds=None),
    "import_tmdb": Worker(3600, import_tmdb),
    "purge_cdn": Worker(1, purge_cdn),
    "trim_documents": Worker(60, trim_documents),
    "record_document_uses": Worker(
        60, record_document_uses, where="api", finish=record_document_uses
    ),
    "publish_metrics": Worker(
        1, lambda runtime: publish_metrics(runtime.playback.stream, runtime.ops), where="api"
    ),
}


async def run_workers(
    runtime: Runtime,
    names: Collection[str],
    stop: asyncio.Event,
    timetable: Mapping[str, Worker] = WORKERS,
) -> None:
    """Run these workers until `stop` is set; then end each run and call its `finish`.

    Raises:
        KeyError: there is no worker of this name.
    """
    chosen = {name: timetable[name] for name in names}
    tasks = [_supervise(runtime, name, worker, stop) for name, worker in chosen.items()]
    for task in tasks:
        task.start()
    try:
        await stop.wait()
        await asyncio.gather(*(task.join() for task in tasks))
    finally:
        await asyncio.gather(*(task.aclose() for task in tasks))


def _supervise(runtime: Runtime, name: str, worker: Worker, stop: asyncio.Event) -> SupervisedTask:
    async def work() -> None:
        await _run_periodically(runtime, name, worker, stop, task)

    task = SupervisedTask(name, work)
    return task


def names_for(where: Literal["worker", "api"]) -> list[str]:
    """Names of the workers that run in this kind of process."""
    return [name for name, worker in WORKERS.items() if worker.where in (where, "every")]


async def _run_periodically(
    runtime: Runtime, name: str, worker: Worker, stop: asyncio.Event, task: SupervisedTask
) -> None:
    outage = OutageLog(log, "worker_upstream")
    while not stop.is_set():
        if await _run_once(name, worker.run(runtime), worker.run_seconds, stop, outage):
            task.record_success()
            outage.record_recovery(worker=name)
        pause_seconds = worker.every_seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_seconds)
    if worker.finish is not None:
        await _run_once(name, worker.finish(runtime), _FINISH_SECONDS, stop, outage)


async def _run_once(
    name: str,
    run: Awaitable[object],
    seconds: float | None,
    stop: asyncio.Event,
    outage: OutageLog,
) -> bool:
    """Run once and log a failure, outages once a minute; returns whether it went well."""
    try:
        if seconds is None:
            await _run_until_stopped(run, stop)
        else:
            await asyncio.wait_for(run, seconds)
    except UpstreamUnavailable as error:  # expected: the next run tries again
        metrics.worker_runs_total.labels(name, "failed").inc()
        outage.record_failure(worker=name, error=error.message)
    except Exception as error:  # a worker that stopped for ever would be worse
        metrics.worker_runs_total.labels(name, "failed").inc()
        log.error("worker_failed", worker=name, error=repr(error), exc_info=error)
    else:
        metrics.worker_runs_total.labels(name, "done").inc()
        return True
    return False


async def _run_until_stopped(run: Awaitable[object], stop: asyncio.Event) -> None:
    running, stopping = asyncio.ensure_future(run), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in (running, stopping):
            one.cancel()
        await asyncio.wait([running, stopping], timeout=_FINISH_SECONDS)
    if not running.cancelled():
        running.result()
