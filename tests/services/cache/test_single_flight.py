from __future__ import annotations

import asyncio

import pytest

from services.cache.single_flight import SingleFlight


async def test_a_failure_reaches_everybody_and_the_next_one_tries_again() -> None:
    flights: SingleFlight[int] = SingleFlight()
    runs = 0

    async def compute() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.01)
        if runs == 1:
            raise KeyError("once")
        return runs

    failed = await asyncio.gather(
        *(flights.run("a", compute) for _ in range(3)), return_exceptions=True
    )
    assert [type(error) for error in failed] == [KeyError] * 3
    assert await flights.run("a", compute) == 2


async def test_the_last_caller_leaving_poisons_nothing() -> None:
    flights: SingleFlight[str] = SingleFlight()
    release = asyncio.Event()

    async def compute() -> str:
        await release.wait()
        return "done"

    only = asyncio.create_task(flights.run("a", compute))
    await asyncio.sleep(0)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    again = asyncio.create_task(flights.run("a", compute))
    await asyncio.sleep(0)
    release.set()
    assert await again == "done"


async def test_only_the_last_caller_leaving_stops_what_nobody_wants() -> None:
    flights: SingleFlight[str] = SingleFlight(cancel_abandoned=True)
    ended: list[str] = []

    async def compute() -> str:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append("ended")
        return "done"

    # given two callers of one computation
    one, other = (asyncio.create_task(flights.run("a", compute)) for _ in range(2))
    await asyncio.sleep(0)
    # when one leaves, then it runs on
    one.cancel()
    await asyncio.wait([one])
    assert ended == []
    # when the other leaves as well, then it is cancelled
    other.cancel()
    await asyncio.wait([other])
    await asyncio.sleep(0)
    assert ended == ["ended"]


async def test_who_comes_while_it_is_being_stopped_gets_a_computation_of_its_own() -> None:
    flights: SingleFlight[str] = SingleFlight(cancel_abandoned=True)
    runs = 0

    async def compute() -> str:
        nonlocal runs
        runs += 1
        await asyncio.sleep(30 if runs == 1 else 0)
        return f"run {runs}"

    only = asyncio.create_task(flights.run("a", compute))
    await asyncio.sleep(0)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    assert await flights.run("a", compute) == "run 2"
