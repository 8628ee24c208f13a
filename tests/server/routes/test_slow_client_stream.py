"""Bodies sent piece by piece: clients that stall or leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import Message

from server.routes.slow_client_stream import StallTimeoutResponse

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "headers": [],
    "asgi": {"spec_version": "2.3"},
}


class Hasty(StallTimeoutResponse):
    stall_timeout_seconds = 0.05


class Brief(StallTimeoutResponse):
    max_seconds = 0.2


class StreamReport:
    """Counts the pieces that were read and how often the stream was closed."""

    def __init__(self) -> None:
        self.pieces = self.closed = 0

    def close(self) -> None:
        self.closed += 1

    async def read(self) -> AsyncIterator[bytes]:
        for _ in range(1000):
            self.pieces += 1
            yield b"x" * 1000

    def stream(self, kind: type[StallTimeoutResponse] = Hasty) -> StallTimeoutResponse:
        return kind(self.read(), 200, {"Content-Length": "1000000"}, "video/mp4", self.close)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_client_that_takes_nothing_is_let_go() -> None:
    report = StreamReport()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async with asyncio.timeout(15):
        await report.stream()(SCOPE, never, send)
    assert (report.closed, report.pieces) == (1, 1)


async def test_a_client_that_takes_too_long_for_all_is_let_go() -> None:
    report = StreamReport()

    async def send(message: Message) -> None:
        await asyncio.sleep(0.03)  # never stalls

    async with asyncio.timeout(15):
        await report.stream(Brief)(SCOPE, never, send)
    assert report.closed == 1
    assert report.pieces < 1000


async def test_a_client_that_left_is_sent_no_more() -> None:
    report, disconnected = StreamReport(), asyncio.Event()

    async def send(message: Message) -> None:
        if report.pieces == 3:
            disconnected.set()
        await asyncio.sleep(0)

    async def receive() -> Message:
        await disconnected.wait()
        return {"type": "http.disconnect"}

    async with asyncio.timeout(15):
        await report.stream()(SCOPE, receive, send)
    assert report.closed == 1
    assert 3 <= report.pieces < 1000


async def test_head_gets_the_headers_and_reads_nothing() -> None:
    report, sent = StreamReport(), []

    async def send(message: Message) -> None:
        sent.append(message)

    await report.stream()(SCOPE | {"method": "HEAD"}, never, send)
    assert (report.closed, report.pieces) == (1, 0)
    assert [message.get("body") for message in sent] == [None, b""]
    assert (b"content-length", b"1000000") in sent[0]["headers"]
