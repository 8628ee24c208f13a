"""The outermost layer: request ids, and an answer to whatever exception comes out of the rest.

Nothing that is raised reaches the ASGI server but a cancelled task's end. A request gets a masked
GraphQL error with its id, security and CORS headers; one whose answer has begun, the end of its
connection; a WebSocket, the close code 1011, or 500 before it was accepted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import getrandbits

import orjson
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.faults import is_ending, mask_fault
from server.graphql.replies import build_reply, send_reply
from server.middleware.security_headers import SecurityHeaders
from services.telemetry.logs import get_logger

log = get_logger("server")
_LOGGED_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}", re.ASCII)
_INTERNAL_ERROR = 1011  # RFC 6455, 7.4.1


class ErrorBoundary:
    """ASGI middleware; `around_answers` are those that its own answers pass, as CORS."""

    def __init__(
        self, app: ASGIApp, security: SecurityHeaders, around_answers: Sequence[Middleware] = ()
    ) -> None:
        self._app = app
        self._answer = build_fault_answer(security, around_answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        assign_request_id(scope)
        sent = ""  # the type of the last message

        async def send_noted(message: Message) -> None:
            nonlocal sent
            sent = message["type"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except BaseException as error:
            if is_ending(error):
                raise
            log.error("request_failed", request_id=scope["state"]["request_id"], exc_info=error)
            await self._end(sent, scope, receive, send)

    async def _end(self, sent: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer where nothing was sent; an answer that has begun is cut by the server."""
        if scope["type"] == "http":
            if not sent:
                await self._answer(scope, receive, send)
        elif sent in ("websocket.accept", "websocket.send"):
            await send({"type": "websocket.close", "code": _INTERNAL_ERROR})
        elif not sent:
            await send({"type": "websocket.http.response.start", "status": 500, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})


def build_fault_answer(
    security: SecurityHeaders, around_answers: Sequence[Middleware] = ()
) -> ASGIApp:
    """Build the ASGI application that answers a request in which a fault happened."""

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        request_id = scope["state"]["request_id"]
        masked = build_reply(500, orjson.dumps({"errors": [mask_fault(request_id)]}))
        own = [*masked.lines, (b"x-request-id", request_id.encode())]
        masked.lines = security.add_to(scope["path"], own)
        await send_reply(send, masked, head_only=scope["method"] == "HEAD")

    whole: ASGIApp = answer
    for one in reversed(around_answers):
        whole = one.cls(whole, *one.args, **one.kwargs)
    return whole


def assign_request_id(scope: Scope) -> None:
    """Set an id of our own; the client's, where it is harmless text, goes into the log beside."""
    state = scope.setdefault("state", {})
    state["request_id"] = f"{getrandbits(64):016x}"  # unlike any other, not secret
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _LOGGED_ID.fullmatch(value):
            state["client_request_id"] = value.decode()
