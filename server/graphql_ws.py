"""GraphQL over WebSocket: the graphql-transport-ws protocol, as enisdenjo/graphql-ws specifies it.

A context per operation and fresh loaders per event. A client that breaks the protocol is closed
with the protocol's code and nothing else happens; a slow client slows down only its own stream.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from graph.operations import Answer, Operations, Prepared
from resolvers import accounts
from resolvers.context import Context, Runtime, Viewer
from server.graphql_http import is_our_fault, operation_label, request_of
from server.operation_log import OperationLog, Told
from server.replies import Refused
from services import metrics
from services.access_log import AccessLog
from services.errors import CodedError, ErrorCode
from services.logs import get_logger

log = get_logger("graphql_ws")
PROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 5.0
MAX_OPERATIONS = 100
_MASKED = {
    "message": "Something went wrong on our side.",
    "extensions": {"code": ErrorCode.INTERNAL_SERVER_ERROR.value},
}


class Closed(Exception):
    """The protocol says to close: with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class GraphQLOverWebSocket:
    """The ASGI endpoint of /graphql for WebSockets."""

    def __init__(
        self,
        operations: Operations,
        runtime: Runtime,
        *,
        log: AccessLog | None = None,
        init_seconds: float = INIT_SECONDS,
    ) -> None:
        self._operations = operations
        self._runtime = runtime
        self._log = OperationLog(log or AccessLog(), runtime.live_metrics)
        self._init_seconds = init_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        if not _origin_allowed(socket, self._runtime.settings.cors_origin):
            await socket.close(1008, "Origin not allowed")  # before accept: 403
            return
        if PROTOCOL not in scope["subprotocols"]:
            await socket.accept()
            await socket.close(4406, "Subprotocol not acceptable")
            return
        await socket.accept(PROTOCOL)
        metrics.active_connections.inc()
        try:
            connection = Connection(socket, self._operations, self._runtime, self._log)
            await connection.serve(self._init_seconds)
        finally:
            metrics.active_connections.dec()


