"""Short commands of a process to one server: queued, sent once per iteration of the loop.

A connection is opened for the first call and again for the first one after its end. Calls that
were sent fail with their connection, and are not repeated: they may have run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

from hiredis import pack_command
from redis.exceptions import (
    ConnectionError,
    RedisError,
    TimeoutError,
)

from services.errors import UpstreamUnavailable
from services.redis.connection import CLOSED_TO_US
from services.redis.guard import Guard
from services.redis.wire.connection import Call, WireConnection
from services.redis.wire.driver import IS_TRIED_VERSION, DriverConnection
from services.telemetry import metrics

MOST_COMMAND_BYTES = 1_048_576  # larger ones would hold up the others
_MOST_WAITING_CALLS = 10_000  # beyond it calls are refused with a Retry-After
_MOST_WAITING_BYTES = 16 * MOST_COMMAND_BYTES
_TOO_MANY = "Too many calls wait for Redis."


class Fallback(Exception):
    """redis-py is to send the command.

    Args:
        reason: setup (another redis-py than those tried) or too_large.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        metrics.redis_fallback_calls_total.labels(reason).inc()


class WireClient:
    """Sender of one server's calls; a link has one (link.py).

    Args:
        open_connection: opens a connection by redis-py, or raises a RedisError.
        timeout_seconds: for an answer.
    """

    def __init__(
        self,
        guard: Guard,
        open_connection: Callable[[], Awaitable[DriverConnection]],
        timeout_seconds: float,
    ) -> None:
        self._guard = guard
        self._open_connection = open_connection
        self._timeout_seconds = timeout_seconds
        self._waiting: deque[Call] = deque()
        self._waiting_bytes = 0
        self._is_scheduled = False
        self._connection: WireConnection | None = None
        self._generation = guard.generation  # of the guard, when the connection was opened
        self._open: set[WireConnection] = set()  # retired ones too
        self._opening: asyncio.Task[None] | None = None
        self._is_closed = False

    def send(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command with the others of this iteration of the loop.

        Returns:
            A future of the answer; errors are its result (RedisError), not raised.

        Raises:
            UpstreamUnavailable: too many calls wait.
            Fallback: redis-py is to send it.
            TypeError: an argument cannot be sent.
        """
        packed = pack_command(command)
        size = len(packed)
        if size > MOST_COMMAND_BYTES or not IS_TRIED_VERSION:
            raise Fallback("too_large" if IS_TRIED_VERSION else "setup")
        if (
            len(self._waiting) >= _MOST_WAITING_CALLS
            or self._waiting_bytes + size > _MOST_WAITING_BYTES
        ):
            metrics.redis_errors_total.inc()
            raise UpstreamUnavailable(_TOO_MANY, retry_after_seconds=1)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(Call(packed, answer))
        self._waiting_bytes += size
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._flush)
        return answer

    def close(self) -> None:
        """End all connections; calls fail."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
        for connection in list(self._open):
            connection.end(None)
        self._fail_waiting(ConnectionError("The connection to Redis was closed."))

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_scheduled = False
        if not self._waiting:
            return
        connection = self._usable_connection()
        if connection is None:
            self._open_one()
            return
        before = connection.sent
        self._waiting_bytes -= connection.send(self._waiting)
        if connection.sent > before:
            metrics.redis_lean_calls_total.inc(connection.sent - before)

    def _usable_connection(self) -> WireConnection | None:
        """The connection, unless it ended or a failure of the server may have ended it."""
        connection = self._connection
        if connection is None:
            return None
        if connection.is_usable and self._generation == self._guard.generation:
            return connection
        self._connection = None
        connection.retire()
        return None

    def _open_one(self) -> None:
        if self._is_closed:
            self._fail_waiting(ConnectionError("The connection to Redis was closed."))
        elif self._opening is None:
            # without what the caller's context bounds
            self._opening = asyncio.get_running_loop().create_task(
                self._run_opening(), context=Context()
            )
            self._opening.add_done_callback(self._finish_opening)

    async def _run_opening(self) -> None:
        try:
            driver = await self._open_connection()
            self._generation = self._guard.generation
            self._connection = WireConnection(
                driver,
                self._timeout_seconds,
                on_room=self._schedule,
                on_end=self._on_end,
            )
            self._open.add(self._connection)
        except RedisError as error:
            self._fail_waiting(error)
        except BaseException as error:  # or their callers would wait for ever
            self._fail_waiting(ConnectionError(f"No connection to Redis was opened: {error!r}"))
            raise

    def _finish_opening(self, opening: asyncio.Task[None]) -> None:
        self._opening = None
        if opening.cancelled():  # before it began, it may be
            self._fail_waiting(ConnectionError("No connection to Redis was opened."))
        self._flush()

    def _on_end(self, connection: WireConnection, error: RedisError | None) -> None:
        self._open.discard(connection)
        if connection is self._connection:
            self._connection = None
        if isinstance(error, (TimeoutError, *CLOSED_TO_US)):
            self._guard.record_failure(error)
            self._fail_waiting(error)
        elif error is not None:
            self._guard.record_lost_connection()
        if self._waiting:
            self._schedule()

    def _fail_waiting(self, error: RedisError) -> None:
        waiting, self._waiting = self._waiting, deque()
        self._waiting_bytes = 0
        for call in waiting:
            if not call.answer.done():
                call.answer.set_result(error)
