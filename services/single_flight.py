"""One computation per key in a process: whoever asks meanwhile gets the same answer.

A caller that goes away neither cancels the others nor leaves the key poisoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class SingleFlight(Generic[V]):
    """`compute` must be bounded in time: nobody can cancel it once it runs."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[V]] = {}

    async def run(self, key: str, compute: Callable[[], Awaitable[V]]) -> V:
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(compute())
            self._running[key] = running
            running.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(running)

    def _land(self, key: str, done: asyncio.Future[V]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # seen, even when every caller went away
