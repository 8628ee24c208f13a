"""One computation per key in a process; concurrent callers share its result.

A cancelled caller neither cancels the others nor leaves a broken key behind.
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
    """Running computations by key.

    Args:
        cancel_abandoned: cancel a computation that lost all its callers, instead of finishing it.
    """

    def __init__(self, *, cancel_abandoned: bool = False) -> None:
        self._running: dict[str, _Flight[V]] = {}
        self._cancel_abandoned = cancel_abandoned

    async def run(self, key: str, compute: Callable[[], Awaitable[V]]) -> V:
        """Return the result of the running computation, or start `compute`, bounded in time."""
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
            flight.result.exception()  # retrieved, or asyncio would log it where no caller is left

    def _forget(self, key: str, flight: _Flight[V]) -> None:
        if self._running.get(key) is flight:
            del self._running[key]
