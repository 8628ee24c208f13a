"""A TCP relay to a server that can fall silent, be cut off or reset, while the server goes on."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit


class Relay:
    """`uri` is the way through it to the server of the given one."""

    def __init__(self, uri: str) -> None:
        self._target = urlsplit(uri)
        self._open: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.is_silent = False  # what is sent is swallowed, both ways
        self.is_mute = False  # what the server answers is swallowed; it hears all
        self.delay_seconds = 0.0  # of each piece the server answers
        self.resets_after_answers = False  # each connection, a moment after each answer
        self.halves_answers = False  # half of an answer, then the connection is closed
        self.split_answers_at: int | None = None  # after so many bytes, with a moment between
        self.alter_answer: Callable[[bytes], bytes] | None = None
        self.port = 0

    @property
    def uri(self) -> str:
        return self._target._replace(netloc=f"127.0.0.1:{self.port}").geturl()

    def cut(self) -> None:
        """Closes what is open and takes nothing new until `mend`."""
        self._is_cut = True
        for writer in self._open:
            writer.close()

    def reset(self) -> None:
        """Ends what is open with RST, as a firewall or a killed container does."""
        for writer in list(self._clients):
            _reset(writer)

    def mend(self) -> None:
        self._is_cut = self.is_silent = self.is_mute = False
        self.resets_after_answers = self.halves_answers = False
        self.split_answers_at = self.alter_answer = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.close()
            return
        host, port = self._target.hostname, self._target.port
        from_target, to_target = await asyncio.open_connection(host, port)
        self._open |= {writer, to_target}
        self._clients.add(writer)
        try:
            await asyncio.gather(
                self._pump(reader, to_target), self._pump(from_target, writer, is_answer=True)
            )
        finally:
            self._open -= {writer, to_target}
            self._clients.discard(writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        try:
            while data := await reader.read(65536):
                if is_answer and self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if is_answer and self.halves_answers:
                    writer.write(data[: len(data) // 2])
                    return
                if is_answer and self.alter_answer is not None:
                    data = self.alter_answer(data)
                if is_answer and self.split_answers_at is not None:
                    writer.write(data[: self.split_answers_at])
                    data = data[self.split_answers_at :]
                    await asyncio.sleep(0.001)  # so that they are read one by one
                if not self.is_silent and not (self.is_mute and is_answer):
                    writer.write(data)
                    await writer.drain()
                if is_answer and self.resets_after_answers:
                    asyncio.get_running_loop().call_later(0.005, _reset, writer)
        except OSError:
            pass
        finally:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


@asynccontextmanager
async def start_relay(uri: str, certificate: Path | None = None) -> AsyncIterator[Relay]:
    """A relay to the server of `uri`; with a certificate (and its key) it speaks TLS itself."""
    relay = Relay(uri)
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, ssl=tls)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.cut()
