"""Batched fields under graphql-core: parents of one pass of the event loop are one batch.

Batches are whole where siblings wait for the same things; else there are more of them, never wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Call = Callable[[list[Any]], Awaitable[Iterable[Any]]]
_MOST_PASSES = 3  # of the loop that bring more parents, before a batch goes


class _Batch:
    def __init__(self) -> None:
        self.parents: list[Any] = []
        self.results: list[asyncio.Future[Any]] = []
        self.task: asyncio.Task[None] | None = None


async def run_in_batch(waiting: dict[Any, Any], key: object, call: Call, parent: Any) -> Any:
    """Return this parent's result of `call`, made once for all parents with the same key.

    Args:
        waiting: the operation's open batches by key.
        call: takes all parents and returns one result (or Exception) per parent, in order.

    Raises:
        Exception: what `call` raises, or the Exception it returns for this parent.
    """
    batch: _Batch | None = waiting.get(key)
    if batch is None:
        batch = waiting[key] = _Batch()
        batch.task = asyncio.create_task(_run(waiting, key, call, batch))
    result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    batch.parents.append(parent)
    batch.results.append(result)
    try:
        return await result
    except asyncio.CancelledError:
        if batch.task is not None and all(one.done() for one in batch.results):
            batch.task.cancel()  # no caller waits
            _close(waiting, key, batch)
        raise


async def _run(waiting: dict[Any, Any], key: object, call: Call, batch: _Batch) -> None:
    await _quiet(batch)
    _close(waiting, key, batch)
    try:
        values = list(await call(batch.parents))
        if len(values) != len(batch.parents):
            raise RuntimeError("one result per parent is needed")
    except Exception as error:
        values = [error] * len(batch.parents)
    for result, value in zip(batch.results, values, strict=True):
        if result.done():
            continue  # cancelled
        if isinstance(value, Exception):
            result.set_exception(value)
        else:
            result.set_result(value)


def _close(waiting: dict[Any, Any], key: object, batch: _Batch) -> None:
    """Remove the batch, so that later parents start another one."""
    if waiting.get(key) is batch:
        del waiting[key]


async def _quiet(batch: _Batch) -> None:
    """Wait until a pass of the event loop brings no more parents."""
    for _ in range(_MOST_PASSES):
        before = len(batch.parents)
        await asyncio.sleep(0)
        if len(batch.parents) == before:
            return