class Connection:
    """One socket, from accept to close."""

    def __init__(
        self, socket: WebSocket, operations: Operations, runtime: Runtime, log: OperationLog
    ) -> None:
        self._socket = socket
        self._operations = operations
        self._runtime = runtime
        self._log = log
        self._viewer: Viewer | None = None
        self._ready = False
        self._running: dict[str, asyncio.Task[None]] = {}

    async def serve(self, init_seconds: float) -> None:
        try:
            await self._listen(init_seconds)
        except TimeoutError:
            await self._close(4408, "Connection initialisation timeout")
        except Closed as closed:
            await self._close(closed.code, closed.reason)
        except WebSocketDisconnect:
            pass

    async def _listen(self, init_seconds: float) -> None:
        try:
            async with asyncio.timeout(init_seconds) as waiting:
                while True:
                    await self._receive()
                    if self._ready:
                        waiting.reschedule(None)
        finally:
            await self._cancel_all()  # before the close, after which nothing can be sent

    async def _receive(self) -> None:
        message = _decoded(await self._socket.receive())
        match message.get("type"):
            case "connection_init":
                await self._init(message.get("payload"))
            case "ping":
                await self._send({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                self._subscribe(message)
            case "complete":
                self._cancel(_id_of(message))
            case _:
                raise Closed(4400, "Unknown message type")

    async def _init(self, payload: Any) -> None:
        if self._ready:
            raise Closed(4429, "Too many initialisation requests")
        if not isinstance(payload, dict | None):
            raise Closed(4400, "The payload must be an object")
        given = payload or {}
        token = given.get("authorization", given.get("Authorization"))
        if not isinstance(token, str | None):
            raise Closed(4400, "The authorization must be a string")
        try:
            self._viewer = await accounts.authenticate(self._runtime, token)
        except CodedError as error:
            raise Closed(4403, error.code.value) from None
        self._ready = True
        await self._send({"type": "connection_ack"})

    def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._ready:
            raise Closed(4401, "Unauthorized")
        operation_id = _id_of(message)
        if operation_id in self._running:
            raise Closed(4409, f"Subscriber for {operation_id[:60]} already exists")
        if len(self._running) >= MAX_OPERATIONS:
            raise Closed(4429, f"At most {MAX_OPERATIONS} operations at once")
        task = asyncio.create_task(self._operation(operation_id, message.get("payload")))
        self._running[operation_id] = task

    async def _operation(self, operation_id: str, payload: Any) -> None:
        told = Told(self._context(operation_id), outcome="cancelled")  # unless it is heard of again
        try:
            if await self._run(operation_id, payload, told):
                await self._end(operation_id, {"type": "complete", "id": operation_id})
                told.outcome = "complete"
            else:
                told.outcome = "refused"
        except WebSocketDisconnect:
            told.outcome = "gone"
        except Exception as error:  # a fault of one operation must not silence it
            log.error("operation_failed", exc_info=error)
            told.outcome, told.is_our_fault = "failed", True
            await self._refuse(operation_id, [_MASKED])
        finally:
            self._forget(operation_id)
            self._log.write(told)

    async def _run(self, operation_id: str, payload: Any, told: Told) -> bool:
        """Sends the answers; False when the last message was an error, which needs no complete."""
        context = told.context
        try:
            prepared = self._operations.prepare(request_of(payload), context)
        except Refused as refused:
            errors = orjson.loads(refused.body())["errors"]
            return await self._refuse(operation_id, errors)
        if isinstance(prepared, Answer):
            return await self._without_running(operation_id, prepared)
        told.label = operation_label(prepared)
        told.is_stream = prepared.operation.kind == "subscription"
        if told.is_stream:
            return await self._stream(operation_id, prepared, context)
        answer = await self._operations.run(prepared, context)
        told.is_our_fault = is_our_fault(answer)
        await self._next(operation_id, answer)
        return True

    async def _without_running(self, operation_id: str, answer: Answer) -> bool:
        """Sends a public answer that was kept, or a refusal."""
        if not answer.started:
            return await self._refuse(operation_id, answer.errors)
        await self._next(operation_id, answer)
        return True

    async def _stream(self, operation_id: str, prepared: Prepared, context: Context) -> bool:
        with metrics.active_streams.track_inprogress():
            async with aclosing(self._operations.subscribe(prepared, context)) as answers:
                async for answer in answers:
                    if not answer.started:
                        return await self._refuse(operation_id, answer.errors)
                    await self._next(operation_id, answer)
        return True

    def _context(self, operation_id: str) -> Context:
        client = self._socket.client
        return Context(
            self._runtime,
            self._viewer,
            f"ws-{operation_id[:36]}",
            client.host if client else None,
            self._socket.headers.get("user-agent", "")[:300] or None,
        )

    async def _next(self, operation_id: str, answer: Answer) -> None:
        payload = orjson.Fragment(answer.encoded())
        await self._send({"type": "next", "id": operation_id, "payload": payload})

    async def _refuse(self, operation_id: str, errors: list[Any]) -> bool:
        await self._end(operation_id, {"type": "error", "id": operation_id, "payload": errors})
        return False

    async def _end(self, operation_id: str, message: dict[str, Any]) -> None:
        """The operation's last message; who has read it may use the id again."""
        self._forget(operation_id)
        with suppress(WebSocketDisconnect):
            await self._send(message)

    def _forget(self, operation_id: str) -> None:
        """By the operation itself; the id may be another's by now."""
        if self._running.get(operation_id) is asyncio.current_task():
            del self._running[operation_id]

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(orjson.dumps(message).decode())

    def _cancel(self, operation_id: str) -> None:
        task = self._running.pop(operation_id, None)
        if task is not None:
            task.cancel()

    async def _cancel_all(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.close(code, reason)


def _decoded(message: Any) -> dict[str, Any]:
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    text = message.get("text")
    if text is None:
        raise Closed(4400, "Messages are text")
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Closed(4400, "Messages are JSON") from None
    if not isinstance(decoded, dict):
        raise Closed(4400, "Messages are JSON objects")
    return decoded


def _id_of(message: dict[str, Any]) -> str:
    found = message.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= 200:
        raise Closed(4400, "A message of this type needs an id")
    return found


def _origin_allowed(socket: WebSocket, allowed: str) -> bool:
    """Browsers send Origin and no CORS check: what they may not read, they may not open."""
    origin = socket.headers.get("origin")
    if origin is None:
        return True
    if origin in [one.strip() for one in allowed.split(",") if one.strip()]:
        return True
    try:
        return urlsplit(origin).netloc == socket.headers.get("host")
    except ValueError:
        return False
