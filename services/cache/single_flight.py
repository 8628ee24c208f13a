"""One computation per key in a process: whoever asks meanwhile gets the same answer.

A caller that goes away neither cancels the others nor leaves the key poisoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(slots=True, eq=False)
class _Flight(Generic[V]):
    result: asyncio.Future[V]
    callers: int = 0


class SingleFlight(Generic[V]):
    """`compute` must be bounded in time. Without callers it runs on, or is cancelled where
    `cancel_abandoned` says so."""

    def __init__(self, *, cancel_abandoned: bool = False) -> None:
        self._running: dict[str, _Flight[V]] = {}
        self._cancel_abandoned = cancel_abandoned

    async def run(self, key: str, compute: Callable[[], Awaitable[V]]) -> V:
        flight = self._running.get(key)
        if flight is None:
            flight = self._running[key] = _Flight(asyncio.ensure_future(compute()))
            flight.result.add_done_callback(lambda _done: self._land(key, flight))
        flight.callers += 1
        try:
            return await asyncio.shield(flight.result)
        finally:
            flight.callers -= 1
            if self._cancel_abandoned and not flight.callers and not flight.result.done():
                self._forget(key, flight)  # at once: nobody may join what is being cancelled
                flight.result.cancel()

    def _land(self, key: str, flight: _Flight[V]) -> None:
        self._forget(key, flight)
        if not flight.result.cancelled():
            flight.result.exception()  # seen, even when every caller went away

    def _forget(self, key: str, flight: _Flight[V]) -> None:
        if self._running.get(key) is flight:
            del self._running[key]
