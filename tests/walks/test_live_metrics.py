"""Live metrics, end to end: what clients do is seen over graphql-transport-ws a second later."""

from __future__ import annotations

import asyncio
from typing import Any

from models import Role
from resolvers.context import Runtime
from tests.support.api_client import ISSUE_QUERY, GraphQL, LiveServer, Socket, token_for

LIVE = """
subscription ($after: String) { liveMetrics(resumeAfter: $after) { cursor gap points {
  at requestsPerSecond errorRate p50Ms p95Ms p99Ms activeConnections activeStreams
  cache { level hits misses hitRate } progressBacklog
} } }
"""


async def event(socket: Socket) -> dict[str, Any]:
    message = await socket.receive()
    assert (message["type"], message["id"], message["payload"].keys()) == ("next", "live", {"data"})
    return dict(message["payload"]["data"]["liveMetrics"])


def rate(live_event: dict[str, Any]) -> float:
    return float(sum(point["requestsPerSecond"] for point in live_event["points"]))


async def busy_event(socket: Socket) -> dict[str, Any]:
    """The next event that shows requests: one that was on its way already does not yet."""
    for _ in range(3):
        live_event = await event(socket)
        if rate(live_event) > 0:
            return live_event
    raise AssertionError("no event shows the requests")


async def test_three_events_show_the_requests_made_meanwhile(
    live_server: LiveServer, runtime: Runtime, demo_catalog: None
) -> None:
    events = []
    async with live_server.socket() as socket, live_server.client() as client:
        graphql = GraphQL(client)
        await socket.initialised(token_for(runtime, Role.OPERATOR))
        await socket.subscribe("live", LIVE)
        await event(socket)  # the second before, whatever was in it
        for first in (1, 2, 3):
            # when somebody browses, each page twice
            for _ in range(2):
                await graphql(ISSUE_QUERY, {"first": first})
            events.append(await busy_event(socket))
        # and then does something wrong, and then nothing
        for path in ("/nowhere", "/nothing"):
            await client.get(path)
        events.append(await busy_event(socket))
        quiet = [await event(socket) for _ in range(2)][-1]
    # then each event told of its requests, of the cache, and of this very stream
    assert len({live_event["cursor"] for live_event in events}) == 4
    assert not any(live_event["gap"] for live_event in events)
    point = events[2]["points"][-1]
    hits = {level["level"]: level["hits"] for level in point["cache"]}
    assert set(hits) == {"MEMORY", "REDIS", "RESPONSE"}
    assert sum(hits.values()) >= 1
    assert point["activeStreams"] >= 1
    assert point["activeConnections"] >= 1
    assert 0 < point["p50Ms"] <= point["p95Ms"] <= point["p99Ms"] < 5000
    assert point["errorRate"] == 0
    # and quiet seconds are told as such
    assert rate(quiet) == 0


async def test_a_client_that_comes_back_with_its_cursor_misses_nothing(
    live_server: LiveServer, runtime: Runtime
) -> None:
    token = token_for(runtime, Role.OPERATOR)
    async with live_server.socket() as socket:
        await socket.initialised(token)
        await socket.subscribe("live", LIVE)
        before = await event(socket)
    # when requests are made while it is away, and two seconds pass
    async with live_server.client() as client:
        await GraphQL(client)("{ __typename }")
    await asyncio.sleep(2.3)
    async with live_server.socket() as socket:
        await socket.initialised(token)
        await socket.subscribe("live", LIVE, {"after": before["cursor"]})
        after = await event(socket)
    # then the seconds between come first, all of them, in order
    assert after["gap"] is False
    assert rate(after) > 0
    moments = [point["at"] for point in (*before["points"], *after["points"])]
    assert moments == sorted(set(moments))
    assert len(after["points"]) >= 2
