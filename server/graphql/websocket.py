"""GraphQL over WebSocket: the graphql-transport-ws protocol of enisdenjo/graphql-ws.

Pages of this host and of CORS_ORIGIN may connect, and clients that are no pages, up to a number per
address; the protocol is in connection.py.
"""

from __future__ import annotations

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from graph.engine.operations import Operations
from resolvers.context import Runtime
from server.graphql.connection import Connection, SharedSocketState
from server.graphql.operation_log import OperationLog
from server.graphql.socket_limits import OpenSockets
from server.origins import Origins
from services.telemetry import metrics
from services.telemetry.access_log import AccessLog

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 5.0
_RETRY_SECONDS = "30"


class GraphQLOverWebSocket:
    """The ASGI endpoint of /graphql for WebSockets."""

    def __init__(
        self,
        operations: Operations,
        runtime: Runtime,
        *,
        log: AccessLog | None = None,
        open_sockets: OpenSockets | None = None,
        init_seconds: float = INIT_SECONDS,
    ) -> None:
        self._origins = Origins(runtime.settings)
        self._open = open_sockets or OpenSockets(runtime.settings, runtime.accounts.revocations)
        requests = OperationLog(log or AccessLog.of(runtime.settings), runtime.ops.live_metrics)
        self._shared = SharedSocketState(operations, runtime, requests, self._open, init_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        origin = socket.headers.get("origin")
        if origin is not None and not self._is_allowed(origin, scope):
            await socket.close(1008, "Origin not allowed")  # before accept: 403
            return
        with self._open.count_socket(socket.client.host if socket.client else None) as is_admitted:
            if is_admitted:
                await self._serve(socket, trust_cookies=origin is not None)
            else:
                await _reject_excess(socket)

    async def _serve(self, socket: WebSocket, *, trust_cookies: bool) -> None:
        if PROTOCOL not in socket.scope["subprotocols"]:
            await socket.accept()
            await socket.close(4406, "Subprotocol not acceptable")
            return
        await socket.accept(PROTOCOL)
        with metrics.active_connections.track_inprogress():
            await Connection(socket, self._shared, trust_cookies=trust_cookies).serve()

    def _is_allowed(self, origin: str, scope: Scope) -> bool:
        """Whether a page of this Origin may connect; CORS does not protect sockets."""
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        own = self._origins.is_own(origin, scope["scheme"], host)
        return own or origin in self._origins.named


async def _reject_excess(socket: WebSocket) -> None:
    """Reject before accepting, where it costs least."""
    metrics.sockets_closed_total.labels("429").inc()
    await socket.send_denial_response(
        PlainTextResponse(
            "Too many sockets from this address.\n", 429, {"retry-after": _RETRY_SECONDS}
        )
    )
