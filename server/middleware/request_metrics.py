"""Request ids, metrics, access log and security headers: the outermost layer."""

from __future__ import annotations

import re
import time
from random import getrandbits
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.middleware.security_headers import SecurityHeaders
from services.telemetry import metrics
from services.telemetry.access_log import AccessLog
from services.telemetry.live_metrics import LiveMetrics

_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}", re.ASCII)
_SILENT = frozenset({"/health", "/ready", "/metrics"})


class RequestMetrics:
    """ASGI middleware. `scope["state"]["request_id"]` is the id, also sent as X-Request-Id."""

    def __init__(
        self, app: ASGIApp, log: AccessLog, live: LiveMetrics, security: SecurityHeaders
    ) -> None:
        self._app = app
        self._log = log
        self._live = live
        self._security = security
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        header = (b"x-request-id", request_id.encode())

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._security.add_to(
                    scope["path"], [*message["headers"], header]
                )
            await send(message)

        metrics.active_connections.inc()
        try:
            await self._app(scope, receive, send_observed)
        finally:
            metrics.active_connections.dec()
            self._record(scope, status, time.perf_counter() - started, request_id)

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = _route(scope)
        key = (scope["method"], route, status)
        children = self._children.get(key)
        if children is None:
            labels = (_method_label(scope["method"]), route, str(status))
            children = self._children[key] = (
                metrics.http_request_duration_seconds.labels(*labels),
                metrics.http_requests_total.labels(*labels),
            )
        duration, total = children
        duration.observe(seconds)
        total.inc()
        if route in _SILENT:
            return
        self._live.record_request(seconds, failed=status >= 500 or bool(scope.get("failed")))
        self._log.write(_line(scope, status, seconds, request_id, route))


def _line(scope: Scope, status: int, seconds: float, request_id: str, route: str) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "event": "request",
        "at": time.time(),
        "request_id": request_id,
        "method": scope["method"],
        "route": route,
        "operation": scope.get("operation_label"),
        "status": status,
        "ms": round(seconds * 1000, 3),
        "address": client[0] if client else None,
    }


def _request_id(scope: Scope) -> str:
    """The proxy's request id where it is harmless text, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTED_ID.fullmatch(value):
            return str(value.decode())
    return f"{getrandbits(64):016x}"  # unlike any other, not secret


def _route(scope: Scope) -> str:
    """The route's label: one of a finite set, never the path itself."""
    label = scope.get("route_label")
    if label is not None:
        return str(label)
    matched_route = scope.get("route")
    return matched_route.path if matched_route is not None else "other"


def _method_label(method: str) -> str:
    methods = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH")
    return method if method in methods else "other"
