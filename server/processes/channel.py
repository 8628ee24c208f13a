"""What a supervisor and a process of it tell each other, over a pair of sockets.

A message is four bytes of length and MessagePack. Nobody waits to send: who does not read gets no
more than some megabytes written, and is found by its silence.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec

_SIZE = struct.Struct("=I")
_MAX_BYTES = 32 * 1024 * 1024
_MAX_UNSENT_BYTES = 8 * 1024 * 1024


class Ready(msgspec.Struct, tag=True):
    """The process serves."""


class Beat(msgspec.Struct, tag=True):
    """The process's event loop runs."""


class Leave(msgspec.Struct, tag=True):
    """Another has taken the process's place: it is to take no connection any more, and to end."""


class Cover(msgspec.Struct, tag=True):
    """The places whose connections this process is to take as well, for now."""

    places: frozenset[int]


class MetricsRequest(msgspec.Struct, tag=True):
    """The process wants the metrics of all."""

    id: int


class MetricsAnswer(msgspec.Struct, tag=True):
    """The metrics of all, in Prometheus's text format."""

    id: int
    text: bytes


class ReportRequest(msgspec.Struct, tag=True):
    """The supervisor wants what the process would answer to /ready."""

    id: int
    shows_causes: bool


class ReportAnswer(msgspec.Struct, tag=True):
    """Status code and JSON of /ready."""

    id: int
    status: int
    body: dict[str, Any]


Message = (
    Ready | Beat | Leave | Cover | MetricsRequest | MetricsAnswer | ReportRequest | ReportAnswer
)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


class Channel:
    """One end of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Open an end in the running loop, which closes it."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: Message) -> None:
        """Send a message, unless the other is gone or has stopped reading."""
        transport = self._writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            return
        text = _encoder.encode(message)
        self._writer.write(_SIZE.pack(len(text)) + text)

    async def receive(self) -> AsyncIterator[Message]:
        """Yield the other's messages until it is gone."""
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (size,) = _SIZE.unpack(await self._reader.readexactly(_SIZE.size))
                if size > _MAX_BYTES:
                    return
                yield _decoder.decode(await self._reader.readexactly(size))

    def close(self) -> None:
        """Close it; what was sent last still goes out."""
        self._writer.close()
