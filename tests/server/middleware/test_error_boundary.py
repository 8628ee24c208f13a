"""Between an exception nobody foresaw and the ASGI server there is always an answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from resolvers.context import Runtime
from server.middleware.error_boundary import ErrorBoundary
from server.middleware.security_headers import SecurityHeaders
from tests.support.api_client import LiveServer, build_silent_app, connect_app, serve_app

SITE = "https://app.example"
ID = re.compile(r"[0-9a-f]{16}")


class Panic(BaseException):
    """As libraries in Rust raise it."""


def stray_cancellation() -> BaseException:
    """What awaiting a future raises that somebody else cancelled."""
    return asyncio.CancelledError()


FAULTS: dict[str, Callable[[], BaseException]] = {
    "an exception": lambda: TypeError("unhashable type: 'list'"),
    "too deep a recursion": RecursionError,
    "no memory": MemoryError,
    "a panic": Panic,
    "a group": lambda: ExceptionGroup("two", [ValueError(), KeyError()]),
    "a group with a panic": lambda: BaseExceptionGroup("two", [ValueError(), Panic()]),
    "a nested group": lambda: BaseExceptionGroup("a", [BaseExceptionGroup("b", [Panic()])]),
    "somebody else's cancellation": stray_cancellation,
}


class Broken:
    """A part of the process whose every use fails."""

    def __init__(self, fault: Callable[[], BaseException]) -> None:
        self._fault = fault

    def __getattr__(self, _name: str) -> Any:
        raise self._fault()


def build_failing_app(runtime: Runtime, fault: Callable[[], BaseException]) -> Starlette:
    """Our application with routes that fail, at once and amid the answer, and a failing socket."""
    settings = runtime.settings.model_copy(update={"cors_origin": SITE})
    app = build_silent_app(replace(runtime, settings=settings))

    async def fail(_request: object) -> None:
        raise fault()

    async def fail_amid(_request: object) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"begun"
            raise fault()

        return StreamingResponse(pieces())

    async def fail_socket(socket: WebSocket) -> None:
        if "early" not in socket.query_params:
            await socket.accept()
        raise fault()

    app.add_route("/fails", fail, methods=["GET", "POST"])  # type: ignore[arg-type]
    app.add_route("/fails-amid", fail_amid)
    app.router.routes.append(WebSocketRoute("/fails", fail_socket))
    return app


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> Callable[[], BaseException]:
    return FAULTS[request.param]


@pytest.fixture
async def failing_server(
    runtime: Runtime, fault: Callable[[], BaseException]
) -> AsyncIterator[LiveServer]:
    async with serve_app(build_failing_app(runtime, fault), runtime.settings) as server:
        yield server


def assert_masked(response: httpx.Response) -> None:
    assert response.status_code == 500
    request_id = response.headers["x-request-id"]
    assert ID.fullmatch(request_id)
    (error,) = response.json()["errors"]
    assert error["message"] == "Something went wrong on our side."
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["access-control-allow-origin"] == SITE


async def test_every_fault_of_a_route_is_a_masked_error_that_pages_may_read(
    failing_server: LiveServer,
) -> None:
    async with failing_server.client() as client:
        for method in ("GET", "POST"):
            response = await client.request(method, "/fails", headers={"origin": SITE})
            assert_masked(response)
        # and the connection serves the next request
        assert "connection" not in response.headers
        assert (await client.get("/health")).status_code == 200


async def test_a_fault_amid_an_answer_cuts_that_answer_alone(failing_server: LiveServer) -> None:
    async with failing_server.client() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/fails-amid")
        assert (await client.get("/health")).status_code == 200


async def test_a_fault_of_a_socket_closes_it_with_1011(failing_server: LiveServer) -> None:
    address = f"ws://127.0.0.1:{failing_server.port}/fails"
    async with connect(address) as connection:
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1011


async def test_a_fault_before_a_socket_is_open_is_500(failing_server: LiveServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://127.0.0.1:{failing_server.port}/fails?early=1"):
            pass
    assert refused.value.response.status_code == 500


async def test_a_fault_around_operations_is_masked_over_http_and_sockets(
    runtime: Runtime, fault: Callable[[], BaseException]
) -> None:
    # given a part that fails whenever an operation is admitted
    app = build_silent_app(runtime)
    app.state.operations.documents = Broken(fault)
    async with serve_app(app, runtime.settings) as server:
        async with server.client() as client:
            response = await client.post("/graphql", json={"query": "{ __typename }"})
            assert response.status_code == 500
            (error,) = response.json()["errors"]
            assert error["extensions"]["requestId"] == response.headers["x-request-id"]

        # then a socket's operation gets the same, and the next one, too
        async with server.socket() as socket:
            await socket.initialised()
            for id_ in ("1", "2"):
                await socket.subscribe(id_, "{ __typename }")
                message = await socket.receive()
                assert (message["type"], message["id"]) == ("error", id_)
                (error,) = message["payload"]
                assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
                assert error["extensions"]["requestId"].startswith("ws-")


async def test_a_fault_of_another_middleware_is_masked_as_well(
    runtime: Runtime, fault: Callable[[], BaseException]
) -> None:
    # given a middleware right inside the boundary that fails
    async def fail(_scope: object, _receive: object, _send: object) -> None:
        raise fault()

    security = SecurityHeaders(runtime.settings)
    boundary: Any = ErrorBoundary(fail, security)
    async with connect_app(boundary) as client:
        response = await client.get("/anything")
        assert response.status_code == 500
        assert ID.fullmatch(response.headers["x-request-id"])
        head = await client.head("/anything")
        assert (head.status_code, head.content) == (500, b"")


async def test_a_cancelled_request_stays_cancelled() -> None:
    # given a request that is cancelled while it waits
    async def wait(_scope: object, _receive: object, _send: object) -> None:
        await asyncio.sleep(60)

    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    boundary: Any = ErrorBoundary(wait, Broken(Panic))  # type: ignore[arg-type]
    scope = {"type": "http", "headers": [], "path": "/", "method": "GET"}
    task = asyncio.create_task(boundary(scope, receive, send))
    await asyncio.sleep(0)
    task.cancel()

    # then it ends so, and nobody is answered
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent == []
