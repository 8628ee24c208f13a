"""A process that is busy says so, early and in its own name; what players report goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from graphql import GraphQLError
from starlette.applications import Starlette

from graph.base.errors import format_errors
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable
from services.limits.operation_gate import OperationGate
from services.telemetry.loop_lag import loop_lag
from tests.support.api_client import build_silent_app, connect_app, serve_app

BROWSE = "{ movies(first: 1) { nodes { title } } }"
REPORT = """mutation { reportProgress(input: {
  sessionId: "session_00000000000000000000", sequence: 1, positionSeconds: 5, state: PLAYING
}) { errors { code } } }"""


TAKEN = 32  # of a limit of 2: also those places that only waiting operations may have


def fill(app: Starlette) -> OperationGate:
    """All places of the application's gate are taken."""
    gate: OperationGate = app.state.operations.gate
    for _ in range(TAKEN):
        assert gate.try_enter(is_urgent=True)
    return gate


@pytest.fixture
def small(runtime: Runtime) -> Runtime:
    settings = runtime.settings.model_copy(
        update={"operations_in_flight": 2, "operations_queue_seconds": 0.05, "cache_tiers": "none"}
    )
    return replace(runtime, settings=settings)


async def test_a_busy_process_answers_503_with_a_time_to_come_back(small: Runtime) -> None:
    app = build_silent_app(small)
    fill(app)
    async with connect_app(app) as client:
        started = time.perf_counter()
        responses = await asyncio.gather(
            *(client.post("/graphql", json={"query": BROWSE}) for _ in range(3))
        )
        took = time.perf_counter() - started
    for response in responses:
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        (error,) = response.json()["errors"]
        assert error["extensions"] == {"code": "OVERLOADED", "retryAfterSeconds": 1}
        assert "data" not in response.json()
    assert took < 2


async def test_what_players_report_is_taken_by_a_busy_process(small: Runtime) -> None:
    app = build_silent_app(small)
    fill(app)
    async with connect_app(app) as client:
        response = await client.post("/graphql", json={"query": REPORT})
        assert response.status_code == 200
        codes = [error["extensions"]["code"] for error in response.json().get("errors", [])]
        assert "OVERLOADED" not in codes
        # but nothing that merely may be one
        hidden = REPORT.replace("mutation", "mutation { ...R } fragment R on Mutation")
        response = await client.post("/graphql", json={"query": hidden})
        assert response.status_code == 503


async def test_a_socket_s_operation_is_refused_and_the_socket_goes_on(small: Runtime) -> None:
    app = build_silent_app(small)
    gate = fill(app)
    async with serve_app(app, small.settings) as server, server.socket() as socket:
        await socket.initialised()
        await socket.subscribe("1", BROWSE)
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == "OVERLOADED"
        # and once there is room, it is served
        for _ in range(TAKEN):
            gate.leave(0.001)
        assert "data" in await socket.answer("2", BROWSE)


class StoreTimeoutError(Exception):
    """As a driver raises it."""


def tell(cause: Exception) -> str:
    """The code that clients see of a store that failed by this."""
    away = UpstreamUnavailable("The database did not answer in time.")
    away.__cause__ = cause
    (error,) = format_errors([GraphQLError(away.message, original_error=away)], "-")
    code: str = error["extensions"]["code"]
    return code


@pytest.fixture
async def measured() -> AsyncIterator[None]:
    loop_lag.start()
    yield
    loop_lag.stop()


async def test_our_own_delay_is_not_told_as_a_store_s(measured: None) -> None:
    # given a process that is in time: what a store does is the store's
    await asyncio.sleep(0.06)
    for cause in (TimeoutError(), StoreTimeoutError(), ConnectionResetError()):
        assert tell(cause) == "UPSTREAM_UNAVAILABLE"

    # when its loop stands still for longer than stores have
    time.sleep(0.7)  # noqa: ASYNC251 - that is the fault

    # then a deadline that passed is its own, a connection that broke is not
    assert tell(TimeoutError()) == tell(StoreTimeoutError()) == "OVERLOADED"
    assert tell(ConnectionResetError()) == "UPSTREAM_UNAVAILABLE"
