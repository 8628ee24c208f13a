"""Metrics, access log, request id and security headers of every answer."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.middleware.security_headers import SecurityHeaders
from services.telemetry import metrics
from services.telemetry.access_log import AccessLog
from services.telemetry.live_metrics import LiveMetrics

_SILENT = frozenset({"/health", "/ready", "/metrics"})


class RequestRecorder:
    """Counts and logs a process's requests, whichever way they came in."""

    def __init__(self, log: AccessLog, live: LiveMetrics) -> None:
        self._log = log
        self._live = live
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def record(self, scope: Scope, status: int, seconds: float) -> None:
        """Record a request that was answered with this status after so many seconds."""
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
        total.inc()
        is_stream = "is_stream" in scope  # whose seconds say how long its client listened
        if not is_stream:
            duration.observe(seconds)
        if route in _SILENT:
            return
        failed = status >= 500 or bool(scope.get("failed"))
        if not is_stream:
            self._live.record_request(seconds, failed=failed)
        self._log.write(_line(scope, status, seconds, route), failed=failed)


class RequestMetrics:
    """ASGI middleware. Sends the boundary's `scope["state"]["request_id"]` as X-Request-Id."""

    def __init__(self, app: ASGIApp, recorder: RequestRecorder, security: SecurityHeaders) -> None:
        self._app = app
        self._recorder = recorder
        self._security = security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = scope["state"]["request_id"]
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
        except Exception:
            scope["failed"] = True
            raise
        finally:
            metrics.active_connections.dec()
            self._recorder.record(scope, status, time.perf_counter() - started)


def _line(scope: Scope, status: int, seconds: float, route: str) -> dict[str, Any]:
    client = scope.get("client")
    line = {
        "event": "request",
        "request_id": scope["state"]["request_id"],
        "method": scope["method"],
        "route": route,
        "operation": scope.get("operation_label"),
        "status": status,
        "ms": int(seconds * 1_000_000) / 1000,  # a tenth of what `round` takes
        "address": client[0] if client else None,
    }
    client_request_id = scope["state"].get("client_request_id")
    return line if client_request_id is None else {**line, "client_request_id": client_request_id}


def _route(scope: Scope) -> str:
    """The route's label: one of a finite set, never the path itself."""
    label = scope.get("route_label")
    if label is not None:
        return str(label)
    matched_route = scope.get("route")
    return matched_route.path if matched_route is not None else "other"


def _method_label(method: str) -> str:
    methods = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "QUERY")
    return method if method in methods else "other"
