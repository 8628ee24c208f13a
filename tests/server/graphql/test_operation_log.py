"""Operations over a socket are logged and counted as requests are."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from models import Role
from resolvers.context import Runtime
from server.app import build_app
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from tests.support.api_client import LiveServer, serve_app, token_for


@pytest.fixture
def lines() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
async def logged(
    runtime: Runtime, settings: Settings, lines: io.BytesIO
) -> AsyncIterator[LiveServer]:
    async with serve_app(build_app(runtime, access_log=AccessLog(lines)), settings) as server:
        yield server


async def operations(lines: io.BytesIO) -> list[dict[str, Any]]:
    """The lines written so far, once they are written."""
    await asyncio.sleep(0.2)
    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [line for line in records if line["method"] == "WEBSOCKET"]


async def test_every_operation_has_a_line(logged: LiveServer, lines: io.BytesIO) -> None:
    async with logged.socket() as socket:
        await socket.initialised()
        await socket.answer("one", "query Named { __typename }")
        await socket.subscribe("two", "{ nope }")
        assert (await socket.receive())["type"] == "error"
    named, refused = await operations(lines)
    assert named.keys() == {
        "event", "request_id", "method", "route", "operation", "outcome", "ms", "address",
        "level", "timestamp",
    }  # fmt: skip
    assert (named["event"], named["route"]) == ("request", "/graphql")
    assert (named["operation"], named["outcome"]) == ("query Named", "complete")
    assert re.fullmatch(r"ws-[0-9a-f]{16}-[0-9]+", named["request_id"])
    socket_id, _, number = named["request_id"].rpartition("-")
    assert refused["request_id"] == f"{socket_id}-{int(number) + 1}"
    assert named["address"] == "127.0.0.1"
    assert named["ms"] > 0
    assert (refused["operation"], refused["outcome"]) == (None, "refused")


async def test_a_stream_has_a_line_when_it_ends_and_is_no_request(
    logged: LiveServer, runtime: Runtime, lines: io.BytesIO
) -> None:
    runtime.ops.live_metrics.take_sample()
    async with logged.socket() as socket:
        await socket.initialised(token_for(runtime, Role.OPERATOR))
        await socket.subscribe("live", "subscription Live { liveMetrics { cursor } }")
        await asyncio.sleep(0.1)
        assert await operations(lines) == []
        await socket.send({"type": "complete", "id": "live"})
        (stream,) = await operations(lines)
        # and a client that goes away ends it, too
        await socket.subscribe("again", "subscription { liveMetrics { cursor } }")
        await asyncio.sleep(0.1)
    assert (stream["operation"], stream["outcome"]) == ("subscription Live", "cancelled")
    assert [line["outcome"] for line in await operations(lines)] == ["cancelled"] * 2
    assert sum(runtime.ops.live_metrics.take_sample().durations.values()) == 0


async def test_queries_over_a_socket_are_counted_as_requests(
    logged: LiveServer, runtime: Runtime
) -> None:
    runtime.ops.live_metrics.take_sample()
    async with logged.socket() as socket:
        await socket.initialised()
        for number in range(3):
            await socket.answer(str(number), "{ __typename }")
    await asyncio.sleep(0.05)
    sample = runtime.ops.live_metrics.take_sample()
    assert (sum(sample.durations.values()), sample.failed) == (3, 0)


async def test_a_cached_answer_is_sent_over_a_socket_as_well(
    logged: LiveServer, demo_catalog: None, lines: io.BytesIO
) -> None:
    # given a public answer that is kept as bytes
    query = "{ genres { slug } }"
    async with logged.client() as client:
        for _ in range(2):
            cached = (await client.post("/graphql", json={"query": query})).json()
    # when it is asked for over a socket
    async with logged.socket() as socket:
        await socket.initialised()
        first = await socket.answer("1", query)
        again = await socket.answer("2", query)
    assert first == again == cached
    assert len(cached["data"]["genres"]) > 5
    assert [line["outcome"] for line in await operations(lines)] == ["complete"] * 2
