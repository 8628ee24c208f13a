"""Event streams over HTTP: the protocol graphql-sse, message by message, and how streams end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from models import Role
from resolvers.context import Context, Runtime
from server.graphql.socket_limits import OpenSockets
from server.graphql.streams.event_streams import StreamReply
from server.graphql.streams.frames import encode_next
from server.graphql.streams.running import RunningStreams
from server.http_protocol import ConnectionLimits
from services.settings.settings import Settings
from services.telemetry import metrics
from tests.support.api_client import LiveServer, serve_app, token_for
from tests.support.event_streams import EVENTS, Event, open_events
from tests.support.processes import until
from tests.support.sockets import (
    ASK,
    LIVE,
    count_open_sockets,
    count_open_streams,
    issue_token,
    open_client_sockets,
    serve_runtime,
)

COMPLETE = Event("complete", None)
ANSWER = {"data": {"__typename": "Query"}}
REGISTER = """mutation { register(input: {
  email: "ada@example.org", password: "velvet cactus lamp", displayName: "Ada"
}) { viewer { displayName } errors { code } } }"""
POINTS = "subscription { liveMetrics { cursor gap points { at } } }"
URQL = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"


def code_of(event: Event | None) -> str:
    assert event is not None
    (error,) = event.data["errors"]
    code: str = error["extensions"]["code"]
    return code


# ---- operations with one result


@pytest.mark.parametrize("by_get", [False, True])
async def test_a_query_is_one_next_and_complete(live_server: LiveServer, by_get: bool) -> None:
    async with open_events(live_server, ASK, by_get=by_get) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-store"
        assert await stream.receive_all() == [Event("next", ANSWER), COMPLETE]


async def test_a_stored_answer_is_an_event_as_well(
    live_server: LiveServer, demo_catalog: None
) -> None:
    films = "{ movies(first: 1) { nodes { title } } }"
    for _ in range(2):
        async with open_events(live_server, films, by_get=True) as stream:
            assert stream.response.headers["cache-control"] == "no-store"
            first, last = await stream.receive_all()
            assert first.data["data"]["movies"]["nodes"] == [{"title": "Metropolis"}]
            assert last == COMPLETE


async def test_a_mutation_is_one_next_and_complete(live_server: LiveServer) -> None:
    async with open_events(live_server, REGISTER) as stream:
        first, last = await stream.receive_all()
    assert first.data["data"]["register"] == {"viewer": {"displayName": "Ada"}, "errors": []}
    assert last == COMPLETE


@pytest.mark.parametrize("query", ["{ nope }", "{", "subscription { nope }"])
async def test_what_cannot_run_is_an_event(live_server: LiveServer, query: str) -> None:
    async with open_events(live_server, query) as stream:
        assert stream.response.status_code == 200
        first, last = await stream.receive_all()
    assert (first.name, first.data.keys()) == ("next", {"errors"})
    assert last == COMPLETE


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"json": {"query": 1}}, 400),
        ({"content": b"{}"}, 415),
        ({"json": {"query": ASK}, "headers": {"authorization": "Bearer x"}}, 401),
        ({"json": {"query": "#" * 300_000}}, 413),
    ],
)
async def test_what_is_no_request_has_a_status(
    client: httpx.AsyncClient, options: dict[str, Any], status: int
) -> None:
    options["headers"] = {**options.get("headers", {}), **EVENTS}
    response = await client.post("/graphql", **options)
    assert (response.status_code, response.json().keys()) == (status, {"errors"})


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ("text/event-stream", True),
        ("text/event-stream, multipart/mixed", True),
        ("text/event-stream, application/json;q=0.9", True),
        (URQL, False),
        ("application/json, text/event-stream", False),
        ("*/*, text/event-stream", False),
        ("text/event-stream;q=0, */*", False),
    ],
)
async def test_a_query_streams_only_for_who_prefers_it(
    client: httpx.AsyncClient, accept: str, is_stream: bool
) -> None:
    response = await client.post("/graphql", json={"query": ASK}, headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream") == is_stream


# ---- subscriptions


@pytest.mark.parametrize("accept", ["text/event-stream", URQL, "text/event-stream;q=0.1, */*"])
async def test_a_subscription_streams_for_who_takes_streams(
    live_server: LiveServer, runtime: Runtime, accept: str
) -> None:
    token = token_for(runtime, Role.OPERATOR)
    async with open_events(live_server, LIVE, token, accept=accept) as stream:
        assert stream.response.headers["x-accel-buffering"] == "no"
        for _ in range(2):
            event = await stream.receive()
            assert event is not None
            assert event.name == "next"
            # and its id is the cursor
            assert event.data == {"data": {"liveMetrics": {"cursor": event.id}}}


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/event-stream;q=0, */*"])
async def test_who_takes_no_streams_is_told_what_does(
    client: httpx.AsyncClient, accept: str
) -> None:
    response = await client.post("/graphql", json={"query": LIVE}, headers={"accept": accept})
    assert response.status_code == 400
    assert "text/event-stream" in response.json()["errors"][0]["message"]


async def test_who_may_not_subscribe_is_told_so_and_the_stream_ends(
    live_server: LiveServer,
) -> None:
    async with open_events(live_server, LIVE) as stream:
        first, last = await stream.receive_all()
    assert (code_of(first), last) == ("UNAUTHENTICATED", COMPLETE)


async def test_the_id_of_the_last_event_resumes(live_server: LiveServer, runtime: Runtime) -> None:
    token = token_for(runtime, Role.OPERATOR)
    # given a client that had one event, and was away for a while
    async with open_events(live_server, POINTS, token) as stream:
        event = await stream.receive()
        assert event is not None
        assert event.id
    await asyncio.sleep(3.2)
    # when it comes back with the event's id
    async with open_events(live_server, POINTS, token, last_event_id=event.id) as stream:
        again = await stream.receive()
    # then it gets all since, in one event
    assert again is not None
    live = again.data["data"]["liveMetrics"]
    assert len(live["points"]) >= 2
    assert live["gap"] is False
    assert live["points"][0]["at"] > event.data["data"]["liveMetrics"]["points"][-1]["at"]


async def test_an_id_that_is_none_of_ours_is_refused(
    live_server: LiveServer, runtime: Runtime
) -> None:
    token = token_for(runtime, Role.OPERATOR)
    async with open_events(live_server, LIVE, token, last_event_id="nonsense") as stream:
        first, last = await stream.receive_all()
    assert (code_of(first), last) == ("INVALID_CURSOR", COMPLETE)


async def test_where_nothing_happens_comments_keep_the_stream(runtime: Runtime) -> None:
    quiet = "subscription { liveMetrics(intervalSeconds: 60) { cursor } }"
    async with serve_runtime(runtime, sse_keep_alive_seconds=0.2) as server:
        token = issue_token(runtime)
        async with open_events(server, quiet, token) as stream:
            assert await stream.receive() is not None
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await stream.receive()
            assert 2 <= stream.comments <= 8


# ---- ends


async def test_a_client_that_leaves_ends_its_stream(
    live_server: LiveServer, runtime: Runtime
) -> None:
    none_open = count_open_sockets()
    streams = count_open_streams()
    token = token_for(runtime, Role.OPERATOR)
    async with open_events(live_server, LIVE, token) as stream:
        await stream.receive()
        assert count_open_streams() == streams + 1
    await until(lambda: count_open_sockets() == none_open and count_open_streams() == streams)


async def test_a_stream_ends_with_its_token(runtime: Runtime) -> None:
    async with serve_runtime(runtime) as server:
        before = runtime.clock() - 900 + 3  # it has two to three seconds left
        async with open_events(server, LIVE, issue_token(runtime, now=before)) as stream:
            *events, refused, last = await stream.receive_all()
    assert events
    assert {one.name for one in events} == {"next"}
    assert (code_of(refused), last) == ("INVALID_TOKEN", COMPLETE)


async def test_a_stream_ends_when_its_viewer_is_signed_out(runtime: Runtime) -> None:
    async with serve_runtime(runtime) as server:
        async with open_events(server, LIVE, issue_token(runtime)) as stream:
            await stream.receive()
            await runtime.accounts.revocations.revoke_login("login_ada")
            *_, refused, last = await stream.receive_all()
    assert (code_of(refused), last) == ("INVALID_TOKEN", COMPLETE)


async def test_a_process_that_stops_ends_streams_without_their_operations(
    runtime: Runtime,
) -> None:
    async with serve_runtime(runtime) as server:
        async with open_events(server, LIVE, issue_token(runtime)) as stream:
            await stream.receive()
            stopping = server.begin_stop()
            events = await stream.receive_all()
            # the response ends as it should, and nothing says that the subscription is over
            assert COMPLETE not in events
            await stopping


async def test_streams_and_sockets_have_one_limit(runtime: Runtime) -> None:
    none_open = count_open_sockets()
    async with serve_runtime(runtime, sockets_per_viewer=2) as server:
        token = issue_token(runtime)
        async with (
            open_client_sockets(server, 1, token),
            open_events(server, LIVE, token) as stream,
        ):
            await stream.receive()
            # when one more comes
            async with open_events(server, LIVE, token) as third:
                assert third.response.status_code == 429
                assert third.response.headers["retry-after"] == "30"
                body = json.loads(await third.response.aread())
                assert body["errors"][0]["extensions"]["code"] == "TOO_MANY_STREAMS"
        # then there is room when the others have gone
        await until(lambda: count_open_sockets() == none_open)
        async with open_events(server, LIVE, token) as stream:
            assert await stream.receive() is not None


async def test_an_address_has_so_many_streams(runtime: Runtime) -> None:
    async with serve_runtime(runtime, sockets_per_address=1) as server:
        async with open_events(server, LIVE, issue_token(runtime)) as stream:
            await stream.receive()
            async with open_events(server, LIVE, issue_token(runtime, user="eve")) as second:
                assert second.response.status_code == 429


@asynccontextmanager
async def open_endless_frames() -> AsyncIterator[AsyncIterator[bytes]]:
    """Frames of 64 KiB without end."""

    async def make() -> AsyncGenerator[bytes, None]:
        while True:
            yield encode_next(b'"' + b"x" * 65_536 + b'"')

    async with aclosing(make()) as frames:
        yield frames


async def test_a_client_that_does_not_read_is_disconnected(
    runtime: Runtime, settings: Settings
) -> None:
    # given a stream without end, whose client may be silent for half a second
    sockets = OpenSockets(settings, runtime.accounts.revocations)
    context, streams = Context(runtime), RunningStreams(sockets, asyncio.Event())

    app = Starlette(routes=[Route("/", StreamReply(context, streams, open_endless_frames, 15))])
    limits = ConnectionLimits(stream_stall_seconds=0.5)
    before = count_open_streams()
    async with serve_app(app, settings, limits=limits) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: count_open_streams() == before + 1)
        # when it reads nothing for longer
        await until(lambda: count_open_streams() == before)
        # then its connection is no more
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while await reader.read(1 << 20):
                    pass
        writer.close()


async def test_a_stream_is_counted_and_not_timed(live_server: LiveServer, runtime: Runtime) -> None:
    total, timed = count_requests("total"), count_requests("duration_seconds_count")
    async with open_events(live_server, LIVE, token_for(runtime, Role.OPERATOR)) as stream:
        await stream.receive()
    await until(lambda: count_requests("total") == total + 1)
    assert count_requests("duration_seconds_count") == timed


def count_requests(what: str) -> float:
    labels = {"method": "POST", "route": "/graphql", "status_code": "200"}
    name = "http_requests_total" if what == "total" else f"http_request_{what}"
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0
