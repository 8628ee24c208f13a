"""Sockets: messages no client should send, and documents that are refused there as over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from resolvers.context import Runtime
from tests.attacks.conftest import OUR_SITE
from tests.attacks.payloads import MASKED, assert_nothing_leaks, record_attempt
from tests.support.api_client import LiveServer, Socket, token_for

INIT = {"type": "connection_init"}
ASK = {"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}}
LIVE = {"query": "subscription { liveMetrics { cursor } }"}
UNSIGNED = "Bearer eyJhbGciOiJub25lIn0.e30."
DEEP = "[" * 20_000 + "]" * 20_000
FILM = '{ movie(by: {id: "movie_1"}) '

# what is sent, in turn -> the code the socket is closed with
CLOSED: dict[str, tuple[list[Any], int]] = {
    "an operation before hello": ([ASK], 4401),
    "two hellos": ([INIT, INIT], 4429),
    "a list": ([[]], 4400),
    "a number": (["5"], 4400),
    "null": (["null"], 4400),
    "no JSON": (["{"], 4400),
    "deep JSON": ([DEEP], 4400),
    "an empty text": ([""], 4400),
    "bytes": ([b"\x00\x01"], 4400),
    "no type": ([{}], 4400),
    "another type": ([{"type": "start"}], 4400),
    "a type that is an object": ([{"type": {"$ne": None}}], 4400),
    "the server's words": ([INIT, {"type": "next", "id": "1", "payload": {}}], 4400),
    "the old protocol's start": ([INIT, {"type": "start", "id": "1", "payload": {}}], 4400),
    "a hello that is text": ([{"type": "connection_init", "payload": "a"}], 4400),
    "a token that is an object": (
        [{"type": "connection_init", "payload": {"authorization": {"$ne": None}}}],
        4400,
    ),
    "a bad token": ([{"type": "connection_init", "payload": {"authorization": "Bearer a"}}], 4403),
    "an unsigned token": (
        [{"type": "connection_init", "payload": {"Authorization": UNSIGNED}}],
        4403,
    ),
    "an operation without an id": ([INIT, {**ASK, "id": None}], 4400),
    "an id that is an object": ([INIT, {**ASK, "id": {}}], 4400),
    "an id of 10,000 characters": ([INIT, {**ASK, "id": "a" * 10_000}], 4400),
    "an end of nothing without an id": ([INIT, {"type": "complete"}], 4400),
    "100 KB": ([INIT, {**ASK, "payload": {"query": "#" * 100_000}}], 1009),
    "a flood": ([INIT, *[{"type": "ping"}] * 300], 4429),
}  # fmt: skip
for _name, (_sent, _) in CLOSED.items():
    record_attempt("WebSocket messages", _name, _sent)


async def _still_answers(server: LiveServer) -> None:
    async with server.socket() as socket:
        await socket.initialised()
        assert await socket.answer("1", "{ __typename }") == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("name", CLOSED)
async def test_a_client_that_breaks_the_protocol_is_closed_with_its_code(
    live_server: LiveServer, name: str
) -> None:
    messages, code = CLOSED[name]
    async with live_server.socket() as socket:
        for message in messages:
            await socket.send(message)
        closed = await socket.closed()
    assert closed.code == code
    assert_nothing_leaks(closed.reason)
    await _still_answers(live_server)


async def test_an_id_that_is_in_use_closes(live_server: LiveServer, hardened: Runtime) -> None:
    record_attempt("WebSocket messages", "a used id")
    async with live_server.socket() as socket:
        await socket.initialised(token_for(hardened))
        subscribe = {"type": "subscribe", "id": "1",
                     "payload": {"query": "subscription { progressChanged { id } }"}}  # fmt: skip
        await socket.send(subscribe)
        await socket.send(subscribe)
        assert (await socket.closed()).code == 4409
    await _still_answers(live_server)


# operation payloads -> the code of every error; the socket lives on
REFUSED: dict[str, tuple[Any, str]] = {
    "no payload": (None, "VALIDATION_FAILED"),
    "a list": ([], "VALIDATION_FAILED"),
    "a query that is an object": ({"query": {"$ne": None}}, "VALIDATION_FAILED"),
    "variables that are text": ({"query": "{ __typename }", "variables": "a"}, "VALIDATION_FAILED"),
    "no GraphQL": ({"query": "{"}, "VALIDATION_FAILED"),
    "introspection": ({"query": "{ __schema { types { name } } }"}, "VALIDATION_FAILED"),
    "introspection in a subscription": (
        {"query": "subscription { __schema { description } }"},
        "VALIDATION_FAILED",
    ),
    "a suggestion": ({"query": "{ movis { id } }"}, "VALIDATION_FAILED"),
    "two streams in one": (
        {"query": "subscription { liveMetrics { cursor } progressChanged { id } }"},
        "VALIDATION_FAILED",
    ),
    "depth": (
        {"query": FILM + "{ similar " * 15 + "{ id }" + " }" * 16},
        "COST_LIMIT_EXCEEDED",
    ),
    "aliases": (
        {"query": "{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }"},
        "COST_LIMIT_EXCEEDED",
    ),
    "cost": (
        {"query": "{ movies(first: 100) { nodes { similar(first: 100) { id similar { id } } } } }"},
        "COST_LIMIT_EXCEEDED",
    ),
    "a circle": (
        {"query": FILM + "{ ...F } } fragment F on Movie { similar { ...F } }"},
        "COST_LIMIT_EXCEEDED",
    ),
    "an unknown document": ({"documentId": "sha256:" + "0" * 64}, "PERSISTED_QUERY_NOT_FOUND"),
    "no rights": (LIVE, "UNAUTHENTICATED"),
    "somebody's progress": (
        {"query": 'subscription { progressChanged(playableId: "movie_1") { id } }'},
        "UNAUTHENTICATED",
    ),
    "somebody's job": ({"query": 'subscription { jobChanged(id: "job_1") { id } }'},
                       "UNAUTHENTICATED"),
}  # fmt: skip
for _name, (_payload, _expected) in REFUSED.items():
    record_attempt("WebSocket messages", _name, json.dumps(_payload))


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_over_http_is_refused_here(socket: Socket, name: str) -> None:
    payload, expected = REFUSED[name]
    await socket.initialised()
    # when it is asked as an operation
    await socket.send({"type": "subscribe", "id": "1", "payload": payload})
    # then all it gets is a coded error
    answer = await socket.receive()
    errors = answer["payload"] if answer["type"] == "error" else answer["payload"]["errors"]
    assert {error["extensions"]["code"] for error in errors} == {expected}
    assert_nothing_leaks(json.dumps(answer), json.dumps(payload))
    assert MASKED not in json.dumps(answer)
    assert "Did you mean" not in json.dumps(answer)
    if answer["type"] != "error":
        assert not any((answer["payload"]["data"] or {}).values())
        assert (await socket.receive())["type"] == "complete"
    # and the next operation is answered
    assert await socket.answer("2", "{ __typename }") == {"data": {"__typename": "Query"}}


HANDSHAKES: dict[str, dict[str, Any]] = {
    "another site": {"origin": "https://evil.example"},
    "no site": {"origin": "null"},
    "a site that looks like ours": {"origin": OUR_SITE + ".evil.example"},
    "our site without encryption": {"origin": "http://app.example"},
    "two sites": {"origin": f"{OUR_SITE}, https://evil.example"},
    "two hosts": {"additional_headers": {"host": "evil.example"}},
    "a host that allows itself": {
        "origin": "https://evil.example", "additional_headers": {"host": "evil.example"}},
}  # fmt: skip
for _name, _options in HANDSHAKES.items():
    record_attempt("cross-site WebSocket hijacking", _name, _options)


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_other_sites_open_no_socket(live_server: LiveServer, name: str) -> None:
    options = HANDSHAKES[name]
    with pytest.raises(InvalidStatus) as refused:
        async with live_server.socket(**options):
            pass
    assert refused.value.response.status_code in (400, 403)
    await _still_answers(live_server)


PROTOCOLS = [["graphql-ws"], ["soap"], [], ["graphql-ws", "mqtt"]]
for _protocols in PROTOCOLS:
    record_attempt("legacy graphql-ws", _protocols)


@pytest.mark.parametrize("protocols", PROTOCOLS, ids=str)
async def test_no_other_protocol_is_spoken(live_server: LiveServer, protocols: list[str]) -> None:
    async with live_server.socket(subprotocols=protocols or None) as socket:
        assert (await socket.closed()).code == 4406
    await _still_answers(live_server)
