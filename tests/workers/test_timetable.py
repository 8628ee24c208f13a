from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from resolvers.context import Runtime
from resolvers.playback import reports
from services.errors import UpstreamUnavailable
from services.telemetry import metrics
from tests.support.playback_fixtures import film, read_stored_progress, start_new_session, viewer_of
from workers import WORKERS, Worker, names_for, run_workers
from workers.flush_progress import finish_flushing, flush_progress


def test_every_worker_has_a_place_and_a_period() -> None:
    assert set(names_for("worker")) | set(names_for("api")) == set(WORKERS)
    assert WORKERS["flush_progress"].where == "worker"
    assert all(worker.every_seconds > 0 for worker in WORKERS.values())


async def test_workers_run_until_stopped_and_flush_at_the_end(runtime: Runtime) -> None:
    # given workers at work
    stop = asyncio.Event()
    running = asyncio.create_task(run_workers(runtime, names_for("worker"), stop))
    await asyncio.sleep(0.1)
    # when a report comes and the process is told to stop at once
    context, title = viewer_of(runtime), await film()
    session = await start_new_session(context, title)
    await reports.report_progress(context, session, 0, 10.0)
    stop.set()
    await asyncio.wait_for(running, 5)
    # then it was flushed before the workers left
    assert [row["version"] for row in await read_stored_progress()] == [1]


async def test_a_failing_worker_is_counted_and_comes_again(runtime: Runtime) -> None:
    # given a worker that fails every time, beside one that does not
    runs = {"bad": 0, "good": 0}
    both = asyncio.Event()

    async def bad(_: Runtime) -> None:
        runs["bad"] += 1
        raise ValueError("no")

    async def good(_: Runtime) -> None:
        runs["good"] += 1
        if min(runs.values()) >= 3:
            both.set()

    timetable = {"bad": Worker(0.001, bad), "good": Worker(0.001, good)}
    failed = metrics.worker_runs_total.labels("bad", "failed")
    # when they run
    stop = asyncio.Event()
    running = asyncio.create_task(run_workers(runtime, ["bad", "good"], stop, timetable))
    await asyncio.wait_for(both.wait(), 5)
    stop.set()
    await asyncio.wait_for(running, 5)
    # then both came again and again
    assert failed._value.get() == runs["bad"] >= 3


async def test_a_worker_whose_store_is_away_fails_without_a_traceback(runtime: Runtime) -> None:
    # given one that a store does not answer, and one with a fault of ours
    runs, again = 0, asyncio.Event()

    async def waits(_: Runtime) -> None:
        nonlocal runs
        runs += 1
        if runs == 4:
            again.set()
        if runs == 3:
            return
        raise UpstreamUnavailable("Redis did not answer in time.")

    async def breaks(_: Runtime) -> None:
        raise ValueError("no")

    failed = metrics.worker_runs_total.labels("waits", "failed")
    stop = asyncio.Event()
    timetable = {"waits": Worker(0.001, waits), "breaks": Worker(60, breaks)}
    # when they run
    with capture_logs() as lines:
        running = asyncio.create_task(run_workers(runtime, list(timetable), stop, timetable))
        await asyncio.wait_for(again.wait(), 5)
        stop.set()
        await asyncio.wait_for(running, 5)
    # then each outage is one line, its end another; the fault is told with its traceback
    own_lines = [line for line in lines if line.get("worker") == "waits"]
    assert [(line["event"], line["log_level"]) for line in own_lines[:3]] == [
        ("worker_upstream_unavailable", "warning"),
        ("worker_upstream_recovered", "info"),
        ("worker_upstream_unavailable", "warning"),
    ]
    assert len(own_lines) == 3
    assert not any("exc_info" in line for line in own_lines)
    assert failed._value.get() == runs - 1 >= 3
    (fault,) = [line for line in lines if line.get("worker") == "breaks"]
    assert isinstance(fault["exc_info"], ValueError)


async def test_an_unknown_worker_is_an_error_at_once(runtime: Runtime) -> None:
    with pytest.raises(KeyError):
        await run_workers(runtime, ["make_coffee"], asyncio.Event())


def test_flushing_finishes_what_it_began() -> None:
    assert WORKERS["flush_progress"].run is flush_progress
    assert WORKERS["flush_progress"].finish is finish_flushing
