"""A queue that serves addresses in turn: one that asks a hundred times waits behind itself.

`Turns` lets one piece of work of the process's one thread go at a time, with all that is ready
beside it in between.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.errors import Overloaded

_RETRY_SECONDS = 1
BUSY_MESSAGE = "The server is busy: try again in a moment."


class FairQueue:
    """Waiters by key; each key's first waiter goes before any key's second."""

    def __init__(self) -> None:
        self._waiters: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def count_ahead(self, key: str) -> int:
        """Return how many waiters at most go before a new one of this key."""
        own = len(self._waiters.get(key, ()))
        return sum(min(len(waiters), own + 1) for waiters in self._waiters.values())

    def count_own(self, key: str) -> int:
        """Return how many of this key wait."""
        return len(self._waiters.get(key, ()))

    async def wait(self, key: str) -> None:
        """Wait for one's turn.

        Whoever is cancelled after the turn came passes it on by calling `wake_next`.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, deque()).append(waiter)
        self._length += 1
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.done() or waiter.cancelled():
                self._remove(key, waiter)
            else:
                self.wake_next()
            raise

    def wake_next(self) -> bool:
        """Give the next waiter its turn; false when nobody waits."""
        while self._waiters:
            key, waiters = next(iter(self._waiters.items()))
            waiter = waiters.popleft()
            self._length -= 1
            if waiters:
                self._waiters.move_to_end(key)
            else:
                del self._waiters[key]
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    def _remove(self, key: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(key)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            self._length -= 1
            if not waiters:
                del self._waiters[key]


class Turns:
    """One at a time, addresses in turn.

    Args:
        max_own: how many of one address may wait.
        max_waiting: how many may wait in all.
    """

    def __init__(self, *, max_own: int = 64, max_waiting: int = 1024) -> None:
        self._queue = FairQueue()
        self._is_taken = False
        self._max_own = max_own
        self._max_waiting = max_waiting

    @asynccontextmanager
    async def take(self, key: str) -> AsyncIterator[None]:
        """Hold the turn.

        Raises:
            Overloaded: too many wait already.
        """
        if self._is_taken:
            queue = self._queue
            if len(queue) >= self._max_waiting or queue.count_own(key) >= self._max_own:
                raise Overloaded(BUSY_MESSAGE, retry_after_seconds=_RETRY_SECONDS)
            await queue.wait(key)
        self._is_taken = True
        try:
            yield
        finally:
            # not at once: what is ready now goes before the next turn
            asyncio.get_running_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        if not self._queue.wake_next():
            self._is_taken = False
