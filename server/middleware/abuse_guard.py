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
from dataclasses import dataclass

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resolvers.ops.abuse import BLOCKED_MESSAGE
from server.graphql.replies import Reply, build_reply, send_reply
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


@dataclass(frozen=True, slots=True)
class AbuseRefusal:
    """Why a request is refused, `blocked` or `waiting`, and for how long."""

    outcome: str
    seconds: int

    def reply(self) -> Reply:
        """The answer to an HTTP request."""
        is_blocked = self.outcome == "blocked"
        code = ErrorCode.FORBIDDEN if is_blocked else ErrorCode.RATE_LIMITED
        error = {
            "message": BLOCKED_MESSAGE if is_blocked else _BUSY,
            "extensions": {"code": code.value, "retryAfterSeconds": self.seconds},
        }
        body = orjson.dumps({"errors": [error]})
        headers = {b"retry-after": b"%d" % self.seconds}
        return build_reply(403 if is_blocked else 429, body, headers=headers)


class AbuseGate:
    """Counts and restrains a process's requests, whichever way they came in."""

    def __init__(self, watch: AbuseWatch) -> None:
        self._watch = watch
        self._waiting: Counter[str] = Counter()
        self._total_waiting = 0

    def count(self, scope: Scope, account: str | None) -> PrefixStatus | None:
        """Count a request; return its client's status where that restrains it."""
        client = scope.get("client")
        address = client[0] if client else None
        scope["account"] = account
        self._watch.record_request(address, account)
        return self._watch.get_status(address, account) if self._watch.enforces else None

    async def restrain(self, scope: Scope, status: PrefixStatus) -> AbuseRefusal | None:
        """Delay a request of a client with this status, or refuse it."""
        level = self._watch.get_level(status)
        if level is AbuseLevel.BLOCKED:
            if _may_sign_in(scope, status):
                return None
            metrics.abuse_refused_total.labels("blocked").inc()
            return AbuseRefusal("blocked", max(1, math.ceil(self._watch.get_block_seconds(status))))
        if level is not AbuseLevel.NORMAL and not await self._delay(status):
            metrics.abuse_refused_total.labels("waiting").inc()
            return AbuseRefusal("waiting", 1)
        return None

    def note_status(self, scope: Scope, status: int) -> None:
        """Count answers that show somebody trying: 401, and 404 unless a foreign page asked."""
        signal = _SIGNALS.get(status)
        if signal is not None and "is_cross_site" not in scope:
            client = scope.get("client")
            address = client[0] if client else None
            self._watch.record_signal(address, signal, account=scope["account"])

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


class AbuseGuard:
    """ASGI middleware that asks the gate."""

    def __init__(
        self, app: ASGIApp, gate: AbuseGate, find_account: FindAccount = _find_nobody
    ) -> None:
        self._app = app
        self._gate = gate
        self._find_account = find_account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        status = self._gate.count(scope, await self._find_account(scope))
        refusal = None if status is None else await self._gate.restrain(scope, status)
        if refusal is not None:
            await _refuse(scope, send, refusal)
            return

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._gate.note_status(scope, message["status"])
            await send(message)

        await self._app(scope, receive, send_noted)


def _may_sign_in(scope: Scope, status: PrefixStatus) -> bool:
    return bool(scope["type"] == "websocket") and not status.is_set_by_operator


async def _refuse(scope: Scope, send: Send, refusal: AbuseRefusal) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "Try again later"})
        return
    await send_reply(send, refusal.reply(), head_only=scope["method"] == "HEAD")
