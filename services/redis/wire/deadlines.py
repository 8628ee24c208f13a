"""Deadlines of calls that are answered in order, in time that this process spent listening.

Promise: while the process is busy no time passes, so that an answer which lies unread is never
called late; one timer serves all calls of a connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

_MAX_SLICE_SECONDS = 0.05
_LAST_LOOK_SECONDS = 0.001  # for what arrived during the last slice to be read


class Deadlines:
    """Deadlines of what was sent on one connection.

    Args:
        seconds: from the sending of a call to its answer.
        count_answers: how many calls were answered so far.
        on_late: called once, when a call was not answered in time.
    """

    __slots__ = (
        "_count_answers",
        "_listened",
        "_loop",
        "_on_late",
        "_seconds",
        "_sent",
        "_slice",
        "_slice_began",
        "_timer",
    )

    def __init__(
        self, seconds: float, count_answers: Callable[[], int], on_late: Callable[[], None]
    ) -> None:
        self._seconds = seconds
        self._count_answers = count_answers
        self._on_late = on_late
        self._loop = asyncio.get_running_loop()
        self._listened = 0.0
        self._slice = self._slice_began = 0.0
        self._sent: deque[tuple[int, float]] = deque()  # calls up to this one, by then
        self._timer: asyncio.TimerHandle | None = None

    def add(self, sent: int) -> None:
        """Note a sending: `sent` calls have left so far."""
        if self._timer is None:
            self._schedule(min(self._seconds, _MAX_SLICE_SECONDS))
        passed = min(self._loop.time() - self._slice_began, self._slice)
        self._sent.append((sent, self._listened + passed + self._seconds))

    def cancel(self) -> None:
        """Forget all deadlines."""
        self._sent.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, seconds: float) -> None:
        self._slice = seconds
        self._slice_began = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._on_slice)

    def _on_slice(self) -> None:
        self._listened += self._slice  # one that took longer was not all spent listening
        self._timer = None
        remaining = self._remaining_seconds()
        if remaining is None:
            return
        if remaining > 0:
            self._schedule(min(remaining, _MAX_SLICE_SECONDS))
        else:
            self._slice = 0.0
            self._timer = self._loop.call_later(_LAST_LOOK_SECONDS, self._expire)

    def _expire(self) -> None:
        self._timer = None
        remaining = self._remaining_seconds()
        if remaining is None:
            return
        if remaining > 0:
            self._schedule(min(remaining, _MAX_SLICE_SECONDS))
        else:
            self._on_late()

    def _remaining_seconds(self) -> float | None:
        """Time left of the first call that is not answered; None: all are."""
        answered, sent = self._count_answers(), self._sent
        while sent and sent[0][0] <= answered:
            sent.popleft()
        return sent[0][1] - self._listened if sent else None
