"""A mail server on this machine that keeps what it gets; slow or refusing if told so."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class FakeSmtp:
    """`refuses` maps a command, such as RCPT, to its answer; `delay_seconds` pass before each."""

    port: int = 0
    refuses: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    mails: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 fake\r\n")
        while line := (await reader.readline()).decode():
            await asyncio.sleep(self.delay_seconds)
            verb = line.split()[0].upper()
            self.commands.append(verb)
            answer = self.refuses.get(verb) or await self._answer(verb, line, reader, writer)
            writer.write(answer.encode() + b"\r\n")
            await writer.drain()
            if verb == "QUIT":
                return

    async def _answer(
        self, verb: str, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        if verb == "EHLO":
            return "250-fake\r\n250 AUTH PLAIN"
        if verb == "AUTH":
            self.logins.append(base64.b64decode(line.split()[2]).decode())
            return "235 welcome"
        if verb == "RCPT":
            self.recipients.append(line.partition("<")[2].partition(">")[0])
        if verb == "DATA":
            writer.write(b"354 go on\r\n")
            content = await reader.readuntil(b"\r\n.\r\n")
            self.mails.append(content[:-5].decode())
        return "250 fine"


@asynccontextmanager
async def fake_smtp() -> AsyncIterator[FakeSmtp]:
    smtp = FakeSmtp()
    server = await asyncio.start_server(smtp.serve, "127.0.0.1", 0)
    smtp.port = server.sockets[0].getsockname()[1]
    try:
        yield smtp
    finally:
        server.close()
