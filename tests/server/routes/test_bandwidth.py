"""The bandwidth test over HTTP: what it sends, and what keeps it from being an amplifier."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from resolvers.context import Runtime
from server.app import build_app
from server.routes.bandwidth import MAX_BYTES, MAX_RUNNING, PER_MINUTE
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from services.telemetry.access_log import AccessLog
from tests.support.api_client import LiveServer, build_silent_app, connect_runtime, serve_app
from tests.support.clock import Clock
from tests.support.runtimes import with_changes


@pytest.fixture
async def client(runtime: Runtime, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    async with connect_runtime(limited(runtime, clock)) as client:
        yield client


def limited(runtime: Runtime, clock: Callable[[], float]) -> Runtime:
    windows = SlidingWindows(runtime.redis, clock)
    return with_changes(runtime, ops={"rate_limiter": RateLimiter(runtime.settings, windows)})


def refused(response: httpx.Response, status: int, code: str) -> str:
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-store"
    assert len(response.content) < 300
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": code}
    return str(error["message"])


@pytest.mark.parametrize(
    ("query", "size"),
    [("", 1_000_000), ("?bytes=1", 1), ("?bytes=70000", 70_000), ("?size=5", 5)],
)
async def test_it_sends_as_many_bytes_as_requested(
    client: httpx.AsyncClient, query: str, size: int
) -> None:
    response = await client.get(f"/bandwidth-test{query}")
    assert (response.status_code, len(response.content)) == (200, size)
    assert response.headers["content-length"] == str(size)
    assert response.headers["content-type"] == "application/octet-stream"


async def test_it_is_neither_stored_nor_compressed(client: httpx.AsyncClient) -> None:
    response = await client.get("/bandwidth-test", headers={"accept-encoding": "gzip, br, zstd"})
    assert response.headers["cache-control"] == "no-store, no-transform"
    assert "content-encoding" not in response.headers
    assert "etag" not in response.headers
    assert len(zlib.compress(response.content)) >= len(response.content)


async def test_the_largest_one_repeats_nothing(client: httpx.AsyncClient) -> None:
    body = (await client.get(f"/bandwidth-test?bytes={MAX_BYTES}")).content
    pieces = {body[at : at + 64] for at in range(0, MAX_BYTES, 64)}
    assert len(pieces) == MAX_BYTES / 64


@pytest.mark.parametrize(
    "size",
    [
        "10000000000",
        str(MAX_BYTES + 1),
        "0",
        "-1",
        "1e6",
        "1_000",
        "",
        "abc",
        "٣",
        "9" * 400,
        " 5",
    ],
)
async def test_other_sizes_are_refused_and_do_not_count(
    client: httpx.AsyncClient, size: str
) -> None:
    for _ in range(PER_MINUTE + 1):
        response = await client.get("/bandwidth-test", params={"bytes": size})
        message = refused(response, 400, "VALIDATION_FAILED")
        assert message == "`bytes` is a number from 1 to 5000000."
    assert (await client.get("/bandwidth-test?bytes=1")).status_code == 200


async def test_one_address_gets_ten_a_minute(client: httpx.AsyncClient, clock: Clock) -> None:
    for _ in range(PER_MINUTE):
        assert (await client.get("/bandwidth-test?bytes=1")).status_code == 200
        clock.now += 1
    # given ten in the first ten seconds of a minute, the next has to wait until it has passed
    response = await client.get("/bandwidth-test?bytes=1")
    refused(response, 429, "RATE_LIMITED")
    assert response.headers["retry-after"] == "51"
    clock.now += 50
    refused(await client.get("/bandwidth-test?bytes=1"), 429, "RATE_LIMITED")
    clock.now += 1
    assert (await client.get("/bandwidth-test?bytes=1")).status_code == 200
    refused(await client.get("/bandwidth-test?bytes=1"), 429, "RATE_LIMITED")


async def test_another_address_has_a_minute_of_its_own(runtime: Runtime, clock: Clock) -> None:
    app = build_silent_app(limited(runtime, clock))
    statuses = {}
    for address in ("192.0.2.1", "2001:db8::1"):
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            statuses[address] = [
                (await client.get("/bandwidth-test?bytes=1")).status_code
                for _ in range(PER_MINUTE + 1)
            ]
    assert statuses == dict.fromkeys(statuses, [200] * PER_MINUTE + [429])


async def test_head_sends_nothing(client: httpx.AsyncClient) -> None:
    response = await client.head("/bandwidth-test")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "1000000"


@pytest.fixture
async def live(runtime: Runtime) -> AsyncIterator[LiveServer]:
    # every test its own minute: the clock runs ahead with each look
    ticks = iter(range(10**9))
    app = build_app(
        limited(runtime, lambda: 1e9 + 60 * next(ticks)), access_log=AccessLog(enabled=False)
    )
    async with serve_app(app, runtime.settings) as server:
        yield server


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
    """One test begun by a client that reads only the status."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the kernel must not read for it
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    writer.write(f"GET /bandwidth-test?bytes={MAX_BYTES} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    async with asyncio.timeout(15):
        status = int((await reader.readline()).split(b" ")[1])
    return reader, writer, status


async def test_few_run_at_once_and_who_goes_away_makes_room(live: LiveServer) -> None:
    # given as many clients as may be, that do not read on
    running = [await ask(live.port) for _ in range(MAX_RUNNING)]
    assert [status for _, _, status in running] == [200] * MAX_RUNNING
    # when one more comes it is refused, and served as soon as another went away
    _, writer, status = await ask(live.port)
    writer.close()
    assert status == 429
    running[0][1].transport.abort()
    async with asyncio.timeout(15):
        while True:
            _, writer, status = await ask(live.port)
            writer.transport.abort()
            if status == 200:
                break
            await asyncio.sleep(0.05)
    for _, writer, _ in running:
        writer.transport.abort()
