"""One pipelined connection to Redis: calls leave together, answers are matched in their order.

Promise: an answer reaches its own caller or nobody. Whatever goes wrong (a reset, a silence, half
an answer, an answer too many) ends the connection, and with it the calls under way on it, at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from hiredis import PushNotification
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from services.redis.wire.deadlines import Deadlines
from services.redis.wire.driver import INCOMPLETE, DriverConnection, build_reader

MOST_UNDER_WAY = 256  # calls: a few milliseconds of Redis's time
_MOST_WRITE_BYTES = 1_048_576  # in one write, or what one call has


class Call(NamedTuple):
    """A packed command, and where its answer goes: a value, or the error, not raised."""

    packed: bytes
    answer: asyncio.Future[Any]


class WireConnection(asyncio.Protocol):
    """Takes the transport of a connection that redis-py opened.

    Args:
        timeout_seconds: for an answer.
        on_room: called when it takes calls again, after it took none.
        on_end: called once when it has ended, with the error; None: it was closed.
    """

    def __init__(
        self,
        driver: DriverConnection,
        timeout_seconds: float,
        *,
        on_room: Callable[[], None],
        on_end: Callable[[WireConnection, RedisError | None], None],
    ) -> None:
        self._driver = driver
        self._transport = driver.transport
        self._reader = build_reader()
        self._under_way: deque[asyncio.Future[Any]] = deque()
        self.sent = 0  # calls so far
        self._deadlines = Deadlines(timeout_seconds, self._count_answers, self._on_late)
        self._on_room = on_room
        self._on_end = on_end
        self._is_ended = False
        self._is_retired = False
        self._is_paused = False  # the socket does not keep up
        self._is_full = False  # calls wait for room
        driver.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        """Whether it takes calls, now or once there is room."""
        return not self._is_ended and not self._is_retired and not self._transport.is_closing()

    def send(self, calls: deque[Call]) -> int:
        """Send calls from the left in one write; those that stay in `calls` wait for room.

        Returns:
            The bytes that were taken off, with those of calls whose caller has left.
        """
        under_way = self._under_way
        taken = written = 0
        most = 0 if self._is_paused else _MOST_WRITE_BYTES
        pieces = []
        while calls and written < most and len(under_way) < MOST_UNDER_WAY:
            packed, answer = calls.popleft()
            taken += len(packed)
            if not answer.done():
                written += len(packed)  # alone: no answer would call for more after the others
                pieces.append(packed)
                under_way.append(answer)
        self._is_full = bool(calls)
        if pieces:
            self.sent += len(pieces)
            self._deadlines.add(self.sent)
            self._transport.write(b"".join(pieces) if len(pieces) > 1 else pieces[0])
        return taken

    def retire(self) -> None:
        """Take no more calls, and end when those under way are answered."""
        self._is_retired = True
        if not self._under_way:
            self.end(None)

    def end(self, error: RedisError | None) -> None:
        """End it at once; the calls under way fail with the error."""
        if self._is_ended:
            return
        self._is_ended = True
        self._deadlines.cancel()
        self._transport.abort()
        self._driver.forget()
        failure = error or ConnectionError("The connection to Redis was closed.")
        while self._under_way:
            answer = self._under_way.popleft()
            if not answer.done():
                answer.set_result(failure)
        self._on_end(self, error)

    def data_received(self, data: bytes) -> None:
        """Hand out the answers that are whole; one that nobody waits for ends the connection."""
        try:
            self._reader.feed(data)
            self._hand_out()
        except RedisError as error:
            self.end(error)
            return
        if self._is_retired and not self._under_way:
            self.end(None)
        elif self._is_full and not self._is_paused:
            self._is_full = False
            self._on_room()

    def _hand_out(self) -> None:
        under_way, get_answer = self._under_way, self._reader.gets
        while (answer := get_answer()) is not INCOMPLETE:
            if isinstance(answer, PushNotification):  # of RESP3: it answers nobody
                continue
            if not under_way:
                raise ConnectionError("Redis said more than it was asked.")
            caller = under_way.popleft()
            if not caller.done():  # else it has left
                caller.set_result(answer)
            if isinstance(answer, ConnectionError):  # it serves nobody on this connection
                raise answer

    def pause_writing(self) -> None:
        """Send nothing while the socket does not keep up."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Send again."""
        self._is_paused = False
        if self._is_full:
            self._is_full = False
            self._on_room()

    def eof_received(self) -> None:
        """Fail the calls under way; what is not sent yet nobody reads."""
        self.end(ConnectionError("Redis closed the connection."))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the calls under way."""
        self.end(ConnectionError(f"The connection to Redis ended: {error!r}"))

    def _count_answers(self) -> int:
        return self.sent - len(self._under_way)

    def _on_late(self) -> None:
        self.end(TimeoutError("Redis did not answer in time."))
