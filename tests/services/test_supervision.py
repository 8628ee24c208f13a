"""Endless tasks go on whatever happens to them, and are seen."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from services.supervision import SupervisedTask, TaskStatus, list_tasks
from services.telemetry import metrics
from tests.support.processes import until


def failures(name: str) -> float:
    return metrics.task_failures_total.labels(name)._value.get()


async def test_a_task_goes_on_after_any_failure_and_is_logged_once_per_outage() -> None:
    # given work that fails in different ways, and then goes well
    runs = 0
    gaps: list[int] = []

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("the handler is closed")
        if runs == 2:
            raise ValueError("nobody expected this")
        if runs == 3:
            foreign = asyncio.get_running_loop().create_future()
            foreign.cancel()
            await foreign  # a cancellation that is not the task's own
        await until(lambda: len(gaps) == 3)
        assert list_tasks()["test work"] is TaskStatus.RESTARTING
        task.record_success()
        await asyncio.Event().wait()

    task = SupervisedTask("test work", work, on_failure=lambda: gaps.append(runs))
    with structlog.testing.capture_logs() as logged:
        task.start()
        await until(lambda: list_tasks().get("test work") is TaskStatus.RUNNING and runs == 4)
    events = [one["event"] for one in logged if one.get("task") == "test work"]
    assert events == ["task_unavailable", "task_recovered"]
    assert failures("test work") == 3
    await task.aclose()
    assert "test work" not in list_tasks()


async def test_a_task_ends_though_its_cancellation_is_swallowed() -> None:
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            swallowed += 1
            if swallowed == 1:
                continue
            raise asyncio.CancelledError

    task = SupervisedTask("deaf work", work)
    task.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await task.aclose()
    assert swallowed == 2
