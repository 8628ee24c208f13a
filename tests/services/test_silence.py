"""A limit on silence ends what is silent, and not what this process was too busy to hear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.silence import limit_silence

LIMIT_SECONDS = 0.3


@asynccontextmanager
async def connect_peer(answer_after: float | None) -> AsyncIterator[asyncio.StreamReader]:
    """A connection whose peer answers in two parts after so long, if ever; a thread of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer_after is not None:
            await asyncio.to_thread(time.sleep, answer_after)
            writer.write(b"half")
            writer.write(b"half\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    async with server:
        yield reader
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)  # the peer's end


async def test_silence_ends_the_wait() -> None:
    async with connect_peer(None) as reader:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with limit_silence(LIMIT_SECONDS):
                await reader.readline()
        assert LIMIT_SECONDS <= time.monotonic() - started < 5


@pytest.mark.parametrize("busy_after", [0.0, 0.12, 0.28])
async def test_an_answer_that_came_while_the_process_was_busy_is_read(busy_after: float) -> None:
    # given a peer that answers within the limit, and a process that is busy far beyond it
    async with connect_peer(LIMIT_SECONDS / 2) as reader:
        loop = asyncio.get_running_loop()
        loop.call_later(busy_after, time.sleep, 3 * LIMIT_SECONDS)
        # when it waits for the answer
        async with limit_silence(LIMIT_SECONDS):
            read = await reader.readline()
    # then it is there
    assert read == b"halfhalf\n"


async def test_a_wait_that_was_answered_is_not_ended_afterwards() -> None:
    async with limit_silence(0.01):
        pass
    await asyncio.sleep(0.1)


async def test_a_cancellation_stays_one() -> None:
    async def wait() -> None:
        async with limit_silence(60):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
