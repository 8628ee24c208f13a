"""Refuses or delays requests by the abuse watch's decision: who is blocked gets 403.

Who is signed in is judged by account, everybody else by the prefix of the address. A socket of a
blocked prefix may open, but only to sign in.

Delays are bounded, per prefix and in total: requests beyond that get 429. Health checks pass.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resolvers.ops.abuse import BLOCKED_MESSAGE
from server.graphql.replies import reply
from services.errors import ErrorCode
from services.limits.abuse_rules import AbuseLevel, PrefixStatus, Signal
from services.limits.abuse_watch import AbuseWatch
from services.telemetry import metrics

_ALWAYS = frozenset({"/health", "/ready"})
_SIGNALS = {401: Signal.INVALID_TOKEN, 404: Signal.NOT_FOUND}
_MOST_WAITING = 500
_MOST_WAITING_OF_PREFIX = 20
_BUSY = "Too many requests come from your network: wait before the next one."


FindAccount = Callable[[Scope], Awaitable[str | None]]


async def _find_nobody(_scope: Scope) -> str | None:
    return None


class AbuseGuard:
    """ASGI middleware that enforces the abuse watch's levels."""

    def __init__(
        self, app: ASGIApp, watch: AbuseWatch, find_account: FindAccount = _find_nobody
    ) -> None:
        self._app = app
        self._watch = watch
        self._find_account = find_account
        self._waiting: Counter[str] = Counter()
        self._total_waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        address = client[0] if client else None
        account = scope["account"] = await self._find_account(scope)
        self._watch.record_request(address, account)
        status = self._watch.get_status(address, account)
        if status is not None and self._watch.enforces:
            level = self._watch.get_level(status)
            if level is AbuseLevel.BLOCKED and _may_sign_in(scope, status):
                await self._app(scope, receive, send)
                return
            if level is AbuseLevel.BLOCKED:
                seconds = self._watch.get_block_seconds(status)
                await _refuse(scope, send, "blocked", max(1, math.ceil(seconds)))
                return
            if level is not AbuseLevel.NORMAL and not await self._delay(status):
                await _refuse(scope, send, "waiting", 1)
                return
        await self._app(scope, receive, self._note_status(address, scope, send))

    def _note_status(self, address: str | None, scope: Scope, send: Send) -> Send:
        """Count answers that show somebody trying: 401, and 404 unless a foreign page asked."""

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                signal = _SIGNALS.get(message["status"])
                if signal is not None and "is_cross_site" not in scope:
                    self._watch.record_signal(address, signal, account=scope["account"])
            await send(message)

        return send_noted

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


def _may_sign_in(scope: Scope, status: PrefixStatus) -> bool:
    return bool(scope["type"] == "websocket") and not status.is_set_by_operator


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
