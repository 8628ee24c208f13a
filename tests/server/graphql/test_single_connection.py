"""graphql-sse's single connection mode: one stream for all operations of a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from resolvers.context import Runtime
from tests.support.api_client import LiveServer
from tests.support.event_streams import EVENTS, Event, EventReader
from tests.support.processes import until
from tests.support.sockets import ASK, LIVE, count_open_streams, issue_token, serve_runtime

TOKEN = "x-graphql-event-stream-token"


@pytest.fixture
async def server(runtime: Runtime) -> AsyncIterator[LiveServer]:
    async with serve_runtime(runtime, sse_single_connection=True) as server:
        yield server


@pytest.fixture
async def operator(server: LiveServer, runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token of an operator."""
    async with server.client() as client:
        client.headers["authorization"] = f"Bearer {issue_token(runtime)}"
        yield client


async def reserve(client: httpx.AsyncClient) -> dict[str, str]:
    """The header that names a stream of one's own."""
    response = await client.put("/graphql")
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    return {TOKEN: response.text}


async def begin(
    client: httpx.AsyncClient, token: dict[str, str], query: str, id_: Any
) -> httpx.Response:
    body = {"query": query, "extensions": {"operationId": id_}}
    return await client.post("/graphql", json=body, headers=token)


async def test_results_of_all_operations_come_by_one_stream(operator: httpx.AsyncClient) -> None:
    token = await reserve(operator)
    # given an operation that was sent before the stream is open
    assert (await begin(operator, token, ASK, "early")).status_code == 202
    async with operator.stream("GET", "/graphql", headers=token | EVENTS) as response:
        stream = EventReader(response)
        answer = {"data": {"__typename": "Query"}}
        assert await stream.receive() == Event("next", {"id": "early", "payload": answer})
        assert await stream.receive() == Event("complete", {"id": "early"})
        # when a subscription and one that is wrong are sent
        assert (await begin(operator, token, LIVE, "live")).status_code == 202
        assert (await begin(operator, token, "{ nope }", "wrong")).status_code == 202
        events = [await stream.receive() for _ in range(4)]
        # then each result names its operation
        named = {(one.name, one.data["id"]) for one in events if one is not None}
        assert named == {("next", "live"), ("next", "wrong"), ("complete", "wrong")}
        # and after DELETE there are no more of it
        params = {"operationId": "live"}
        response = await operator.delete("/graphql", params=params, headers=token)
        assert response.status_code == 200
        assert (await begin(operator, token, ASK, "live")).status_code == 202
        while (event := await stream.receive()) != Event("complete", {"id": "live"}):
            assert event is not None
    await until(lambda: count_open_streams() == 0)


async def test_a_stream_is_one_client_s(
    server: LiveServer, operator: httpx.AsyncClient, runtime: Runtime
) -> None:
    token = await reserve(operator)
    async with operator.stream("GET", "/graphql", headers=token | EVENTS):
        await until(lambda: count_open_streams() == 1)
        # it is opened once
        assert (await operator.get("/graphql", headers=token | EVENTS)).status_code == 409
        # and others start nothing on it
        eve = {"authorization": f"Bearer {issue_token(runtime, user='eve')}"}
        assert (await begin(operator, token | eve, ASK, "1")).status_code == 403
        assert (await operator.get("/graphql", headers=token | eve | EVENTS)).status_code == 403
    # after its end it is nobody's
    await until(lambda: count_open_streams() == 0)
    await asyncio.sleep(0.1)
    assert (await begin(operator, token, ASK, "1")).status_code == 404


async def test_the_token_alone_opens_a_stream(
    server: LiveServer, operator: httpx.AsyncClient
) -> None:
    token = (await reserve(operator))[TOKEN]
    async with server.client() as source:  # as EventSource, which sends no headers of ours
        params = {"token": token}
        async with source.stream("GET", "/graphql", params=params, headers=EVENTS) as response:
            assert response.status_code == 200
            assert (await begin(operator, {TOKEN: token}, LIVE, "1")).status_code == 202
            event = await EventReader(response).receive()
            assert event is not None
            assert event.data["payload"]["data"]["liveMetrics"]["cursor"]


@pytest.mark.parametrize("id_", [None, "", 5, "x" * 201])
async def test_an_operation_has_a_name(operator: httpx.AsyncClient, id_: object) -> None:
    token = await reserve(operator)
    assert (await begin(operator, token, ASK, id_)).status_code == 400


async def test_a_name_in_use_is_refused(operator: httpx.AsyncClient) -> None:
    token = await reserve(operator)
    assert (await begin(operator, token, LIVE, "1")).status_code == 202
    assert (await begin(operator, token, LIVE, "1")).status_code == 409


async def test_without_the_setting_there_are_no_such_streams(client: httpx.AsyncClient) -> None:
    assert (await client.put("/graphql")).status_code == 405
    response = await client.post("/graphql", json={"query": ASK}, headers={TOKEN: "x"})
    assert response.json() == {"data": {"__typename": "Query"}}


async def test_an_unknown_token_is_none(operator: httpx.AsyncClient) -> None:
    for token in ("x", "nonsense" * 30):
        response = await begin(operator, {TOKEN: token}, ASK, "1")
        assert response.status_code == 404


async def test_an_address_reserves_so_many(runtime: Runtime) -> None:
    async with serve_runtime(runtime, sse_single_connection=True, sockets_per_address=2) as server:
        async with server.client() as client:
            statuses = [(await client.put("/graphql")).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]
