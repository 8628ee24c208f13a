"""One connection to MongoDB with one command at a time; whatever goes wrong ends it.

Promise: an answer reaches the request it answers or nobody. A caller that leaves in the middle of
an answer takes the connection with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pymongo.errors import NetworkTimeout

from models.mongo.wire.driver import DriverConnection
from models.mongo.wire.framing import AnswerBuffer, MalformedAnswer, extract_document

# An answer that has arrived while the process was busy is still read; timers come first.
_GRACE_SECONDS = 0.005


class ConnectionLost(Exception):
    """The connection ended before the answer was whole."""


class WireConnection(asyncio.Protocol):
    """Takes the transport of a connection that PyMongo opened.

    Args:
        driver: the connection; it must be idle.
        on_end: called once when the connection has ended.
    """

    def __init__(self, driver: DriverConnection, on_end: Callable[[WireConnection], None]) -> None:
        self.driver = driver
        self._on_end = on_end
        self._transport = driver.transport
        self._loop = asyncio.get_running_loop()
        self._buffer = AnswerBuffer(driver.most_message_bytes)
        self._answer: asyncio.Future[bytes] | None = None
        self._used_at = time.monotonic()
        self._is_closed = self._transport.is_closing()
        self._transport.set_protocol(self)
        if not self._is_closed:
            self._transport.resume_reading()  # PyMongo pauses it between its answers

    @property
    def is_usable(self) -> bool:
        """Whether a command may be sent on it: it is open, idle, and not for too long."""
        most = self.driver.most_idle_seconds
        if most is not None and time.monotonic() - self._used_at > most:
            return False
        return not self._is_closed and self._answer is None and self.driver.is_current

    async def run(self, request_id: int, message: bytes, seconds: float) -> bytes:
        """Send a request; returns the document of its answer.

        Raises:
            NetworkTimeout: no answer within `seconds`.
            ConnectionLost: the connection ended.
            MalformedAnswer: what arrived is none.
        """
        if self._is_closed:
            raise ConnectionLost
        answer = self._answer = self._loop.create_future()
        self._transport.write(message)
        timer = self._loop.call_later(seconds, self._expire, answer)
        try:
            document = extract_document(await answer, request_id)
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
        self._answer = None
        self._used_at = time.monotonic()
        return document

    def abort(self) -> None:
        """End the connection at once; whoever waits for an answer is told."""
        if not self._is_closed:
            self._is_closed = True
            self._transport.abort()

    def _expire(self, answer: asyncio.Future[bytes]) -> None:
        self._loop.call_later(_GRACE_SECONDS, self._fail, answer)

    def _fail(self, answer: asyncio.Future[bytes]) -> None:
        if not answer.done():
            host, port = self.driver.address
            answer.set_exception(NetworkTimeout(f"{host}:{port}: timed out"))

    def data_received(self, data: bytes) -> None:
        """Collect the answer; what nobody waits for ends the connection."""
        answer = self._answer
        if answer is None or answer.done():
            self.abort()
            return
        try:
            message = self._buffer.feed(data)
        except MalformedAnswer as error:
            answer.set_exception(error)
            return
        if message is not None:
            answer.set_result(message)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits, and PyMongo's own protocol, that nothing comes any more."""
        self._is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionLost())
        self.driver.protocol.connection_lost(error)
        self._on_end(self)
