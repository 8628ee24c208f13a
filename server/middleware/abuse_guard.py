"""Refuses or delays requests by the abuse watch's decision: blocked prefixes get 403.

Delays are bounded, per prefix and in total: requests beyond that get 429. Health checks pass.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from resolvers.ops.abuse import BLOCKED_MESSAGE
from server.graphql.replies import reply
from services.errors import ErrorCode
from services.limits.abuse_rules import AbuseLevel, PrefixStatus
from services.limits.abuse_watch import AbuseWatch
from services.telemetry import metrics

_ALWAYS = frozenset({"/health", "/ready"})
_MOST_WAITING = 500
_MOST_WAITING_OF_PREFIX = 20
_BUSY = "Too many requests come from your network: wait before the next one."


class AbuseGuard:
    """ASGI middleware that enforces the abuse watch's levels."""

    def __init__(self, app: ASGIApp, watch: AbuseWatch) -> None:
        self._app = app
        self._watch = watch
        self._waiting: Counter[str] = Counter()
        self._total_waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        address = client[0] if client else None
        self._watch.record_request(address)
        status = self._watch.get_status(address)
        if status is not None and self._watch.enforces:
            level = self._watch.get_level(status)
            if level is AbuseLevel.BLOCKED:
                seconds = self._watch.get_block_seconds(status)
                await _refuse(scope, send, "blocked", max(1, math.ceil(seconds)))
                return
            if level is not AbuseLevel.NORMAL and not await self._delay(status):
                await _refuse(scope, send, "waiting", 1)
                return
        await self._app(scope, receive, send)

    async def _delay(self, status: PrefixStatus) -> bool:
        """Delay the request; False if too many wait already."""
        prefix = status.prefix
        if self._total_waiting >= _MOST_WAITING or self._waiting[prefix] >= _MOST_WAITING_OF_PREFIX:
            return False
        metrics.abuse_delayed_total.inc()
        self._waiting[prefix] += 1
        self._total_waiting += 1
        try:
            await asyncio.sleep(self._watch.get_delay_seconds(status))
        finally:
            self._total_waiting -= 1
            self._waiting[prefix] -= 1
            if not self._waiting[prefix]:
                del self._waiting[prefix]
        return True


async def _refuse(scope: Scope, send: Send, outcome: str, seconds: int) -> None:
    metrics.abuse_refused_total.labels(outcome).inc()
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "Try again later"})
        return
    is_blocked = outcome == "blocked"
    code = ErrorCode.FORBIDDEN if is_blocked else ErrorCode.RATE_LIMITED
    error = {
        "message": BLOCKED_MESSAGE if is_blocked else _BUSY,
        "extensions": {"code": code.value, "retryAfterSeconds": seconds},
    }
    await reply(
        send,
        403 if is_blocked else 429,
        orjson.dumps({"errors": [error]}),
        headers={b"retry-after": b"%d" % seconds},
        head_only=scope["method"] == "HEAD",
    )
