"""How many operations run at once in a process, and how soon the others are refused.

The limit holds while the process is busy itself, and shrinks while the event loop is late: all that
run have their part of each of its turns, and nobody is answered, or refused, within one. Operations
that only wait for stores leave the loop idle, and more of them may run. Whoever would wait too long
is refused at once.
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
_LEAST_LIMIT = 4
_SHRINK = 0.75  # for each tick that is late
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
        self._current_limit = float(limit)
        self._max_queued = queued
        self._queue_seconds = queue_seconds
        self._queue = FairQueue()
        self._running = 0
        self._entering = 0  # got a place, and are about to run
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
        return (
            waiting > _OVERLOADED_SHARE * self._max_queued
            or self._estimate_seconds(waiting) > _OVERLOADED_SHARE * self._queue_seconds
        )

    def check(self, key: str) -> None:
        """Refuse early whom `enter` would refuse, before anything else is done or waited for.

        Raises:
            Overloaded: the place would come too late.
        """
        if self._running < self._current_limit and not len(self._queue):
            return
        seconds = self._estimate_seconds(self._queue.count_ahead(key))
        if seconds > self._queue_seconds or len(self._queue) >= self._max_queued:
            raise self._refuse()

    def _estimate_seconds(self, ahead: int) -> float:
        return ahead * self._mean_seconds / self._current_limit

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
        elif self._running + self._entering >= self._current_limit or len(self._queue):
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
        self.check(key)
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
        self._fill(self._current_limit)

    def _refuse(self) -> Overloaded:
        metrics.operations_refused_total.inc()
        return Overloaded(BUSY_MESSAGE, retry_after_seconds=1)

    # ---- while operations wait

    def _schedule_tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._tick = loop.call_at(now + _TICK_SECONDS, self._on_tick, now, read_runnable_seconds())

    def _on_tick(self, started_at: float, runnable_before: float) -> None:
        """Follow the loop: fewer operations while it is late, more where those wait for stores."""
        self._tick = None
        seconds = asyncio.get_running_loop().time() - started_at
        is_late = seconds - _TICK_SECONDS > _BUSY_LAG_SECONDS
        self._adapt(is_late=is_late)
        runnable_seconds = read_runnable_seconds() - runnable_before
        if not is_late and runnable_seconds < _BUSY_SHARE * seconds:
            running = self._running + self._entering
            self._fill(min(running + self._limit, _IDLE_FACTOR * self._limit))
        if len(self._queue) or self._current_limit < self._limit:
            self._schedule_tick()

    def _adapt(self, *, is_late: bool) -> None:
        """Shrink the limit fast, let it grow slowly, and fill what is free."""
        if is_late:
            least = min(_LEAST_LIMIT, self._limit)
            self._current_limit = max(least, _SHRINK * self._current_limit)
            return
        self._current_limit = min(self._limit, self._current_limit + 1)
        self._fill(self._current_limit)

    def _fill(self, limit: float) -> None:
        """Let those that wait enter while there are places."""
        while self._running + self._entering + 1 <= limit and self._queue.wake_next():
            self._entering += 1
            # after the waiter's own step, in which it begins to count as running
            asyncio.get_running_loop().call_soon(self._count_entered)

    def _count_entered(self) -> None:
        self._entering -= 1
