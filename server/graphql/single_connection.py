"""graphql-sse, single connection mode: one stream for all operations of a client.

PUT reserves a stream and gives its token, a GET with the token opens it, POSTs start operations
whose results come by it, DELETE ends one. A process knows its own streams: a balancer has to keep a
client at one process.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.types import Scope
from starlette.websockets import WebSocketDisconnect

from graph.engine.operations import Operations
from resolvers.context import Context
from server.graphql.messages import Closed
from server.graphql.naming.addresses import ENDPOINT
from server.graphql.negotiation.accept import Accepted, EventStreams
from server.graphql.operation_log import OperationLog
from server.graphql.replies import Refused, Reply, ReplyInPieces, build_reply
from server.graphql.requests import parse_request, read_payload
from server.graphql.socket_operations import SocketOperations
from server.graphql.streams.event_streams import StreamReply
from server.graphql.streams.frames import encode_complete, encode_next
from server.graphql.streams.running import RunningStreams
from services.errors import ErrorCode
from services.limits.address_prefixes import group_address

TOKEN_HEADER = b"x-graphql-event-stream-token"
MAX_RESERVATIONS = 10_000
_RESERVED_SECONDS = 30.0
_MAX_FRAMES = 16  # beyond it operations wait for the client to read
_MAX_ID_CHARACTERS = 200
_ALLOW = {b"allow": b"GET, POST, PUT, DELETE"}
_STATUSES = {4409: 409, 4429: 429}


class _Channel:
    """One client's stream: reserved, then open."""

    def __init__(self, operations: Operations, log: OperationLog, context: Context) -> None:
        self.context = context
        self.operations = SocketOperations(operations, log, self._send)
        self.is_open = False
        self._frames: deque[bytes] = deque()
        self._is_closed = False
        self._changed = asyncio.Event()

    async def _send(self, message: dict[str, Any]) -> None:
        """Queue a message of the socket's protocol, when there is room."""
        while len(self._frames) >= _MAX_FRAMES and not self._is_closed:
            self._changed.clear()
            await self._changed.wait()
        if self._is_closed:
            raise WebSocketDisconnect
        self._frames.append(_encode(message))
        self._changed.set()

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yield what is queued, without end."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                self._changed.set()
                yield frame
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """End the operations; mutations run on, and nobody gets their results."""
        self._is_closed = True
        self._changed.set()
        await self.operations.stop()


class SingleConnections:
    """The reserved and open streams of this process."""

    def __init__(self, operations: Operations, streams: RunningStreams, log: OperationLog) -> None:
        self._operations = operations
        self._streams = streams
        self._log = log
        self._channels: dict[str, _Channel] = {}
        self._reserved: Counter[str] = Counter()  # by address, in the last half minute
        self._closing: set[asyncio.Future[None]] = set()

    def is_addressed(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request is about one of these streams."""
        if scope["path"] != ENDPOINT:
            return False
        return scope["method"] in ("PUT", "DELETE") or bool(_read_token(scope, headers))

    def respond(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        accepted: Accepted,
        context: Context,
        body: bytes,
    ) -> Reply | ReplyInPieces:
        """Answer a request.

        Raises:
            Refused: 400, 403, 404, 405, 409 or 429.
        """
        if scope["method"] == "PUT":
            return self._reserve(context)
        token = _read_token(scope, headers)
        channel = self._channels.get(token)
        if channel is None:
            raise Refused(404, "There is no such stream.", ErrorCode.NOT_FOUND)
        if accepted.events is EventStreams.ALWAYS:
            return self._open(token, channel, context)
        if channel.context.viewer_id != context.viewer_id:
            raise Refused(403, "The stream is another viewer's.", ErrorCode.FORBIDDEN)
        if scope["method"] == "DELETE":
            channel.operations.cancel(_read_parameter(scope, "operationId"))
            return build_reply(200, b"")
        if scope["method"] != "POST":
            raise Refused(405, "Operations of a shared stream need POST.", headers=_ALLOW)
        return self._begin(channel, context, body)

    def _reserve(self, context: Context) -> Reply:
        address = group_address(context.client_address)
        most = context.runtime.settings.sockets_per_address
        if len(self._channels) >= MAX_RESERVATIONS or self._reserved[address] >= most:
            raise Refused(429, "Too many streams are reserved.", ErrorCode.TOO_MANY_STREAMS)
        token = token_urlsafe(24)
        self._channels[token] = _Channel(self._operations, self._log, context)
        self._reserved[address] += 1
        loop = asyncio.get_running_loop()
        loop.call_later(_RESERVED_SECONDS, self._expire, token, address)
        return build_reply(201, token.encode(), b"text/plain; charset=utf-8")

    def _expire(self, token: str, address: str) -> None:
        self._reserved[address] -= 1
        if not self._reserved[address]:
            del self._reserved[address]
        channel = self._channels.get(token)
        if channel is not None and not channel.is_open:
            del self._channels[token]
            closing = asyncio.ensure_future(channel.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _open(self, token: str, channel: _Channel, context: Context) -> StreamReply:
        """Open a stream; who has no headers to send, as EventSource, has the token alone."""
        if context.viewer_id not in (None, channel.context.viewer_id):
            raise Refused(403, "The stream is another viewer's.", ErrorCode.FORBIDDEN)
        if channel.is_open:
            raise Refused(409, "The stream is open already.", ErrorCode.CONFLICT)

        @asynccontextmanager
        async def open_frames() -> AsyncIterator[AsyncIterator[bytes]]:
            channel.is_open = True
            try:
                async with aclosing(channel.read()) as frames:
                    yield frames
            finally:
                self._channels.pop(token, None)
                await channel.close()

        seconds = context.runtime.settings.sse_keep_alive_seconds
        return StreamReply(channel.context, self._streams, open_frames, seconds)

    def _begin(self, channel: _Channel, context: Context, body: bytes) -> Reply:
        payload = read_payload(body)
        parse_request(payload)
        operation_id = (payload.get("extensions") or {}).get("operationId")
        if not isinstance(operation_id, str) or not 0 < len(operation_id) <= _MAX_ID_CHARACTERS:
            raise Refused.malformed("`extensions.operationId` must name the operation.")
        try:
            channel.operations.begin(operation_id, payload, context)
        except Closed as closed:
            raise Refused(_STATUSES[closed.code], closed.reason, ErrorCode.CONFLICT) from None
        return build_reply(202, b"")


def _read_token(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    return headers.get(TOKEN_HEADER, b"").decode("latin-1") or _read_parameter(scope, "token")


def _read_parameter(scope: Scope, name: str) -> str:
    query: bytes = scope["query_string"]
    if name.encode() not in query:
        return ""
    return parse_qs(query.decode("latin-1")).get(name, [""])[0]


def _encode(message: dict[str, Any]) -> bytes:
    """Encode a message of graphql-transport-ws as event frames."""
    operation_id = message["id"]
    if message["type"] == "complete":
        return encode_complete(operation_id)
    payload = message["payload"]
    if message["type"] == "next":
        return encode_next(orjson.dumps({"id": operation_id, "payload": payload}))
    failed = orjson.dumps({"id": operation_id, "payload": {"errors": payload}})
    return encode_next(failed) + encode_complete(operation_id)
