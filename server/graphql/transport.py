"""Uvicorn's WebSocket protocol with limits where it has none.

They are for clients that do not read, that ping or send fragments without end, or that never finish
a close.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.transports import BaseTransport
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from server.graphql.delivery.live_delivery import WIRE
from server.portions import portions_of

MAX_FRAGMENTS = 1024
PINGS_PER_SECOND = 10.0
PINGS_AT_ONCE = 50.0
_LINGER_SECONDS = 5.0
_LIVE_BUFFER_BYTES = 16 * 1024  # beyond it a client is slow, and gets the newest when it has read
_TEXT = b"\x81"  # a whole message (RFC 6455, 5.2)


class BoundedSocket(WebSocketsSansIOProtocol):
    """A client that reads nothing for `ws_ping_timeout` seconds is disconnected."""

    _abort_timer: asyncio.TimerHandle | None = None
    _ping_tokens = PINGS_AT_ONCE
    _pinged_at = 0.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._writers: dict[Callable[[], None], None] = {}

    @property
    def is_open(self) -> bool:
        """Whether its handshake is done, and neither side has begun its end."""
        return self.handshake_complete and not self.close_sent and not self.transport.is_closing()

    async def run_asgi(self) -> None:
        extensions = cast(dict[str, Any], self.scope["extensions"])
        extensions[WIRE] = self
        try:
            await super().run_asgi()
        finally:
            del extensions[WIRE]  # a circle

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        tcp = transport.get_extra_info("socket")
        if tcp is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            # the kernel's part: what it holds for a client whose window stays shut
            timeout_ms = int((self.config.ws_ping_timeout or 0) * 1000)
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, in its turn: thousands may end at once."""
        self._cancel_abort()
        self.disconnected = True  # nothing is written from now on
        self._writers.clear()
        portions_of(self.loop).add(partial(self._forget, exc))

    def _forget(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.conn.parser.close()  # it holds `conn`: a cycle, which the collector would have to find

    def handle_close(self, event: Frame) -> None:
        portions_of(self.loop).add(partial(super().handle_close, event))

    # ---- clients that do not read

    def pause_writing(self) -> None:
        """Stop reading as well: answers and pongs would only add to what waits."""
        super().pause_writing()
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self._abort_timer = self.loop.call_later(
            self.config.ws_ping_timeout or 0, self.transport.abort
        )

    async def receive(self) -> ASGIReceiveEvent:
        """Receive a message, which resumes reading, unless the client must read first."""
        message = await super().receive()
        if not self.writable.is_set() and not self.transport.is_closing():
            self.transport.pause_reading()
        return message

    def resume_writing(self) -> None:
        self._cancel_abort()
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()
        for on_writable in list(self._writers):
            on_writable()

    def _cancel_abort(self) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
            self._abort_timer = None

    # ---- messages that were made elsewhere

    @property
    def is_writable(self) -> bool:
        """Whether the socket is open and its client has read enough."""
        if self.close_sent or self.disconnected:
            return False
        return self.writable.is_set() and not self.transport.is_closing()

    def write_text(self, parts: tuple[bytes, ...]) -> None:
        """Write a text message, given in parts, as one frame; nothing of ours is compressed."""
        size = sum(map(len, parts))
        self.transport.write(b"".join((_TEXT, encode_size(size), *parts)))

    def add_writer(self, on_writable: Callable[[], None]) -> None:
        """Call this whenever the client has read enough again."""
        self._writers[on_writable] = None
        self.request = self.response = None  # type: ignore[assignment]  # kilobytes, read before
        self.transport.set_write_buffer_limits(_LIVE_BUFFER_BYTES)
        tcp = self.transport.get_extra_info("socket")
        if tcp is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            # the kernel's part: it would buffer megabytes of events that are old when they are read
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _LIVE_BUFFER_BYTES)

    def remove_writer(self, on_writable: Callable[[], None]) -> None:
        """Call it no more."""
        self._writers.pop(on_writable, None)

    # ---- closes that never finish

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    # ---- floods below the application

    def handle_ping(self) -> None:
        """Answer a ping while the token bucket has tokens, else close."""
        now = self.loop.time()
        refilled = self._ping_tokens + (now - self._pinged_at) * PINGS_PER_SECOND
        self._ping_tokens, self._pinged_at = min(PINGS_AT_ONCE, refilled) - 1, now
        if self._ping_tokens < 0:
            self._fail(1008, "Too many pings")
        else:
            super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        """Limit the fragments of a message: empty ones have no size that would add up."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self._fail(1009, "Too many fragments")
        else:
            super().handle_cont(event)

    def _fail(self, code: int, reason: str) -> None:
        self.frames = []
        if not self.close_sent:
            self.conn.fail(code, reason)
            self.handle_parser_exception()


def encode_size(size: int) -> bytes:
    """Encode a payload's length as a server's frame has it, unmasked (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((size,))
    if size < 65_536:
        return b"\x7e" + size.to_bytes(2, "big")
    return b"\x7f" + size.to_bytes(8, "big")
