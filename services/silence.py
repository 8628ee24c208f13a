"""A limit on somebody's silence, in which only time counts that this process was listening.

An ordinary time-out also passes while this process is busy, and then ends a wait whose answer has
arrived and lies unread. That would tell our own delay as somebody else's failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_MAX_SLICE_SECONDS = 0.05
_LAST_LOOK_SECONDS = 0.001


@asynccontextmanager
async def limit_silence(seconds: float) -> AsyncIterator[None]:
    """End the wait of the block after so many seconds in which the event loop ran.

    Raises:
        TimeoutError: nothing came.
    """
    async with asyncio.timeout(None) as timeout:
        countdown = _Countdown(timeout, seconds)
        try:
            yield
        finally:
            countdown.cancel()


class _Countdown:
    """Slices of the time; one that is late counts as long as it should have taken."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._remaining = seconds
        self._loop = asyncio.get_running_loop()
        self._timer = self._schedule()

    def cancel(self) -> None:
        self._timer.cancel()

    def _schedule(self) -> asyncio.TimerHandle:
        seconds = min(self._remaining, _MAX_SLICE_SECONDS)
        self._remaining -= seconds
        return self._loop.call_later(seconds, self._on_slice)

    def _on_slice(self) -> None:
        if self._remaining > 0:
            self._timer = self._schedule()
        else:  # what arrived during the last slice is read before this
            self._timer = self._loop.call_later(_LAST_LOOK_SECONDS, self._expire)

    def _expire(self) -> None:
        self._timeout.reschedule(self._loop.time())
