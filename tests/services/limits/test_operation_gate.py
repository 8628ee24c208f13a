"""A busy process runs so many operations at once, and tells the others early that it is busy."""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest

from services.errors import Overloaded
from services.limits.operation_gate import OperationGate


class Load:
    """Operations through a gate; `outcomes` in the order they ended."""

    def __init__(self, gate: OperationGate) -> None:
        self.gate = gate
        self.outcomes: list[str] = []
        self.most_running = 0
        self.refused_after: list[float] = []

    async def run(self, key: str, *, computing: float = 0.0, waiting: float = 0.0) -> None:
        arrived = time.perf_counter()
        try:
            if not self.gate.try_enter():
                await self.gate.enter(key)
        except Overloaded as error:
            assert error.retry_after_seconds
            self.refused_after.append(time.perf_counter() - arrived)
            self.outcomes.append(f"{key} refused")
            return
        started = time.perf_counter()
        self.most_running = max(self.most_running, self.gate.running)
        try:
            for _ in range(5):
                _compute(computing / 5)
                await asyncio.sleep(waiting / 5)
        finally:
            self.gate.leave(time.perf_counter() - started)
        self.outcomes.append(key)


def _compute(seconds: float) -> None:
    ends_at = time.perf_counter() + seconds
    while time.perf_counter() < ends_at:
        pass


async def test_a_busy_process_runs_no_more_than_its_limit() -> None:
    load = Load(OperationGate(4, 1000, queue_seconds=10))
    async with asyncio.timeout(30):
        await asyncio.gather(*(load.run("a", computing=0.02) for _ in range(40)))
    assert load.outcomes == ["a"] * 40
    assert load.most_running <= 4
    assert load.gate.running == 0


async def test_while_the_loop_is_late_fewer_run() -> None:
    # given operations that each compute for 4 ms in a turn of the loop
    gate = OperationGate(32, 1000, queue_seconds=60)
    running: list[int] = []

    async def run() -> None:
        if not gate.try_enter():
            await gate.enter("a")
        running.append(gate.running)
        for _ in range(5):
            _compute(0.004)
            await asyncio.sleep(0)
        gate.leave(0.02)

    # when many more come than may run
    async with asyncio.timeout(60):
        await asyncio.gather(*(run() for _ in range(120)))
    # then as many as may run at first, and few once the loop was late
    assert max(running) == 32
    assert statistics.median(running[-40:]) <= 12
    # and once it is not, as many as ever
    async with asyncio.timeout(10):
        while not all(gate.try_enter() for _ in range(32)):
            for _ in range(gate.running):
                gate.leave(0.001)
            await asyncio.sleep(0.02)


async def test_operations_that_only_wait_for_stores_are_let_in_beyond_the_limit() -> None:
    # given fifty operations that wait for half a second each
    load = Load(OperationGate(4, 1000, queue_seconds=10))
    started = time.perf_counter()
    async with asyncio.timeout(30):
        await asyncio.gather(*(load.run("a", waiting=0.5) for _ in range(50)))
    # then they wait together: one after another, four at a time, they would take 6 seconds
    assert time.perf_counter() - started < 5
    assert load.most_running > 4


async def test_who_would_wait_too_long_is_refused_at_once() -> None:
    # given a gate that knows how long operations take
    load = Load(OperationGate(2, 1000, queue_seconds=0.3))
    for _ in range(40):
        await load.run("a", computing=0.02)

    # when far more come than it can run in time
    await asyncio.gather(*(load.run("a", computing=0.02) for _ in range(200)))

    # then some are served, and most of the others were told before anything else was done
    served = load.outcomes.count("a") - 40
    assert 10 <= served < 100
    assert sorted(load.refused_after)[len(load.refused_after) // 2] < 0.05
    assert load.gate.running == 0


async def test_no_more_wait_than_may() -> None:
    # given a gate with one place that is taken, and room for three to wait
    gate = OperationGate(1, 3, queue_seconds=10)
    for _ in range(16):
        assert gate.try_enter(is_urgent=True)
    waiting = [asyncio.create_task(gate.enter("a")) for _ in range(3)]
    await asyncio.sleep(0)
    # then a fourth is told at once, whatever its address
    assert gate.is_overloaded
    for key in ("a", "b"):
        with pytest.raises(Overloaded):
            await gate.enter(key)
        with pytest.raises(Overloaded):
            gate.check(key)  # before anything else is done for it
    for _ in range(16):
        gate.leave(0.001)
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)


async def test_an_address_that_floods_does_not_refuse_others() -> None:
    # given a queue that one address has filled
    load = Load(OperationGate(1, 1000, queue_seconds=0.5))
    for _ in range(40):
        await load.run("warm", computing=0.02)
    flood = [asyncio.create_task(load.run("flood", computing=0.02)) for _ in range(200)]
    await asyncio.sleep(0)

    # when another asks for one thing
    await load.run("other", computing=0.02)

    # then it is served while the flood waits
    assert "other" in load.outcomes
    assert load.outcomes.count("flood") < 20
    await asyncio.gather(*flood)


async def test_urgent_operations_do_not_wait_and_are_refused_last() -> None:
    # given a gate whose only place is taken
    gate = OperationGate(1, 1000, queue_seconds=1)
    assert gate.try_enter()
    assert not gate.try_enter()
    # then urgent ones enter beside it, but not without end
    entered = 0
    with pytest.raises(Overloaded):
        for _ in range(10_000):
            assert gate.try_enter(is_urgent=True)
            entered += 1
    assert entered > 10


async def test_a_cancelled_wait_takes_no_place() -> None:
    gate = OperationGate(1, 1000, queue_seconds=5)
    assert gate.try_enter()
    waiting = asyncio.create_task(gate.enter("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.leave(0.01)
    assert gate.running == 0
    assert gate.try_enter()
