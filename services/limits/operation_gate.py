"""How many operations run at once in a process, and how soon the others are refused.

The limit holds while the process is busy itself. Operations that only wait for stores leave the
loop idle, and more of them may run. Whoever would wait too long is refused at once.
"""

from __future__ import annotations

import asyncio

from services.errors import Overloaded
from services.limits.fair_queue import BUSY_MESSAGE, FairQueue
from services.telemetry import metrics
from services.telemetry.thread_time import read_runnable_seconds

_BUSY_LAG_SECONDS = 0.01
_BUSY_SHARE = 0.5  # of the time, in which the thread computes or waits for a processor
_TICK_SECONDS = 0.02
_IDLE_FACTOR = 16  # of the limit, for operations that only wait
_MAX_URGENT_FACTOR = 64
_OVERLOADED_SHARE = 0.5  # of the longest wait
_WEIGHT = 0.05  # of the newest operation


class OperationGate:
    """The operations of one process.

    Args:
        limit: how many run at once while the process is busy.
        queued: how many may wait.
        queue_seconds: how long one may have to wait; who would wait longer is refused at once.
    """

    def __init__(self, limit: int, queued: int, queue_seconds: float) -> None:
        self._limit = limit
        self._max_queued = queued
        self._queue_seconds = queue_seconds
        self._queue = FairQueue()
        self._running = 0
        self._mean_seconds = 0.0  # of the last operations
        self._tick: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        """How many operations run."""
        return self._running

    @property
    def is_overloaded(self) -> bool:
        """Whether about as many wait as may, or for about as long."""
        waiting = len(self._queue)
        seconds = waiting * self._mean_seconds / self._limit
        return (
            waiting > _OVERLOADED_SHARE * self._max_queued
            or seconds > _OVERLOADED_SHARE * self._queue_seconds
        )

    def try_enter(self, *, is_urgent: bool = False) -> bool:
        """Take a place if one is free now.

        Args:
            is_urgent: is refused last, and never waits.

        Raises:
            Overloaded: even urgent operations are too many.
        """
        if is_urgent:
            if self._running >= _MAX_URGENT_FACTOR * self._limit:
                raise self._refuse()
        elif self._running >= self._limit or len(self._queue):
            return False
        self._running += 1
        return True

    async def enter(self, key: str) -> None:
        """Wait for a place.

        Args:
            key: the client's address; addresses are served in turn.

        Raises:
            Overloaded: the place would come too late.
        """
        seconds = self._queue.count_ahead(key) * self._mean_seconds / self._limit
        if seconds > self._queue_seconds or len(self._queue) >= self._max_queued:
            raise self._refuse()
        if self._tick is None:
            self._schedule_tick()
        metrics.operations_queued_total.inc()
        try:
            async with asyncio.timeout(2 * self._queue_seconds):
                await self._queue.wait(key)
        except TimeoutError:
            raise self._refuse() from None
        self._running += 1

    def leave(self, seconds: float) -> None:
        """Give the place back after so long."""
        self._running -= 1
        self._mean_seconds += _WEIGHT * (seconds - self._mean_seconds)
        if self._running < self._limit:
            self._queue.wake_next()

    def _refuse(self) -> Overloaded:
        metrics.operations_refused_total.inc()
        return Overloaded(BUSY_MESSAGE, retry_after_seconds=1)

    # ---- while operations wait

    def _schedule_tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._tick = loop.call_at(now + _TICK_SECONDS, self._on_tick, now, read_runnable_seconds())

    def _on_tick(self, started_at: float, runnable_before: float) -> None:
        """Let more operations in where the loop is idle: those that run wait for stores."""
        self._tick = None
        seconds = asyncio.get_running_loop().time() - started_at
        is_late = seconds - _TICK_SECONDS > _BUSY_LAG_SECONDS
        runnable_seconds = read_runnable_seconds() - runnable_before
        if not is_late and runnable_seconds < _BUSY_SHARE * seconds:
            room = min(self._limit, _IDLE_FACTOR * self._limit - self._running)
            for _ in range(room):
                if not self._queue.wake_next():
                    break
        if len(self._queue):
            self._schedule_tick()
