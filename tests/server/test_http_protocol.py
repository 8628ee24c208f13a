"""Raw connections: their heads and bodies end in bytes and in time, and so do they."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resolvers.context import Runtime
from services.settings.settings import Settings
from services.telemetry import metrics
from tests.support.api_client import LiveServer, build_silent_app, serve_app

HOST = b"host: 127.0.0.1\r\n"
JSON = b"content-type: application/json\r\n"
BODY = b'{"query": "{ __typename }"}'
POST = b"POST /graphql HTTP/1.1\r\n" + HOST + JSON
WHOLE = POST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
HEALTH = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
MEGABYTE = b"a" * 1024 * 1024
_PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def serve(runtime: Runtime, **changes: object) -> AsyncIterator[LiveServer]:
    settings: Settings = runtime.settings.model_copy(update=changes)
    async with serve_app(build_silent_app(runtime), settings) as server:
        yield server


@pytest.fixture
async def hasty(runtime: Runtime) -> AsyncIterator[LiveServer]:
    """A server that waits half a second for a head, and one for a body."""
    async with serve(runtime, head_seconds=0.5, body_seconds=1.0) as server:
        yield server


class Raw:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> bool:
        """False once the server takes no more."""
        try:
            self.writer.write(data)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.writer.drain()
        except ConnectionError:
            return False
        return True

    async def receive_while_dripping(self, piece: bytes) -> bytes:
        """Everything until the server closes, while `piece` is sent again and again."""

        async def drip() -> None:
            while await self.send(piece):
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        try:
            return await self.receive_all()
        finally:
            dripping.cancel()

    async def receive_all(self) -> bytes:
        """Everything until the server closes."""
        received = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while piece := await self.reader.read(65536):
                    received += piece
        return received


@asynccontextmanager
async def connect(server: LiveServer) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


def count_refused(why: str) -> float:
    return metrics.REGISTRY.get_sample_value("http_refused_total", {"why": why}) or 0.0


async def exchange(server: LiveServer, sent: bytes) -> bytes:
    async with connect(server) as raw:
        await raw.send(sent)
        return await raw.receive_all()


async def assert_serves(server: LiveServer) -> None:
    async with server.client() as client:
        response = await client.post("/graphql", json={"query": "{ __typename }"})
        assert response.json() == {"data": {"__typename": "Query"}}


# sizes

LARGE_HEADS = {
    "one value": b"GET /health HTTP/1.1\r\n" + HOST + b"x-a: " + MEGABYTE,
    "one name": b"GET /health HTTP/1.1\r\n" + HOST + MEGABYTE,
    "the target": b"GET /health?" + MEGABYTE,
    "many headers": b"GET /health HTTP/1.1\r\n" + HOST + b"x-a: b\r\n" * 20_000,
    "many empty headers": b"GET /health HTTP/1.1\r\n" + HOST + b"a:\r\n" * 20_000,
    "a handshake": b"GET /graphql HTTP/1.1\r\n" + HOST + b"upgrade: websocket\r\nx-a: " + MEGABYTE,
    "trailers": POST
    + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"
    + b"x-a: b\r\n" * 20_000,
    "one trailer": POST + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nx-a: " + MEGABYTE,
}


@pytest.mark.parametrize("name", LARGE_HEADS)
async def test_a_head_of_more_than_32_kilobytes_is_431(live_server: LiveServer, name: str) -> None:
    before = count_refused("head_too_large")
    received = await exchange(live_server, LARGE_HEADS[name])
    assert received.startswith(b"HTTP/1.1 431 "), received[:100]
    assert b"connection: close" in received
    assert count_refused("head_too_large") == before + 1
    await assert_serves(live_server)


@pytest.mark.parametrize("size", [20_000, 31_000])
async def test_a_head_within_the_limit_is_served(live_server: LiveServer, size: int) -> None:
    head = b"GET /health HTTP/1.1\r\n" + HOST + b"connection: close\r\nx-a: " + b"a" * size
    assert (await exchange(live_server, head + b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_heads_are_counted_one_by_one(live_server: LiveServer) -> None:
    # given one connection with many requests, whose heads are larger only together
    async with connect(live_server) as raw:
        for _ in range(10):
            await raw.send(
                b"GET /health HTTP/1.1\r\n" + HOST + b"x-a: " + b"a" * 8000 + b"\r\n\r\n"
            )
            async with asyncio.timeout(_PATIENCE_SECONDS):
                head = await raw.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            await raw.reader.readuntil(b"}")


async def test_a_header_of_200_megabytes_neither_stops_nor_fills_the_process(
    live_server: LiveServer,
) -> None:
    # given a client that sends as much as it is let
    async def flood() -> int:
        async with connect(live_server) as raw:
            await raw.send(b"GET /health HTTP/1.1\r\nx-a: ")
            sent = 0
            while sent < 200 and await raw.send(MEGABYTE):
                sent += 1
            return sent

    flooding = asyncio.gather(*(flood() for _ in range(4)))

    # then others are served meanwhile, and little of it was taken
    await assert_serves(live_server)
    assert max(await flooding) < 50


async def test_a_chunk_s_extension_without_end_is_refused(live_server: LiveServer) -> None:
    sent = POST + b"transfer-encoding: chunked\r\n\r\n5;" + MEGABYTE
    received = await exchange(live_server, sent)
    assert received.startswith(b"HTTP/1.1 4"), received[:100]


async def test_requests_pipelined_without_end_are_cut(live_server: LiveServer) -> None:
    before = count_refused("pipeline")
    received = await exchange(live_server, HEALTH * 1000)
    assert received.count(b"HTTP/1.1 200 ") < 100
    assert count_refused("pipeline") == before + 1


# time

SLOW_HEADS = {
    "a target": b"GET /hea",
    "a header": b"GET /health HTTP/1.1\r\nx-a: b",
    "all but the last line": b"GET /health HTTP/1.1\r\n" + HOST,
    "half a handshake": b"GET /graphql HTTP/1.1\r\n" + HOST + b"upgrade: websocket\r\n",
}


@pytest.mark.parametrize("name", SLOW_HEADS)
async def test_a_head_that_does_not_end_is_408(hasty: LiveServer, name: str) -> None:
    assert (await exchange(hasty, SLOW_HEADS[name])).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips_is_408_all_the_same(hasty: LiveServer) -> None:
    async with connect(hasty) as raw:
        await raw.send(b"GET /health HTTP/1.1\r\nx-a: ")
        assert (await raw.receive_while_dripping(b"a")).startswith(b"HTTP/1.1 408 ")


async def test_a_second_head_has_no_more_time_than_the_first(hasty: LiveServer) -> None:
    async with connect(hasty) as raw:
        await raw.send(HEALTH)
        await raw.reader.readuntil(b"}")
        await raw.send(b"GET /health HTTP/1.1\r\nx-a: b")
        assert (await raw.receive_all()).startswith(b"HTTP/1.1 408 ")


async def test_empty_lines_do_not_keep_a_connection(hasty: LiveServer) -> None:
    async with connect(hasty) as raw:
        await raw.send(HEALTH)
        await raw.reader.readuntil(b"}")
        await raw.receive_while_dripping(b"\r\n")


async def test_a_silent_connection_is_closed_without_an_answer(hasty: LiveServer) -> None:
    assert await exchange(hasty, b"") == b""


SLOW_BODIES = {
    "nothing of it": POST + b"content-length: 27\r\n\r\n",
    "half of it": POST + b"content-length: 27\r\n\r\n" + BODY[:10],
    "a chunk": POST + b"transfer-encoding: chunked\r\n\r\n5\r\n",
    "no last chunk": POST + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
}


@pytest.mark.parametrize("name", SLOW_BODIES)
async def test_a_body_that_does_not_end_is_408(hasty: LiveServer, name: str) -> None:
    before = count_refused("body_too_slow")
    assert (await exchange(hasty, SLOW_BODIES[name])).startswith(b"HTTP/1.1 408 ")
    assert count_refused("body_too_slow") == before + 1


async def test_a_body_that_drips_is_408_all_the_same(hasty: LiveServer) -> None:
    async with connect(hasty) as raw:
        await raw.send(POST + b"content-length: 1000\r\n\r\n")
        assert (await raw.receive_while_dripping(b" ")).startswith(b"HTTP/1.1 408 ")


async def test_a_body_behind_its_answer_does_not_keep_the_connection(hasty: LiveServer) -> None:
    # given an answer that waits for no body
    async with connect(hasty) as raw:
        await raw.send(b"GET /health HTTP/1.1\r\n" + HOST + b"content-length: 10\r\n\r\n")
        await raw.reader.readuntil(b"}")
        # when the body drips in behind it
        await raw.send(b"12345")
        # then the connection ends
        await raw.receive_all()


async def test_an_answer_may_take_longer_than_a_head_or_a_body(hasty: LiveServer) -> None:
    async with connect(hasty) as raw:
        await raw.send(WHOLE)
        await raw.reader.readuntil(b"}}")
        await asyncio.sleep(1.5)  # longer than both
        assert await raw.send(WHOLE)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            assert b"200 OK" in await raw.reader.readuntil(b"}}")


# hosts

HOSTS = {
    "none": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "two": (b"GET /health HTTP/1.1\r\n" + HOST * 2 + b"\r\n", 400),
    "two in other letters": (b"GET /health HTTP/1.1\r\n" + HOST + b"HOST: b\r\n\r\n", 400),
    "one": (b"GET /health HTTP/1.1\r\nconnection: close\r\n" + HOST + b"\r\n", 200),
    "none in HTTP/1.0": (b"GET /health HTTP/1.0\r\n\r\n", 200),
    "two in HTTP/1.0": (b"GET /health HTTP/1.0\r\n" + HOST * 2 + b"\r\n", 400),
    "none in a handshake": (
        b"GET /graphql HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        400,
    ),
}


@pytest.mark.parametrize("name", HOSTS)
async def test_a_request_has_exactly_one_host(live_server: LiveServer, name: str) -> None:
    sent, status = HOSTS[name]
    assert (await exchange(live_server, sent)).startswith(b"HTTP/1.1 %d " % status)


# numbers


async def measure_latency(client: httpx.AsyncClient) -> float:
    """The median of 30 requests, in seconds."""
    seconds = []
    for _ in range(30):
        started = time.perf_counter()
        response = await client.post("/graphql", json={"query": "{ __typename }"})
        seconds.append(time.perf_counter() - started)
        assert response.status_code == 200
    return statistics.median(seconds)


@pytest.mark.serial
async def test_silent_connections_of_one_address_are_bounded_and_hurt_nobody(
    runtime: Runtime,
) -> None:
    async with serve(runtime, connections_per_address=50) as server, server.client() as client:
        alone = await measure_latency(client)
        before = count_refused("connections")

        # when one address opens 800 connections and says nothing
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(800)]
        try:
            # then most are refused in words, and others are served about as fast as before
            meanwhile = await measure_latency(client)
            assert count_refused("connections") - before == 800 - 49
            answer = await opened[-1][0].read(1000)
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"retry-after: " in answer
            assert meanwhile < 20 * alone + 0.1
        finally:
            for _, writer in opened:
                writer.close()

    # and those that closed leave room
    async with serve(runtime, connections_per_address=50) as server:
        for _ in range(100):
            assert (await exchange(server, HEALTH.replace(b"1.1", b"1.0"))).startswith(
                b"HTTP/1.1 200"
            )


async def test_our_own_proxies_may_open_as_many_as_they_need(runtime: Runtime) -> None:
    async with serve(runtime, connections_per_address=5, trusted_proxies="127.0.0.0/8") as server:
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
        await assert_serves(server)
        for _, writer in opened:
            writer.close()


async def test_sockets_do_not_use_up_the_connections_of_requests(runtime: Runtime) -> None:
    # given as many sockets as an address may have connections
    async with (
        serve(runtime, connections_per_address=3) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(6):
            socket = await stack.enter_async_context(server.socket())
            await socket.initialised()
        await assert_serves(server)


# overload


class Busy:
    """Operations of a process that has too many."""

    def __init__(self) -> None:
        self.is_overloaded = True

    def may_be_urgent(self, body: bytes) -> bool:
        return b"reportProgress" in body


@asynccontextmanager
async def serve_busy(runtime: Runtime) -> AsyncIterator[tuple[LiveServer, list[bytes]]]:
    """An application that answers 503 and notes what reaches it."""
    seen: list[bytes] = []

    async def answer(request: Request) -> Response:
        seen.append(await request.body())
        request.scope["state"]["is_overloaded"] = True
        return Response("busy", 503)

    app = Starlette(routes=[Route("/graphql", answer, methods=["GET", "POST"])])
    app.state.operations = Busy()
    async with serve_app(app, runtime.settings) as server:
        yield server, seen


def post(body: bytes, more: bytes = b"") -> bytes:
    return POST + more + b"content-length: %d\r\n\r\n" % len(body) + body


async def ask(raw: Raw, sent: bytes) -> bytes:
    """The answer's head and body."""
    await raw.send(sent)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        head = await raw.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head + await raw.reader.readexactly(length)


