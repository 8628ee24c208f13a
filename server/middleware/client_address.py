"""The client's address and scheme where our own proxies are in front.

Nothing else in the server reads X-Forwarded-For or X-Forwarded-Proto, and only proxies are trusted.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from services.limits.client_address import ClientAddresses

_SCHEMES = {
    "http": {b"http": "http", b"https": "https"},
    "websocket": {b"http": "ws", b"https": "wss", b"ws": "ws", b"wss": "wss"},
}


class ClientAddress:
    """ASGI middleware that sets `client` and `scheme` from a trusted proxy's headers."""

    def __init__(self, app: ASGIApp, addresses: ClientAddresses) -> None:
        self._app = app
        self._addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client and self._addresses.is_trusted(client[0]):
            self._apply_forwarded(scope, client[0])
        await self._app(scope, receive, send)

    def _apply_forwarded(self, scope: Scope, peer: str) -> None:
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if forwarded:
            scope["client"] = (self._addresses.resolve(peer, forwarded), 0)
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto":
                schemes = _SCHEMES[scope["type"]]
                scope["scheme"] = schemes.get(value.strip().lower(), scope["scheme"])
