"""A TCP relay to a server that can fall silent or be cut off, while the server itself goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Relay:
    """`uri` is the way through it to the server of the given one."""

    def __init__(self, uri: str) -> None:
        self._target = urlsplit(uri)
        self._open: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.is_silent = False  # what is sent is swallowed, both ways
        self.is_mute = False  # what the server answers is swallowed; it hears all
        self.delay_seconds = 0.0  # of each piece the server answers
        self.port = 0

    @property
    def uri(self) -> str:
        return self._target._replace(netloc=f"127.0.0.1:{self.port}").geturl()

    def cut(self) -> None:
        """Closes what is open and takes nothing new until `mend`."""
        self._is_cut = True
        for writer in self._open:
            writer.close()

    def mend(self) -> None:
        self._is_cut = self.is_silent = self.is_mute = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.close()
            return
        host, port = self._target.hostname, self._target.port
        from_target, to_target = await asyncio.open_connection(host, port)
        self._open |= {writer, to_target}
        try:
            await asyncio.gather(
                self._pump(reader, to_target), self._pump(from_target, writer, is_answer=True)
            )
        finally:
            self._open -= {writer, to_target}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        try:
            while data := await reader.read(65536):
                if is_answer and self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if not self.is_silent and not (self.is_mute and is_answer):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def start_relay(uri: str) -> AsyncIterator[Relay]:
    relay = Relay(uri)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        relay.cut()
