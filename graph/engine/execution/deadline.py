"""One deadline per operation, watched by one timer per process.

A timer of its own for every wait costs about 10 us. Waits do not begin in the order of their ends
(an old operation begins a new one after a young operation did): a heap and one timer do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from heapq import heappop, heappush
from itertools import count
from typing import Any


class _Wait:
    __slots__ = ("at", "is_over", "task")

    def __init__(self, at: float, task: asyncio.Task[Any] | None) -> None:
        self.at = at
        self.task = task  # None when the wait ended by itself
        self.is_over = False


class DeadlineTimer:
    """Cancels waits whose deadline has passed, with one timer per process."""

    def __init__(self) -> None:
        self._waits: list[tuple[float, int, _Wait]] = []
        self._order = count()  # of those that end at the same time
        self._timer: asyncio.TimerHandle | None = None

    async def limit(self, awaitable: Awaitable[Any], at: float) -> Any:
        """Return the awaitable's result.

        Raises:
            TimeoutError: the loop's time reached `at` first; the awaitable was cancelled.
        """
        task = asyncio.current_task()
        assert task is not None
        wait = _Wait(at, task)
        self._add(wait)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if not wait.is_over or task.uncancel() > 0:
                raise  # somebody else cancelled, too
            raise TimeoutError from None
        finally:
            wait.task = None

    def _add(self, wait: _Wait) -> None:
        waits = self._waits
        while waits and waits[0][2].task is None:
            heappop(waits)
        heappush(waits, (wait.at, next(self._order), wait))
        if self._timer is not None and wait.at < self._timer.when():
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(wait.at, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now, waits = loop.time(), self._waits
        while waits and (waits[0][2].task is None or waits[0][0] <= now):
            _, _, wait = heappop(waits)
            if wait.task is not None:
                wait.is_over = True
                wait.task.cancel()
        self._timer = loop.call_at(waits[0][0], self._sweep) if waits else None


class Deadline:
    """The time at which one operation must end, in the loop's seconds."""

    __slots__ = ("_timer", "at")

    def __init__(self, watch: DeadlineTimer, seconds: float) -> None:
        self._timer = watch
        self.at = asyncio.get_running_loop().time() + seconds

    def limit(self, awaitable: Awaitable[Any]) -> Awaitable[Any]:
        """Await until the deadline at most; raises TimeoutError after it."""
        return self._timer.limit(awaitable, self.at)

    def remaining_seconds(self) -> float:
        """Return the seconds until the deadline, at least 0."""
        return max(0.0, self.at - asyncio.get_running_loop().time())
