"""One WebSocket connection: its start, its operations, renewing its token, and its end.

A client that breaks the protocol is closed with the protocol's code, and nothing else happens. When
a viewer is signed out or the token expires, streams end at once, and the socket closes with 4403.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from graph.engine.operations import Operations
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context, Runtime, Viewer
from resolvers.ops import abuse
from server.graphql import cookies
from server.graphql.delivery.live_delivery import WIRE
from server.graphql.messages import (
    Closed,
    decode_message,
    read_authorization,
    read_id,
    read_payload,
)
from server.graphql.naming.client_names import read_announced_name, read_client_name
from server.graphql.operation_log import OperationLog
from server.graphql.socket_limits import MessageBucket, OpenSockets
from server.graphql.socket_operations import SocketOperations
from services.errors import CodedError, UpstreamUnavailable
from services.limits.abuse_rules import Signal
from services.telemetry import metrics

_DRAIN_SECONDS = 0.5  # for answers under way, as to the mutation that signed the viewer out
_CLOSE_SECONDS = 5.0
_MAX_WAIT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class SharedSocketState:
    """State that all sockets of a process share."""

    operations: Operations
    runtime: Runtime
    log: OperationLog
    open: OpenSockets
    init_seconds: float


class MessageSender:
    """Sends a socket's messages; no part of `Connection`, whose operations it would bind to it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._sending = asyncio.Lock()

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message at a time, each when the client has read enough of the previous."""
        async with self._sending:
            if self._socket.application_state is not WebSocketState.CONNECTED:
                raise WebSocketDisconnect  # closed by us; a mutation still had something to say
            await self._socket.send_text(orjson.dumps(message).decode())


class Connection:
    """One socket. `trust_cookies`: the handshake came from a page of ours, by its Origin."""

    def __init__(
        self, socket: WebSocket, shared: SharedSocketState, *, trust_cookies: bool
    ) -> None:
        self._socket = socket
        self._shared = shared
        self._settings = shared.runtime.settings
        self._trust_cookies = trust_cookies
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._id = token_hex(8)
        self._operation_count = 0
        self._viewer: Viewer | None = None
        self._client_name = read_client_name(dict(socket.scope["headers"]))
        self._is_ready = False
        self._is_warned = False
        self._ending: Closed | None = None
        self._waiting: asyncio.Timeout | None = None
        self._send = MessageSender(socket).send
        self._bucket = MessageBucket(self._settings.socket_messages_per_second)
        wire = socket.scope.get("extensions", {}).get(WIRE)
        self._running = SocketOperations(shared.operations, shared.log, self._send, wire)

    async def serve(self) -> None:
        """Serve the socket until it is closed."""
        try:
            await self._listen()
        except Closed as closed:
            await self._close(closed)
        except WebSocketDisconnect:
            pass
        finally:
            if self._viewer is not None:
                self._shared.open.sign_out(self, self._viewer)
        await self._running.finish(self._settings.graphql_deadline_seconds)

    def end(self, closed: Closed) -> None:
        """End the connection from outside: streams stop now, the socket closes soon."""
        self._ending = self._ending or closed
        self._running.cancel_streams()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._loop.time())

    async def _listen(self) -> None:
        try:
            while self._ending is None:
                message = await self._receive()
                if message is None:
                    await self._check_deadlines()
                else:
                    self._bucket.take()
                    await self._dispatch(message)
            await self._running.finish(_DRAIN_SECONDS)
            raise self._ending
        finally:
            await self._running.stop()

    async def _receive(self) -> dict[str, Any] | None:
        """The next message; None when it is time to check the deadlines."""
        seconds = self._seconds_to_wait()
        if seconds <= 0:
            return None
        try:
            async with asyncio.timeout(seconds) as self._waiting:
                return decode_message(await self._socket.receive())
        except TimeoutError:
            return None
        finally:
            self._waiting = None

    # ---- time

    def _seconds_to_wait(self) -> float:
        if not self._is_ready:
            return self._opened_at + self._shared.init_seconds - self._loop.time()
        if self._viewer is None:
            return self._settings.socket_idle_seconds - self._running.quiet_seconds
        remaining = self._token_seconds(self._viewer)
        if not self._is_warned:
            remaining -= self._settings.socket_expiry_warning_seconds
        return min(remaining, _MAX_WAIT_SECONDS)

    def _token_seconds(self, viewer: Viewer) -> float:
        return viewer.expires_at - self._shared.runtime.clock()

    async def _check_deadlines(self) -> None:
        if self._ending is not None or self._seconds_to_wait() > 0:
            return
        if not self._is_ready:
            raise Closed(4408, "Connection initialisation timeout")
        if self._viewer is None:
            raise Closed(4408, "Nothing was asked for too long")
        if self._token_seconds(self._viewer) <= 0:
            self.end(Closed(4403, "Token expired"))
        else:
            self._is_warned = True
            await self._send({"type": "ping", "payload": {"auth": "expiring"}})

    # ---- messages

    async def _dispatch(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                await self._init(read_payload(message))
            case "ping":
                await self._renew(message.get("payload"))
                await self._send({"type": "pong"})
            case "pong":
                await self._renew(message.get("payload"))
            case "subscribe":
                self._subscribe(message)
            case "complete":
                self._running.cancel(read_id(message))
            case _:
                raise Closed(4400, "Unknown message type")

    async def _init(self, payload: dict[str, Any]) -> None:
        if self._is_ready:
            raise Closed(4429, "Too many initialisation requests")
        viewer = await self._authenticate(read_authorization(payload))
        if viewer is not None:
            self._shared.open.sign_in(self, viewer)
            self._viewer = viewer
        elif abuse.is_blocked(self._context()):
            raise Closed(4403, "Forbidden")
        self._client_name = read_announced_name(payload) or self._client_name
        self._is_ready = True
        await self._send({"type": "connection_ack"})

    async def _renew(self, payload: Any) -> None:
        """Renew the token. Any payload is allowed; one with an authorization is a new token.

        Raises:
            Closed: it is another user's, or gives fewer rights than the streams were opened with.
        """
        token = read_authorization(payload) if isinstance(payload, dict) else None
        if token is None or not self._is_ready:
            return
        viewer, previous = await self._authenticate(token), self._viewer
        if viewer is None or previous is None or viewer.user_id != previous.user_id:
            raise Closed(4403, "The token is another user's")
        if viewer.role.rank < previous.role.rank:
            raise Closed(4403, "The token gives fewer rights")
        self._shared.open.sign_in(self, viewer)
        self._viewer, self._is_warned = viewer, False
        self._running.renew(viewer)

    async def _authenticate(self, token: str | None) -> Viewer | None:
        runtime = self._shared.runtime
        try:
            if token is None and self._trust_cookies:
                return await cookies.authenticate_cookies(runtime, self._socket.scope["headers"])
            return await authenticate(runtime, token)
        except UpstreamUnavailable:
            raise Closed(1013, "Try again later") from None
        except CodedError as error:
            if self._socket.client is not None:
                watch = runtime.ops.abuse_watch
                watch.record_signal(self._socket.client.host, Signal.INVALID_TOKEN)
            raise Closed(4403, error.code.value) from None

    def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._is_ready:
            raise Closed(4401, "Unauthorized")
        self._running.begin(read_id(message), message.get("payload"), self._context())

    def _context(self) -> Context:
        """A new operation's context.

        Its request id is the socket's id and a number: clients reuse their operation ids.
        """
        self._operation_count += 1
        client = self._socket.client
        return Context(
            self._shared.runtime,
            self._viewer,
            f"ws-{self._id}-{self._operation_count}",
            client.host if client else None,
            self._socket.headers.get("user-agent", "")[:300] or None,
            client_name=self._client_name,
        )

    # ---- closing

    async def _close(self, closed: Closed) -> None:
        if self._socket.application_state is not WebSocketState.CONNECTED:
            return
        metrics.sockets_closed_total.labels(str(closed.code)).inc()
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._socket.close(closed.code, closed.reason)
