"""Parents of a batched field that graphql-core asks for one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from graph.base.core_batching import run_in_batch
from services.errors import NotFound

Batches = list[list[str]]


def lengths(batches: Batches, wait: Callable[[], Any] = lambda: asyncio.sleep(0)) -> Any:
    async def call(parents: list[str]) -> list[Any]:
        batches.append(list(parents))
        await wait()
        return [NotFound("No one.") if parent == "one" else len(parent) for parent in parents]

    return call


async def test_calls_of_the_same_moment_are_one_batch() -> None:
    batches: Batches = []
    waiting: dict[Any, Any] = {}
    call = lengths(batches)

    async def later(parent: str, turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        length: int = await run_in_batch(waiting, "key", call, parent)
        return length

    # given parents whose siblings differ by a turn of the loop
    results = await asyncio.gather(later("a", 0), later("bb", 1), later("ccc", 1), later("dd", 0))
    assert (results, batches, waiting) == ([1, 2, 3, 2], [["a", "dd", "bb", "ccc"]], {})


async def test_other_keys_are_other_batches_and_a_later_parent_begins_anew() -> None:
    batches: Batches = []
    waiting: dict[Any, Any] = {}
    call = lengths(batches)
    await asyncio.gather(
        run_in_batch(waiting, "key", call, "a"), run_in_batch(waiting, "other", call, "bb")
    )
    await run_in_batch(waiting, "key", call, "ccc")
    assert batches == [["a"], ["bb"], ["ccc"]]


async def test_one_parents_failure_is_its_own_and_a_whole_one_everybodys() -> None:
    waiting: dict[Any, Any] = {}
    one, two = await asyncio.gather(
        *(run_in_batch(waiting, "key", lengths([]), parent) for parent in ("one", "two")),
        return_exceptions=True,
    )
    assert isinstance(one, NotFound)
    assert two == 3

    async def short(_parents: list[str]) -> list[int]:
        return [1]

    results = await asyncio.gather(
        *(run_in_batch(waiting, "key", short, parent) for parent in "ab"), return_exceptions=True
    )
    assert [str(error) for error in results] == ["one result per parent is needed"] * 2


async def test_a_parent_that_is_given_up_takes_nothing_from_the_others() -> None:
    batches: Batches = []
    waiting: dict[Any, Any] = {}
    release, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        try:
            await release.wait()
        finally:
            ended.set()

    call = lengths(batches, wait)
    first, second = (
        asyncio.create_task(run_in_batch(waiting, "key", call, parent)) for parent in ("a", "bb")
    )
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first], timeout=1)
    assert not ended.is_set()
    release.set()
    assert await second == 2
    # and when all are given up, so is the batch
    release.clear()
    ended.clear()
    only = asyncio.create_task(run_in_batch(waiting, "key", call, "a"))
    await asyncio.sleep(0.01)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    async with asyncio.timeout(1):
        await ended.wait()
    assert waiting == {}
