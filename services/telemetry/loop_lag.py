"""How late the event loop runs what is due: our own delay, which is no store's.

A timer measures it twenty times a second. While it is long, a store's deadline may pass although
its answer is here, unread.
"""

from __future__ import annotations

import asyncio

from services.telemetry import metrics

_TICK_SECONDS = 0.05
_WINDOW_SECONDS = 1.0


class LoopLag:
    """Longest delay of the current and of the last second."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._window_ends_at = 0.0
        self._current = self._previous = 0.0
        self.latest_seconds = 0.0

    @property
    def recent_seconds(self) -> float:
        """Longest delay within the last second or two, with one that lasts still."""
        if self._timer is None:
            return 0.0
        overdue = asyncio.get_running_loop().time() - self._due_at
        return max(self._current, self._previous, overdue)

    def start(self) -> None:
        """Measure in the running loop, until `stop`."""
        self.stop()
        self._schedule(asyncio.get_running_loop())

    def stop(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._current = self._previous = self.latest_seconds = 0.0

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_at = loop.time() + _TICK_SECONDS
        self._timer = loop.call_at(self._due_at, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self.latest_seconds = max(0.0, now - self._due_at)
        if now >= self._window_ends_at:
            self._previous, self._current = self._current, 0.0
            self._window_ends_at = now + _WINDOW_SECONDS
            metrics.event_loop_lag_seconds.set(max(self._previous, self.latest_seconds))
        self._current = max(self._current, self.latest_seconds)
        self._schedule(loop)


loop_lag = LoopLag()
