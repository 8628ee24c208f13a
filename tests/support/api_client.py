"""How tests come in by the front door: GraphQL over HTTP and over graphql-transport-ws."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import httpx
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

import models
from models.mongo import ids
from resolvers.context import Runtime
from server import serving
from server.app import build_app
from server.http_protocol import ConnectionLimits
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from tests.support.memory_http import MemoryHttp

PROTOCOL = Subprotocol("graphql-transport-ws")
ISSUE_QUERY = """
query ($first: Int) {
  movies(first: $first) {
    nodes { title year genres { name } credits(first: 3) { person { name } } }
  }
}
"""


class HttpDoor:
    """The door that clients of the test take: of `connect_app`, and of `serve_app`."""

    current: ClassVar[str | None] = None  # "short", "asgi", or what is usual for each


class GraphQL:
    """POSTs one operation; answers with the status and the decoded body."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(
        self, query: str, variables: dict[str, Any] | None = None, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        body = {"query": query, "variables": variables or {}}
        response = await self._client.post("/graphql", json=body, headers=headers)
        return response.status_code, response.json()


async def fetch_data(
    graphql: GraphQL, query: str, token: str | None = None, **variables: Any
) -> Any:
    """The data of one operation; an error fails the test."""
    status, body = await graphql(query, variables, token)
    assert (status, body.keys()) == (200, {"data"}), body
    return body["data"]


class Closed(NamedTuple):
    code: int | None
    reason: str


class Socket:
    """One graphql-transport-ws client; every wait ends after 5 s."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: object) -> None:
        """Dicts and the like as JSON; text and bytes as they are."""
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.connection.send(raw)

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            text = await self.connection.recv()
        assert isinstance(text, str)  # a binary frame is not in the protocol
        message: dict[str, Any] = json.loads(text)
        return message

    async def initialised(self, token: str | None = None) -> Socket:
        payload = {"authorization": f"Bearer {token}"} if token else {}
        await self.send({"type": "connection_init", "payload": payload})
        assert await self.receive() == {"type": "connection_ack"}
        return self

    async def subscribe(
        self, id_: str, query: str, variables: dict[str, Any] | None = None
    ) -> None:
        payload = {"query": query, "variables": variables or {}}
        await self.send({"type": "subscribe", "id": id_, "payload": payload})

    async def answer(self, id_: str, query: str, variables: dict[str, Any] | None = None) -> Any:
        """The payload of a query's one answer."""
        await self.subscribe(id_, query, variables)
        answer = await self.receive()
        assert (answer["type"], answer["id"]) == ("next", id_)
        assert await self.receive() == {"type": "complete", "id": id_}
        return answer["payload"]

    async def is_silent(self, seconds: float = 0.2) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.connection.recv()
        except TimeoutError:
            return True
        return False

    async def closed(self) -> Closed:
        """How the server closed; messages before that are read over."""
        async with asyncio.timeout(15):
            with suppress(ConnectionClosed):
                while True:
                    await self.connection.recv()
        return Closed(self.connection.close_code, self.connection.close_reason or "")


class LiveServer:
    """Our own server on a free port, in the test's loop, with the application's lifespan."""

    def __init__(self, port: int, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}/graphql"
        self.port = port
        self._stop = stop
        self._task = task

    def begin_stop(self) -> asyncio.Task[None]:
        """What SIGTERM does; the task ends with the server."""
        self._stop.set()
        return self._task

    async def ended(self) -> None:
        """Wait for its end, which somebody else has begun."""
        await asyncio.shield(self._task)

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[Socket]:
        options.setdefault("subprotocols", [PROTOCOL])
        async with connect(self.socket_url, compression=None, **options) as connection:
            yield Socket(connection)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.url, timeout=15) as client:
            yield client


def build_silent_app(runtime: Runtime) -> Starlette:
    """The application without an access log."""
    return build_app(runtime, access_log=AccessLog(enabled=False))


@asynccontextmanager
async def connect_app(
    app: Starlette, headers: dict[str, str] | None = None, **transport: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application without a network.

    Args:
        app: The application; a fault of ours is raised in the client.
        headers: Sent with every request.
        transport: Options of httpx.ASGITransport, as the client's address.
    """
    async with httpx.AsyncClient(
        transport=_open_transport(app, transport), base_url="http://test", headers=headers
    ) as client:
        yield client


def _open_transport(app: Starlette, options: dict[str, Any]) -> httpx.AsyncBaseTransport:
    has_state = isinstance(app, Starlette)  # tests connect bare middleware, too
    if has_state and HttpDoor.current == "short":
        return MemoryHttp(app, **options)
    return httpx.ASGITransport(app, **options)


@asynccontextmanager
async def connect_runtime(
    runtime: Runtime, headers: dict[str, str] | None = None, **transport: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a silent application on this runtime; options as of `connect_app`."""
    async with connect_app(build_silent_app(runtime), headers, **transport) as client:
        yield client


@asynccontextmanager
async def connect_executor(runtime: Runtime, executor: str) -> AsyncIterator[GraphQL]:
    """A client of the application on one executor: "plan" or "core"."""
    settings = runtime.settings.model_copy(update={"graphql_executor": executor})
    async with connect_runtime(replace(runtime, settings=settings)) as client:
        yield GraphQL(client)


@asynccontextmanager
async def serve_app(
    app: Starlette,
    settings: Settings,
    *,
    drain_seconds: float = 0.0,
    limits: ConnectionLimits | None = None,
    control: serving.Control | None = None,
) -> AsyncIterator[LiveServer]:
    if HttpDoor.current == "asgi":
        app.state.door = None
    listening = serving.bind(settings.model_copy(update={"port": 0}))
    started, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        serving.serve(
            app,
            listening,
            stop,
            started=started.set,
            stopping=getattr(app.state, "draining", asyncio.Event()).set,
            limits=limits or ConnectionLimits.of(settings),
            drain_seconds=drain_seconds,
            control=control,
        )
    )
    async with asyncio.timeout(10):
        await started.wait()
    try:
        yield LiveServer(listening.getsockname()[1], stop, task)
    finally:
        stop.set()
        await task


def token_for(
    runtime: Runtime,
    role: models.Role = models.Role.USER,
    tier: models.AccountTier = models.AccountTier.FREE,
    *,
    now: float | None = None,
) -> str:
    """An access token as `login` gives it, issued at `now`."""
    return runtime.accounts.access_tokens.issue(
        user_id=ids.derive("user", "test", role.value),
        role=role.value,
        tier=tier.value,
        login_id="login_1",
        now=runtime.clock() if now is None else now,
    )
