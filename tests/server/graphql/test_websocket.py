"""graphql-transport-ws, message by message, as enisdenjo/graphql-ws specifies it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.exceptions import InvalidStatus

import models
from models import Role
from models.mongo import ids
from resolvers.context import Runtime
from server.graphql.socket_operations import MAX_OPERATIONS
from server.graphql.websocket import GraphQLOverWebSocket
from services.settings.settings import Settings
from services.telemetry import metrics
from tests.support.api_client import LiveServer, Socket, build_silent_app, serve_app, token_for
from tests.support.processes import until

ASK = "{ __typename }"
LIVE = "subscription { liveMetrics { cursor } }"
REGISTER = """mutation { register(input: {
  email: "ada@example.org", password: "velvet cactus lamp", displayName: "Ada"
}) { viewer { displayName } errors { code } } }"""


@pytest.fixture
async def ready(socket: Socket) -> Socket:
    return await socket.initialised()


@pytest.fixture
async def operator(socket: Socket, runtime: Runtime) -> Socket:
    return await socket.initialised(token_for(runtime, Role.OPERATOR))


@pytest.fixture
async def impatient(app: Starlette, runtime: Runtime, settings: Settings) -> AsyncIterator[Socket]:
    """A client of a server that waits 0.2 s for connection_init."""
    endpoint = GraphQLOverWebSocket(app.state.operations, runtime, init_seconds=0.2)
    only = Starlette(routes=[WebSocketRoute("/graphql", endpoint)])
    async with serve_app(only, settings) as server, server.socket() as socket:
        yield socket


def gauge(name: str) -> float:
    value = metrics.REGISTRY.get_sample_value(name)
    assert value is not None
    return value


# ---- opening


async def test_the_subprotocol_is_chosen(socket: Socket) -> None:
    assert socket.connection.subprotocol == "graphql-transport-ws"


@pytest.mark.parametrize("offered", [["graphql-ws"], ["json", "GRAPHQL-TRANSPORT-WS"], None])
async def test_no_other_subprotocol_is_spoken(
    live_server: LiveServer, offered: list[str] | None
) -> None:
    async with live_server.socket(subprotocols=offered) as socket:
        assert await socket.closed() == (4406, "Subprotocol not acceptable")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "null",
        "",
        "file://",
        "http://[::1",
        "http://127.0.0.1.evil.test",
        "http://127.0.0.1",  # our host at another port
        "http://127.0.0.1:1",
    ],
)
async def test_pages_of_other_sites_may_not_connect(live_server: LiveServer, origin: str) -> None:
    with pytest.raises(InvalidStatus) as raised:
        async with live_server.socket(origin=origin):
            pass
    assert raised.value.response.status_code == 403


async def test_pages_of_our_own_site_may_connect(live_server: LiveServer) -> None:
    async with live_server.socket(origin=live_server.url) as socket:
        await socket.initialised()


async def test_pages_of_allowed_sites_may_connect(runtime: Runtime, settings: Settings) -> None:
    allowed = settings.model_copy(update={"cors_origin": "https://a.test, https://b.test"})
    app = build_silent_app(replace(runtime, settings=allowed))
    async with (
        serve_app(app, settings) as server,
        server.socket(origin="https://b.test") as socket,
    ):
        await socket.initialised()


# ---- connection_init


@pytest.mark.parametrize("payload", [..., None, {}, {"other": 1}])
async def test_a_client_is_acknowledged(socket: Socket, payload: object) -> None:
    init = {"type": "connection_init"}
    await socket.send(init if payload is ... else {**init, "payload": payload})
    assert await socket.receive() == {"type": "connection_ack"}


async def test_a_silent_client_is_closed(impatient: Socket) -> None:
    started = time.monotonic()
    assert await impatient.closed() == (4408, "Connection initialisation timeout")
    assert 0.1 < time.monotonic() - started < 2


async def test_pings_do_not_put_off_the_end_of_patience(impatient: Socket) -> None:
    for _ in range(4):
        await asyncio.sleep(0.04)
        await impatient.send({"type": "ping"})
    assert (await impatient.closed()).code == 4408


async def test_who_has_said_hello_may_be_silent(impatient: Socket) -> None:
    await impatient.initialised()
    assert await impatient.is_silent(0.4)
    assert await impatient.answer("1", ASK) == {"data": {"__typename": "Query"}}


async def test_one_hello_is_enough(ready: Socket) -> None:
    await ready.send({"type": "connection_init"})
    assert await ready.closed() == (4429, "Too many initialisation requests")


@pytest.mark.parametrize("payload", ["abc", [1], 5, True, {"authorization": 5}], ids=str)
async def test_a_hello_of_the_wrong_form_is_refused(socket: Socket, payload: object) -> None:
    await socket.send({"type": "connection_init", "payload": payload})
    assert (await socket.closed()).code == 4400


@pytest.mark.parametrize("token", ["abc", "Bearer abc", "Basic dTpw"])
async def test_a_bad_token_is_forbidden(socket: Socket, token: str) -> None:
    await socket.send({"type": "connection_init", "payload": {"authorization": token}})
    assert await socket.closed() == (4403, "INVALID_TOKEN")


async def test_an_expired_token_is_forbidden(socket: Socket, runtime: Runtime) -> None:
    old = f"Bearer {token_for(runtime, now=time.time() - 901)}"
    await socket.send({"type": "connection_init", "payload": {"Authorization": old}})
    assert await socket.closed() == (4403, "INVALID_TOKEN")


async def test_no_operation_runs_before_connection_init(socket: Socket) -> None:
    await socket.subscribe("1", ASK)
    assert await socket.closed() == (4401, "Unauthorized")


# ---- messages that are none


NO_MESSAGES: list[str | bytes] = [
    "[]",
    "5",
    "null",
    '"ping"',
    "true",
    "{",
    "",
    '{"type": NaN}',
    "[" * 30_000,
    '{"a":' * 10_000,
    b'{"type": "ping"}',
    b"\xff\xfe",
    "{}",
    '{"type": null}',
    '{"type": "start"}',
    '{"type": "connection_ack"}',
    '{"type": ["ping"]}',
    '{"type": "complete"}',
    '{"type": "complete", "id": 5}',
]
NO_IDS = [..., 5, "", None, ["a"], "x" * 201, "x" * 60_000]


@pytest.mark.parametrize("is_ready", [True, False])
async def test_what_is_no_message_closes(live_server: LiveServer, is_ready: bool) -> None:
    for message in NO_MESSAGES:
        async with live_server.socket() as socket:
            if is_ready:
                await socket.initialised()
            await socket.send(message)
            closed = await socket.closed()
            assert (closed.code, bool(closed.reason)) == (4400, True), message[:30]


async def test_an_operation_needs_an_id(live_server: LiveServer) -> None:
    for id_ in NO_IDS:
        async with live_server.socket() as socket:
            await socket.initialised()
            message_id = {} if id_ is ... else {"id": id_}
            await socket.send({"type": "subscribe", "payload": {"query": ASK}, **message_id})
            assert await socket.closed() == (4400, "A message of this type needs an id")


async def test_messages_have_a_size(ready: Socket) -> None:
    await ready.send({"type": "ping", "payload": {"a": "x" * 70_000}})
    assert (await ready.closed()).code == 1009


async def test_a_ping_is_answered_at_any_time(socket: Socket) -> None:
    await socket.send({"type": "ping"})
    assert await socket.receive() == {"type": "pong"}
    await socket.initialised()
    await socket.send({"type": "ping", "payload": {"a": 1}})
    assert await socket.receive() == {"type": "pong"}


async def test_a_pong_needs_no_answer(ready: Socket) -> None:
    await ready.send({"type": "pong"})
    assert await ready.is_silent()


# ---- queries and mutations


async def test_a_query_is_answered_and_completed(ready: Socket, demo_catalog: None) -> None:
    query = "query ($n: Int) { movies(first: $n) { nodes { title } } }"
    answer = await ready.answer("a", query, {"n": 1})
    assert answer == {"data": {"movies": {"nodes": [{"title": "Metropolis"}]}}}


async def test_a_field_that_fails_is_an_error_in_the_answer(ready: Socket) -> None:
    answer = await ready.answer("a", '{ node(id: "?") { id } }')
    assert answer["data"] == {"node": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["VALIDATION_FAILED"]


@pytest.mark.parametrize(
    "payload",
    [
        {"query": "{"},
        {"query": "{ nope }"},
        {"query": "query ($n: Int!) { movies(first: $n) { nodes { id } } }"},
        {"query": "query A { __typename } query B { __typename }"},
        {"query": ASK, "variables": []},
        {"query": 5},
        {},
        None,
        "text",
        [1],
    ],
    ids=str,
)
async def test_a_bad_operation_is_an_error_and_the_socket_lives_on(
    ready: Socket, payload: object
) -> None:
    await ready.send({"type": "subscribe", "id": "a", "payload": payload})
    answer = await ready.receive()
    # then there is one error message and no complete
    assert (answer["type"], answer["id"]) == ("error", "a")
    assert {error["extensions"]["code"] for error in answer["payload"]} == {"VALIDATION_FAILED"}
    # and the id may be used again at once
    assert await ready.answer("a", ASK) == {"data": {"__typename": "Query"}}


async def test_two_operations_on_one_socket_see_what_changed_between(
    ready: Socket, runtime: Runtime
) -> None:
    # given a film that was read over this socket
    id_ = ids.derive("movie", "ws")
    film = models.Movie(id=id_, title="Before", sort_title="before")
    await models.upsert(models.Movie, [film])
    query = f'{{ movie(by: {{id: "{id_}"}}) {{ title }} }}'
    assert await ready.answer("1", query) == {"data": {"movie": {"title": "Before"}}}
    # when it changes and the cache is told
    await models.upsert(models.Movie, [film.model_copy(update={"title": "After"})])
    await runtime.cache.invalidate_pattern("*")
    # then the next operation, with loaders of its own, sees it
    assert await ready.answer("2", query) == {"data": {"movie": {"title": "After"}}}


async def test_a_mutation_runs_over_the_socket(ready: Socket) -> None:
    answer = await ready.answer("a", REGISTER)
    assert answer == {"data": {"register": {"viewer": {"displayName": "Ada"}, "errors": []}}}


@pytest.mark.parametrize("leaving", ["completes", "closes", "is cut off"])
async def test_a_mutation_ends_whoever_goes_away(
    live_server: LiveServer, runtime: Runtime, leaving: str
) -> None:
    async with live_server.socket() as socket:
        await socket.initialised()
        await socket.subscribe("a", REGISTER)
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}  # so it has begun; hashing takes longer
        # when the client does not want the answer any more
        if leaving == "completes":
            await socket.send({"type": "complete", "id": "a"})
            assert await socket.is_silent(0.5)
        elif leaving == "closes":
            await socket.connection.close()
        else:
            socket.connection.transport.abort()
    # then the account is there nevertheless
    users = models.User.get_pymongo_collection()

    async def is_there() -> bool:
        return await users.count_documents({"email": "ada@example.org"}) == 1

    await until(is_there)


async def test_the_viewer_is_who_said_hello(socket: Socket, runtime: Runtime) -> None:
    refusal = await refused(await socket.initialised(token_for(runtime)), LIVE)
    assert refusal["extensions"]["code"] == "FORBIDDEN"


async def test_the_anonymous_see_no_live_metrics(ready: Socket) -> None:
    assert (await refused(ready, LIVE))["extensions"]["code"] == "UNAUTHENTICATED"


async def test_arguments_of_subscriptions_are_checked(operator: Socket) -> None:
    for arguments in ("intervalSeconds: 0", "intervalSeconds: 61", 'resumeAfter: "x"'):
        query = f"subscription {{ liveMetrics({arguments}) {{ cursor }} }}"
        code = (await refused(operator, query))["extensions"]["code"]
        assert code in ("VALIDATION_FAILED", "INVALID_CURSOR")


async def refused(socket: Socket, query: str) -> Any:
    await socket.subscribe("x", query)
    answer = await socket.receive()
    assert (answer["type"], answer["id"]) == ("error", "x")
    (error,) = answer["payload"]
    return error


# ---- subscriptions, side by side


async def test_an_id_that_is_in_use_closes(operator: Socket) -> None:
    await operator.subscribe("a", LIVE)
    await operator.subscribe("a", ASK)
    assert await operator.closed() == (4409, "Subscriber for a already exists")


async def test_complete_ends_a_stream_and_frees_its_id(operator: Socket) -> None:
    # given a running stream
    before = gauge("active_streams")
    await operator.subscribe("a", LIVE)
    assert (await operator.receive())["type"] == "next"
    # when it is completed, and its id taken by another at once, several times
    for _ in range(5):
        await operator.send({"type": "complete", "id": "a"})
        await operator.subscribe("a", LIVE)
    assert (await operator.receive())["type"] == "next"
    # then the last one is known by its id still: it can be ended as well
    await operator.send({"type": "complete", "id": "a"})
    assert await operator.answer("a", ASK) == {"data": {"__typename": "Query"}}
    assert await operator.is_silent(1.2)
    assert gauge("active_streams") == before


async def test_completing_what_does_not_run_is_no_fault(ready: Socket) -> None:
    await ready.send({"type": "complete", "id": "never heard of"})
    assert await ready.answer("a", ASK) == {"data": {"__typename": "Query"}}


async def test_operations_run_side_by_side(operator: Socket) -> None:
    await operator.subscribe("live", LIVE)
    await operator.subscribe("query", ASK)
    seen = [await operator.receive() for _ in range(3)]
    kinds = {(message["type"], message["id"]) for message in seen}
    assert kinds == {("next", "query"), ("complete", "query"), ("next", "live")}


async def test_a_socket_carries_a_hundred_operations(operator: Socket) -> None:
    for number in range(MAX_OPERATIONS + 1):
        await operator.subscribe(str(number), LIVE)
    assert await operator.closed() == (4429, "At most 100 operations at once")


@pytest.mark.parametrize("politely", [True, False])
async def test_a_client_that_goes_leaves_nothing_running(
    live_server: LiveServer, runtime: Runtime, politely: bool
) -> None:
    before = gauge("active_streams"), gauge("active_connections")
    async with live_server.socket() as socket:
        await socket.initialised(token_for(runtime, Role.OPERATOR))
        for number in range(10):
            await socket.subscribe(str(number), LIVE)
        await socket.receive()
        assert gauge("active_streams") == before[0] + 10
        if not politely:
            socket.connection.transport.abort()
    for _ in range(100):
        now = gauge("active_streams"), gauge("active_connections")
        if now == before:
            break
        await asyncio.sleep(0.02)
    assert now == before


async def test_a_server_that_stops_closes_sockets_and_ends(
    live_server: LiveServer, runtime: Runtime
) -> None:
    async with live_server.socket() as busy, live_server.socket() as idle:
        await busy.initialised(token_for(runtime, Role.OPERATOR))
        await busy.subscribe("a", LIVE)
        await busy.receive()
        # when the server is told to stop
        stopping = live_server.begin_stop()
        # then both are told to come again, and the lifespan ends well within 10 s
        assert (await busy.closed()).code == 1012
        assert (await idle.closed()).code == 1012
        async with asyncio.timeout(5):
            await stopping
