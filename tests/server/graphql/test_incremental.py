"""@defer and @stream over HTTP: in parts for who takes parts, whole for all others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from resolvers.context import Runtime
from services.settings.settings import Settings
from tests.support.api_client import LiveServer, connect_runtime
from tests.support.event_streams import Event, open_events
from tests.support.parts import PATHS, PENDING, merge_parts, read_parts
from tests.support.sockets import serve_runtime

DEFERRED = """query Page($first: Int!, $if: Boolean = true) {
  movies(first: $first) {
    nodes { id ... @defer(if: $if, label: "words") { title overview genres { name } } }
    ... @defer { pageInfo { hasNextPage endCursor } }
  }
  ...Service @defer
}
fragment Service on Query { service { version ... @defer(label: "rest") { services } } }"""
STREAMED = """query { movies(first: 6) {
  nodes @stream(initialCount: 2, label: "films") { title genres @stream { name } } } }"""
VARIABLES = {"first": 5}
COMPLETE = Event("complete", None)


def whole(document: str) -> str:
    """The document without the directives."""
    for directive in (
        '@defer(if: $if, label: "words")',
        '@defer(label: "rest")',
        '@stream(initialCount: 2, label: "films")',
        "@stream",
        "@defer",
        ", $if: Boolean = true",
    ):
        document = document.replace(directive, "")
    return document


@pytest.fixture
async def delivering(runtime: Runtime, demo_catalog: None) -> AsyncIterator[httpx.AsyncClient]:
    settings = runtime.settings.model_copy(update={"incremental_delivery": True})
    async with connect_runtime(replace(runtime, settings=settings)) as client:
        yield client


async def post(
    client: httpx.AsyncClient,
    query: str,
    accept: str,
    variables: dict[str, Any] | None = None,
    **more: Any,
) -> httpx.Response:
    body = {"query": query, "variables": variables or {}, **more}
    return await client.post("/graphql", json=body, headers={"accept": accept})


@pytest.mark.parametrize("accept", [PATHS, PENDING, "application/json"])
async def test_without_the_setting_the_directives_are_unknown(
    client: httpx.AsyncClient, accept: str
) -> None:
    response = await post(client, "{ ... @defer { __typename } }", accept)
    (error,) = response.json()["errors"]
    assert error["message"] == "Unknown directive '@defer'."


async def test_who_takes_no_parts_gets_the_whole(delivering: httpx.AsyncClient) -> None:
    for document, variables in ((DEFERRED, VARIABLES), (STREAMED, {})):
        response = await post(delivering, document, "application/json", variables)
        expected = await post(delivering, whole(document), "application/json", variables)
        assert response.headers["content-type"].startswith("application/json")
        assert response.json() == expected.json()
        assert response.json().keys() == {"data"}


@pytest.mark.parametrize("accept", [PATHS, PENDING])
@pytest.mark.parametrize(("document", "variables"), [(DEFERRED, VARIABLES), (STREAMED, {})])
async def test_the_parts_come_to_the_whole(
    delivering: httpx.AsyncClient, accept: str, document: str, variables: dict[str, Any]
) -> None:
    response = await post(delivering, document, accept, variables)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    parts = read_parts(response)
    first = parts[0]["data"]["movies"]["nodes"]
    expected = (await post(delivering, whole(document), "application/json", variables)).json()
    # given that the first part lacks what is deferred
    assert len(parts) > 1
    assert (len(first) == 2) if document == STREAMED else ("title" not in first[0])
    # then nothing is missing in the end
    assert merge_parts(parts) == (expected["data"], [])


async def test_the_format_is_the_one_that_is_named(delivering: httpx.AsyncClient) -> None:
    for accept, is_by_id in ((PENDING, True), (PATHS, False), ("multipart/mixed, */*", False)):
        response = await post(delivering, DEFERRED, accept, VARIABLES)
        spec = "incrementalSpec=v0.2" if is_by_id else "deferSpec=20220824"
        assert response.headers["content-type"].endswith(spec)
        parts = read_parts(response)
        assert ("pending" in parts[0]) == is_by_id
        patches = [patch for part in parts for patch in part.get("incremental", [])]
        assert {"id" in patch for patch in patches} == {is_by_id}
        assert {"path" in patch for patch in patches} == {not is_by_id}
    labels = {patch.get("label") for patch in patches}
    assert labels == {"words", "rest", None}


@pytest.mark.parametrize(
    "accept",
    [
        "multipart/mixed;incrementalSpec=v9, application/json",
        "multipart/mixed;deferSpec=20990101, application/json",
        'multipart/mixed;boundary=graphql;subscriptionSpec="1.0", application/json',
        "multipart/mixed;q=0, application/json",
        "text/event-stream, application/json",
    ],
)
async def test_a_format_that_we_do_not_know_is_not_used(
    delivering: httpx.AsyncClient, accept: str
) -> None:
    response = await post(delivering, DEFERRED, accept, VARIABLES)
    assert response.headers["content-type"].startswith("application/json")
    assert "pageInfo" in response.json()["data"]["movies"]


async def test_what_is_not_deferred_after_all_is_whole(delivering: httpx.AsyncClient) -> None:
    document = "query ($if: Boolean!) { ... @defer(if: $if) { __typename } }"
    response = await post(delivering, document, PENDING, {"if": False})
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == {"data": {"__typename": "Query"}}


async def test_what_cannot_run_is_refused_as_ever(delivering: httpx.AsyncClient) -> None:
    for document in (
        "{ ... @defer { nope } }",
        "query ($first: Int!) { ... @defer { movies(first: $first) { totalCount } } }",
        "mutation { ... @defer { logout(input: {}) { errors { code } } } }",
        "subscription { ... @defer { liveMetrics { cursor } } }",
        "{ a: movies { nodes @defer { id } } }",
    ):
        response = await post(delivering, document, PENDING)
        assert response.headers["content-type"].startswith("application/json")
        assert response.json().keys() == {"errors"}


async def test_deferred_parts_count_for_the_limits(delivering: httpx.AsyncClient) -> None:
    dear = "(first: 100) { nodes%s { similar(first: 100) { credits { person { id } } } } }"
    deep = "{ ... @defer { movies { nodes " + "{ similar " * 10 + "{ id" + " }" * 14
    deferred = "{ ... @defer { movies" + dear % "" + " } }"
    streamed = "{ movies" + dear % " @stream" + " }"
    for document in (deep, deferred, streamed):
        response = await post(delivering, document, PENDING)
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED", document


@pytest.mark.parametrize("accept", [PATHS, PENDING])
async def test_an_error_of_a_part_comes_with_it(delivering: httpx.AsyncClient, accept: str) -> None:
    document = '{ __typename ... @defer(label: "bad") { node(id: "?") { id } } }'
    response = await post(delivering, document, accept)
    data, errors = merge_parts(read_parts(response))
    assert data == {"__typename": "Query", "node": None}
    (error,) = errors
    assert error["extensions"]["code"] == "VALIDATION_FAILED"
    assert error["path"] == ["node"]


async def test_a_mutations_payload_may_be_deferred(delivering: httpx.AsyncClient) -> None:
    register = """mutation { register(input: {
      email: "ada@example.org", password: "velvet cactus lamp", displayName: "Ada"
    }) { errors { code } ... @defer { viewer { displayName } } } }"""
    data, errors = merge_parts(read_parts(await post(delivering, register, PENDING)))
    assert errors == []
    assert data == {"register": {"errors": [], "viewer": {"displayName": "Ada"}}}


async def test_another_error_behavior_gets_the_whole(delivering: httpx.AsyncClient) -> None:
    response = await post(delivering, DEFERRED, PENDING, VARIABLES, onError="NULL")
    assert response.headers["content-type"].startswith("application/json")


async def test_sockets_and_event_streams_carry_the_whole(
    runtime: Runtime, demo_catalog: None
) -> None:
    register = """mutation { register(input: {
      email: "ada@example.org", password: "velvet cactus lamp", displayName: "Ada"
    }) { errors { code } ... @defer { viewer { displayName } } } }"""
    registered = {"register": {"errors": [], "viewer": {"displayName": "Ada"}}}
    async with serve_runtime(runtime, incremental_delivery=True) as server:
        async with server.socket() as connected:
            socket = await connected.initialised()
            whole_answer = await socket.answer("1", whole(STREAMED))
            # then there is one result, which says of no more, and the end
            assert await socket.answer("2", STREAMED) == whole_answer
            assert await socket.answer("3", register) == {"data": registered}
        async with open_events(server, STREAMED) as stream:
            assert await stream.receive_all() == [Event("next", whole_answer), COMPLETE]
    assert whole_answer.keys() == {"data"}
    assert whole_answer["data"]["movies"]["nodes"][5]["genres"]


async def test_sockets_and_event_streams_refuse_directives_that_are_unknown(
    live_server: LiveServer,
) -> None:
    unknown = "{ ... @defer { __typename } }"
    async with live_server.socket() as connected:
        socket = await connected.initialised()
        await socket.subscribe("1", unknown)
        message = await socket.receive()
    async with open_events(live_server, unknown) as stream:
        event, end = await stream.receive_all()
    assert (message["type"], message["id"]) == ("error", "1")
    assert (event.name, end) == ("next", COMPLETE)
    for errors in (message["payload"], event.data["errors"]):
        assert [one["message"] for one in errors] == ["Unknown directive '@defer'."]


async def test_introspection_tells_of_the_directives(
    delivering: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    ask = "{ __schema { directives { name } } }"
    names = []
    for each in (client, delivering):
        data = (await post(each, ask, "*/*")).json()["data"]
        names.append({one["name"] for one in data["__schema"]["directives"]})
    assert names[1] - names[0] == {"defer", "stream"}


async def test_graphql_core_alone_gives_the_whole_too(
    runtime: Runtime, settings: Settings, demo_catalog: None
) -> None:
    changes = {"incremental_delivery": True, "graphql_executor": "core"}
    changed = replace(runtime, settings=settings.model_copy(update=changes))
    async with connect_runtime(changed) as client:
        response = await post(client, DEFERRED, "application/json", VARIABLES)
        expected = await post(client, whole(DEFERRED), "application/json", VARIABLES)
    assert response.json() == expected.json()
    assert response.json().keys() == {"data"}
