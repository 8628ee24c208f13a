"""Hosts we answer to, by TRUSTED_HOSTS: a request names exactly one, and it is ours.

Two Host headers are refused (RFC 9112, 3.2): a proxy in front might have used the other one.
"""

from __future__ import annotations

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send


class StrictTrustedHost(TrustedHostMiddleware):
    """Starlette's middleware that also refuses more than one Host header."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and _hosts(scope) > 1:
            refusal = PlainTextResponse("Invalid host header", 400)
            await refusal(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def _hosts(scope: Scope) -> int:
    return sum(name == b"host" for name, _ in scope["headers"])