async def test_who_comes_back_too_soon_is_answered_without_the_application(
    runtime: Runtime,
) -> None:
    async with serve_busy(runtime) as (server, seen), connect(server) as raw:
        # given a client that was told to come back later
        assert (await ask(raw, post(BODY))).startswith(b"HTTP/1.1 503 ")
        assert len(seen) == 1

        # when it comes back at once, whole or in pieces
        for _ in range(3):
            answer = await ask(raw, post(BODY))
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in head
            assert b"x-request-id: " in head
            assert json.loads(body)["errors"][0]["extensions"]["code"] == "OVERLOADED"
        await raw.send(post(BODY)[:-5])
        await asyncio.sleep(0.02)
        assert (await ask(raw, BODY[-5:])).startswith(b"HTTP/1.1 503 ")

        # then the application did not see that
        assert len(seen) == 1

        # and when it waits as it was told to, it is heard again
        await asyncio.sleep(1.1)
        await ask(raw, post(BODY))
        assert len(seen) == 2


@pytest.mark.parametrize(
    "sent",
    [
        post(b'{"query": "mutation { reportProgress { applied } }"}'),
        post(BODY, b"origin: https://app.example\r\n"),
        b"GET /graphql?query={__typename} HTTP/1.1\r\n" + HOST + b"\r\n",
        post(b" " * 100_000),
    ],
    ids=["a report", "a page's", "a GET", "a large one"],
)
async def test_what_may_matter_reaches_the_application_all_the_same(
    runtime: Runtime, sent: bytes
) -> None:
    async with serve_busy(runtime) as (server, seen), connect(server) as raw:
        await ask(raw, post(BODY))
        for n in range(2):
            assert (await ask(raw, sent)).endswith(b"busy")
            assert len(seen) == n + 2
        _, _, body = sent.partition(b"\r\n\r\n")
        assert seen[-1] == body


async def test_requests_behind_one_that_is_shed_are_not_answered_before_it(
    runtime: Runtime,
) -> None:
    async with serve_busy(runtime) as (server, _), connect(server) as raw:
        await ask(raw, post(BODY))
        await raw.send(post(BODY) + HEALTH)
        received = await raw.receive_all()
        assert received.count(b"HTTP/1.1 ") <= 1


async def test_only_the_connection_that_was_told_is_answered_so(runtime: Runtime) -> None:
    async with serve_busy(runtime) as (server, seen):
        for n in range(3):
            async with connect(server) as raw:
                await ask(raw, post(BODY))
            assert len(seen) == n + 1
