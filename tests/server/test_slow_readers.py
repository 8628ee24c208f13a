"""Clients that send requests and do not read the answers."""

from __future__ import annotations

import asyncio
import json
import socket

import models
from resolvers.context import Runtime
from services.telemetry import metrics
from tests.support.api_client import build_silent_app, serve_app

REQUESTS = 12  # fewer than may be pipelined
QUERY = "{ movies(first: 20) { nodes { overview } } }"
_PADDING = b" " * 40_000  # so that they do not come at once


def count_answered() -> float:
    labels = {"method": "POST", "route": "/graphql", "status_code": "200"}
    return metrics.REGISTRY.get_sample_value("http_requests_total", labels) or 0.0


async def test_a_client_that_does_not_read_is_not_answered_without_end(runtime: Runtime) -> None:
    # given answers of two megabytes, and a client that takes few of them
    films = [
        models.Movie(id=f"movie_{n}", title=f"{n}", sort_title=f"{n}", overview="o" * 100_000)
        for n in range(20)
    ]
    await models.upsert(models.Movie, films)
    body = json.dumps({"query": QUERY}).encode() + _PADDING
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    async with serve_app(build_silent_app(runtime), runtime.settings) as server:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", server.port))
        reader, writer = await asyncio.open_connection(sock=client, limit=4096)
        before = count_answered()
        # when it sends many requests
        for _ in range(REQUESTS):
            writer.write(request)
        await asyncio.sleep(1.5)
        # then most of them wait
        assert 0 < count_answered() - before < REQUESTS - 4
        # and are answered once it reads
        received = 0
        async with asyncio.timeout(30):
            while received < REQUESTS:
                head_lines = await reader.readuntil(b"\r\n\r\n")
                assert head_lines.startswith(b"HTTP/1.1 200 "), head_lines
                length = int(head_lines.partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
                received += 1
        assert count_answered() - before == REQUESTS
        writer.close()
