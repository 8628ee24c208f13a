"""Delivery of a subscription's answers: straight to the socket's transport, while the client reads.

An answer is encoded once for all who get it; here it only gets its operation's id and the frame's
head. While a client does not read, answers wait in its feed, which keeps the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import orjson

from graph.engine.live_streams import LiveStream
from graph.engine.operations import Answer

WIRE = "marquee.wire"  # the scope's extension with the socket's wire
_END = b"}"


class Wire(Protocol):
    """A socket's transport."""

    @property
    def is_writable(self) -> bool:
        """Whether the socket is open and its client has read enough."""

    def write_text(self, parts: tuple[bytes, ...]) -> None:
        """Write a text message, given in parts; returns at once."""

    def add_writer(self, on_writable: Callable[[], None]) -> None:
        """Call this whenever the client has read enough again."""

    def remove_writer(self, on_writable: Callable[[], None]) -> None:
        """Call it no more."""


class LiveDelivery:
    """One subscription of a socket, whose stream is open and pushed."""

    __slots__ = ("_ended", "_head", "_stream", "_wire")

    def __init__(self, stream: LiveStream[Answer], wire: Wire, operation_id: str) -> None:
        self._stream = stream
        self._wire = wire
        self._head = b'{"type":"next","id":%b,"payload":' % orjson.dumps(operation_id)
        self._ended: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> Answer | None:
        """Deliver until the stream ends; returns the refusal that ended it, if one did."""
        self._stream.listen(self._flush)
        self._wire.add_writer(self._flush)
        try:
            self._flush()
            return await self._ended
        finally:
            self.stop()

    def stop(self) -> None:
        """Deliver nothing more, from this moment on; may be called again."""
        self._wire.remove_writer(self._flush)
        self._stream.close()

    def _flush(self) -> None:
        """Write what is ready; never raises, as publishers call it."""
        try:
            while self._wire.is_writable and (answer := self._stream.take()) is not None:
                if not answer.started:
                    return self._end(answer)
                self._wire.write_text((self._head, answer.encoded(), _END))
            if self._stream.is_ended:
                self._end(None)
        except Exception as error:
            if not self._ended.done():
                self._ended.set_exception(error)

    def _end(self, refusal: Answer | None) -> None:
        if not self._ended.done():
            self._ended.set_result(refusal)
