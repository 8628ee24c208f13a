"""Refuses what another site's page makes a browser send, before it is counted against anybody.

Browsers say so themselves (Sec-Fetch-Site: cross-site), and pages cannot change it. Else one page
could make the network of everybody who opens it look like an attacker's.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from server.graphql.replies import Refused, reply
from server.origins import Origins
from services.errors import ErrorCode
from services.telemetry import metrics

_SHOWN_ELSEWHERE = ("/art/", "/media/")
_OPEN = frozenset({"/health", "/ready"})
_REFUSAL = Refused(403, "Pages of other sites may not send this.", ErrorCode.FORBIDDEN)


class CrossSiteGuard:
    """ASGI middleware; `scope["is_cross_site"]` is set on what is let through all the same."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not is_cross_site(scope, self._origins):
            await self._app(scope, receive, send)
        elif scope["path"].startswith(_SHOWN_ELSEWHERE) or scope["path"] in _OPEN:
            scope["is_cross_site"] = True
            await self._app(scope, receive, send)
        else:
            await _refuse(scope, send)


def is_cross_site(scope: Scope, origins: Origins) -> bool:
    """Whether another site's page sent the request, none of a named origin."""
    for name, value in scope["headers"]:
        if name == b"sec-fetch-site":
            return value.strip().lower() == b"cross-site" and not _is_named(scope, origins)
    return False


def _is_named(scope: Scope, origins: Origins) -> bool:
    found = [value for name, value in scope["headers"] if name == b"origin"]
    return len(found) == 1 and origins.is_named(found[0].decode("latin-1"))


async def _refuse(scope: Scope, send: Send) -> None:
    metrics.abuse_refused_total.labels("cross_site").inc()
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "Origin not allowed"})
        return
    head_only = scope["method"] == "HEAD"
    await reply(send, _REFUSAL.status, _REFUSAL.body(), head_only=head_only)
