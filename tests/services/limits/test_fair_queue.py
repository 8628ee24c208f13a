"""Addresses are served in turn, whatever one of them sends."""

from __future__ import annotations

import asyncio

import pytest

from services.errors import Overloaded
from services.limits.fair_queue import FairQueue, Turns


async def test_a_newcomer_waits_behind_one_of_each_other_address() -> None:
    # given forty waiters of one address, then one each of two others
    queue, served = FairQueue(), []

    async def wait(key: str) -> None:
        await queue.wait(key)
        served.append(key)

    waiting = [asyncio.create_task(wait("flood")) for _ in range(40)]
    await asyncio.sleep(0)
    assert queue.count_ahead("a") == 1
    waiting += [asyncio.create_task(wait(key)) for key in ("a", "b")]
    await asyncio.sleep(0)
    assert queue.count_ahead("flood") == 42

    # when they are woken one by one
    while queue.wake_next():
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)

    # then the others went second and third
    assert served[:4] == ["flood", "a", "b", "flood"]
    assert len(served) == 42
    assert len(queue) == 0


async def test_who_gives_up_is_skipped_and_loses_no_turn() -> None:
    queue = FairQueue()
    waiting = [asyncio.create_task(queue.wait("a")) for _ in range(3)]
    await asyncio.sleep(0)
    # when one gives up before its turn, and one as its turn comes
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert len(queue) == 2
    assert queue.wake_next()
    waiting[1].cancel()
    # then the last one gets it
    async with asyncio.timeout(5):
        await waiting[2]
    assert len(queue) == 0
    assert not queue.wake_next()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_turns_are_one_at_a_time_and_others_go_in_between() -> None:
    turns, inside, between = Turns(), 0, 0

    async def work() -> None:
        nonlocal inside
        async with turns.take("a"):
            inside += 1
            assert inside == 1
            inside -= 1

    async def watch() -> None:
        nonlocal between
        while True:
            await asyncio.sleep(0)
            between += 1

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(5):
        await asyncio.gather(*(work() for _ in range(50)))
    watching.cancel()
    assert between >= 49


async def test_an_address_has_so_many_waiters_and_others_still_get_in() -> None:
    turns = Turns(max_own=5)
    outcomes: list[str] = []

    async def work(key: str) -> None:
        try:
            async with turns.take(key):
                outcomes.append(key)
                await asyncio.sleep(0)
        except Overloaded:
            outcomes.append(f"{key} refused")

    await asyncio.gather(*(work("flood") for _ in range(20)), work("a"))
    assert outcomes.count("flood") == 6
    assert outcomes.count("flood refused") == 14
    assert outcomes.count("a") == 1

    # and the turn is free again afterwards, also after a fault
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        async with turns.take("a"):
            raise RuntimeError
    await asyncio.sleep(0)
    async with asyncio.timeout(5), turns.take("a"):
        pass
