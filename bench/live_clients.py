"""Subscribers for python -m bench live: many raw WebSockets in one loop, as cheap as they can be.

A client answers the server's pings, counts its messages, and looks at some of their times.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

_HANDSHAKE = (
    "GET /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: Upgrade\r\n"
    "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
)
_TEXT, _PING, _PONG = 1, 9, 10
_LOOKED_AT_EVERY = 10  # of a client's position: whose times are read


@dataclass
class Counts:
    """What all clients received since the last `reset`."""

    by_client: list[int]
    lags: list[float] = field(default_factory=list)
    closed: int = 0

    def reset(self) -> None:
        """Begin to count anew."""
        self.by_client = [0] * len(self.by_client)
        self.lags = []


class LiveClient(asyncio.Protocol):
    """One subscriber; `ready` is called with its first event."""

    def __init__(
        self,
        number: int,
        counts: Counts,
        messages: tuple[bytes, bytes],
        ready: Callable[[], None],
    ) -> None:
        self._number = number
        self._counts = counts
        self._hello, self._subscribe = messages
        self._ready = ready
        self._buffer = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        port = transport.get_extra_info("peername")[1]
        transport.write(_HANDSHAKE.format(port=port).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self._counts.closed += 1

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        if not self._is_open:
            head, end, buffer = buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            self._is_open = True
            self.transport.write(self._hello)
        while (size := _frame_size(buffer)) is not None:
            self._on_frame(buffer[0] & 15, buffer[:size])
            buffer = buffer[size:]
        self._buffer = buffer

    def _on_frame(self, opcode: int, frame: bytes) -> None:
        if opcode == _TEXT and b'"next"' in frame[:80]:
            if self._ready is not _ignore:
                self._ready()
                self._ready = _ignore
            self._counts.by_client[self._number] += 1
            if self._number % _LOOKED_AT_EVERY == 0:
                self._counts.lags.append(time.time() - _read_time(frame))
        elif opcode == _PING:
            self.transport.write(mask(_PONG, frame[2:]))
        elif opcode == _TEXT and b'"connection_ack"' in frame[:80]:
            self.transport.write(self._subscribe)


def _ignore() -> None:
    """Be ready already."""


def _frame_size(buffer: bytes) -> int | None:
    """Size of the first whole frame, its head included; servers do not mask."""
    if len(buffer) < 2:
        return None
    size, head = buffer[1], 2
    if size == 126:
        size, head = int.from_bytes(buffer[2:4], "big"), 4
    elif size == 127:
        size, head = int.from_bytes(buffer[2:10], "big"), 10
    return head + size if len(buffer) >= head + size else None


def _read_time(frame: bytes) -> float:
    """The point's time, in seconds since 1970."""
    start = frame.index(b'"at":"') + 6
    return datetime.fromisoformat(frame[start : frame.index(b'"', start)].decode()).timestamp()


def mask(opcode: int, payload: bytes) -> bytes:
    """A client's frame; masked with zeros, which leaves the payload as it is."""
    size = len(payload)
    head = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + head + bytes(4) + payload


def first_messages(query: str, token: str | None) -> tuple[bytes, bytes]:
    """The client's connection_init, and what follows its ack; ids are random, as clients' are."""
    payload = {"authorization": f"Bearer {token}"} if token else {}
    init = {"type": "connection_init", "payload": payload}
    subscribe = {"type": "subscribe", "id": str(uuid.uuid4()), "payload": {"query": query}}
    return mask(_TEXT, json.dumps(init).encode()), mask(_TEXT, json.dumps(subscribe).encode())


async def connect(
    port: int, count: int, query: str, token_for: Callable[[int], str | None]
) -> tuple[Counts, list[LiveClient]]:
    """Open so many subscribers, some at a time, each with its first event received."""
    counts, clients = Counts([0] * count), []
    loop, at_once = asyncio.get_running_loop(), asyncio.Semaphore(64)

    async def open_one(number: int) -> None:
        ready = loop.create_future()
        client = LiveClient(
            number, counts, first_messages(query, token_for(number)), lambda: ready.set_result(None)
        )
        async with at_once:
            await loop.create_connection(lambda: client, "127.0.0.1", port)
            async with asyncio.timeout(60):
                await ready
        clients.append(client)

    await asyncio.gather(*(open_one(number) for number in range(count)))
    return counts, clients
