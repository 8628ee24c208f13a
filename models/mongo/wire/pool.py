"""Connections to one server: idle ones are used again, more are opened for callers who wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any

from pymongo.errors import NetworkTimeout, PyMongoError, WaitQueueTimeoutError

from models.mongo.wire.connection import WireConnection
from models.mongo.wire.driver import DriverConnection

_MOST_OPENING = 2  # at a time, as in PyMongo's own pool


class NoConnection(Exception):
    """None could be opened; PyMongo's topology has been told why."""


Outcome = WireConnection | NoConnection | PyMongoError


class WirePool:
    """Connections to one server.

    Args:
        open_connection: opens one by PyMongo, or raises its error.
        most: connections at most.
        is_full: whether PyMongo, too, has no connection left to open.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[DriverConnection]],
        most: int,
        is_full: Callable[[], bool],
    ) -> None:
        self._open_connection = open_connection
        self._most = most
        self._is_full = is_full
        self._idle: list[WireConnection] = []
        self._open: set[WireConnection] = set()
        self._waiters: deque[asyncio.Future[Outcome]] = deque()
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def load(self) -> int:
        """Calls that use or wait for a connection."""
        return len(self._open) - len(self._idle) + len(self._waiters)

    async def acquire(self, seconds: float) -> WireConnection:
        """Take a connection that nobody uses, waiting for one if need be.

        Raises:
            WaitQueueTimeoutError: all were in use for this long, these or PyMongo's.
            NetworkTimeout: none could be opened for this long.
            NoConnection: none could be opened.
        """
        while self._idle:  # then nobody waits
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            self._drop(connection)
        return await self._wait(seconds)

    def release(self, connection: WireConnection) -> None:
        """Give back a connection; one that cannot be used again is ended."""
        if self._is_closed or not connection.is_usable:
            self._drop(connection)
            return
        if not self._serve(connection):
            self._idle.append(connection)

    async def discard(self, connection: WireConnection, error: PyMongoError) -> None:
        """End a connection for an error, and tell PyMongo's topology before this returns."""
        self._forget(connection)
        connection.abort()
        await asyncio.shield(self._spawn(connection.driver.aclose(error)))

    def close(self) -> None:
        """End idle connections now, others once they are given back."""
        self._is_closed = True
        self._settle_waiters(NoConnection())
        while self._idle:
            self._idle.pop().abort()

    async def aclose(self) -> None:
        """Close it, and wait until PyMongo has its connections back."""
        self.close()
        for connection in list(self._open):
            self._end(connection)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _wait(self, seconds: float) -> WireConnection:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Outcome] = loop.create_future()
        self._waiters.append(waiter)
        self._grow()
        timer = loop.call_later(seconds, self._expire, waiter)
        try:
            outcome = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._return_outcome(waiter.result())
            raise
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _return_outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, WireConnection):
            self.release(outcome)

    def _expire(self, waiter: asyncio.Future[Outcome]) -> None:
        if waiter.done():
            return
        if len(self._open) >= self._most or self._is_full():  # busy, which is no outage
            waiter.set_result(WaitQueueTimeoutError("All connections for reads are in use."))
        else:
            waiter.set_result(NetworkTimeout("No connection could be opened in time."))

    def _serve(self, connection: WireConnection) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _settle_waiters(self, outcome: NoConnection) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(outcome)

    def _grow(self) -> None:
        """Open connections for those who wait, a few at a time."""
        if self._is_closed:
            self._settle_waiters(NoConnection())
        wanted = min(len(self._waiters), _MOST_OPENING, self._most - len(self._open))
        while self._opening < wanted:
            self._opening += 1
            self._spawn(self._open_one())

    async def _open_one(self) -> None:
        try:
            driver = await self._open_connection()
        except Exception:  # whatever it was, PyMongo comes upon it too, and words it
            if not self._open:  # else those who wait get one of these
                self._settle_waiters(NoConnection())
            return
        finally:
            self._opening -= 1
        connection = WireConnection(driver, self._end)
        self._open.add(connection)
        self.release(connection)
        self._grow()

    def _drop(self, connection: WireConnection) -> None:
        """End a connection, also one that had ended before it was ours, which nobody would tell."""
        connection.abort()
        self._end(connection)

    def _end(self, connection: WireConnection) -> None:
        """Free the place of a connection that has ended by itself or was aborted."""
        if connection in self._open:
            self._forget(connection)
            self._spawn(connection.driver.aclose(None))
        self._grow()

    def _forget(self, connection: WireConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run beside the callers, without what their context bounds, such as a deadline."""
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
