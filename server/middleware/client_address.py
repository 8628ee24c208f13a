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
        apply_forwarded(scope, self._addresses)
        await self._app(scope, receive, send)


def apply_forwarded(scope: Scope, addresses: ClientAddresses) -> None:
    """Set the request's client and scheme where one of our proxies sent it."""
    client = scope.get("client")
    if not client or not addresses.is_trusted(client[0]):
        return
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    if forwarded:
        scope["client"] = (addresses.resolve(client[0], forwarded), 0)
    for name, value in scope["headers"]:
        if name == b"x-forwarded-proto":
            schemes = _SCHEMES[scope["type"]]
            scope["scheme"] = schemes.get(value.strip().lower(), scope["scheme"])
