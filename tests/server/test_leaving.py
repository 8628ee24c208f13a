"""A process whose place another has taken: it refuses nothing, and loses no request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket

from resolvers.context import Runtime
from server.serving import KEEP_ALIVE_SECONDS, Control
from tests.support.api_client import PROTOCOL, LiveServer, build_silent_app, serve_app

BODY = json.dumps({"query": "{ __typename }"}).encode()
HEAD = (
    b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY)
)
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
async def server(runtime: Runtime, control: Control) -> AsyncIterator[LiveServer]:
    app = build_silent_app(runtime)
    async with serve_app(app, runtime.settings, control=control) as server:
        yield server


async def connect(server: LiveServer) -> Stream:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head.lower(), await reader.readexactly(length)


async def test_a_connection_ends_with_its_next_answer_which_says_so(
    server: LiveServer, control: Control
) -> None:
    # given a connection that has had an answer, and one with half a request
    reader, writer = await connect(server)
    writer.write(HEAD + BODY)
    head, _ = await read_answer(reader)
    assert b"connection: close" not in head
    half_reader, half_writer = await connect(server)
    half_writer.write(HEAD + BODY[:5])
    await asyncio.sleep(0.1)
    # when the process is to leave
    control.leave.set()
    await asyncio.sleep(0.3)
    # then it takes no further connection
    with pytest.raises(OSError):
        await connect(server)
    # but both requests are answered, and the later one is the last of its connection
    writer.write(HEAD + BODY)
    half_writer.write(BODY[5:])
    head, body = await read_answer(reader)
    assert head.startswith(b"http/1.1 200") and b"connection: close" in head
    assert json.loads(body) == {"data": {"__typename": "Query"}}
    assert await reader.read() == b""
    head, _ = await read_answer(half_reader)
    assert head.startswith(b"http/1.1 200")
    for each in (writer, half_writer):
        each.close()


async def test_who_is_silent_is_waited_for_as_long_as_a_connection_may_be(
    server: LiveServer, control: Control
) -> None:
    # given a connection that waits for its next request
    reader, writer = await connect(server)
    writer.write(HEAD + BODY)
    await read_answer(reader)
    began = time.monotonic()
    # when the process is to leave, then it is not closed before its time
    control.leave.set()
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    assert time.monotonic() - began > KEEP_ALIVE_SECONDS - 0.5
    writer.close()


async def test_a_process_without_connections_leaves_at_once(runtime: Runtime) -> None:
    control = Control()
    app = build_silent_app(runtime)
    began = time.monotonic()
    async with serve_app(app, runtime.settings, control=control) as server:
        control.leave.set()
        async with asyncio.timeout(30):
            await server.ended()
    assert time.monotonic() - began < KEEP_ALIVE_SECONDS


async def test_further_listeners_come_and_go(server: LiveServer, control: Control) -> None:
    # given a socket that nobody serves
    running = control.server
    assert running is not None
    spare = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    own = spare.sockets[0].dup()
    spare.close()
    await asyncio.sleep(0.05)
    url = f"http://127.0.0.1:{own.getsockname()[1]}"
    # when the process takes it as well, then who comes there is answered
    listener = await running.add_listener(own.dup())
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/health")).status_code == 200
        # and is answered further when it lets go of it, while others wait
        running.remove_listener(listener)
        assert (await client.get("/health")).status_code == 200
        async with httpx.AsyncClient(base_url=url, timeout=0.3) as other:
            with pytest.raises(httpx.ReadTimeout):
                await other.get("/health")
    own.close()


async def test_sockets_are_ended_a_few_at_a_time(server: LiveServer, control: Control) -> None:
    # given open sockets
    sockets = [await connect_socket(server.socket_url, subprotocols=[PROTOCOL]) for _ in range(20)]
    # when the process is to leave
    ended_at: list[float] = []

    async def wait_for_end(socket: ClientConnection) -> int | None:
        await socket.wait_closed()
        ended_at.append(time.monotonic())
        return socket.close_code

    control.leave.set()
    async with asyncio.timeout(30):
        codes = await asyncio.gather(*map(wait_for_end, sockets))
    # then all are told to come back, and not all at once
    assert codes == [1012] * 20
    assert ended_at[-1] - ended_at[0] > 0.5
