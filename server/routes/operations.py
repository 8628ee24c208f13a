"""Routes for operators and load balancers: /health (alive), /ready, /metrics (Prometheus)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resolvers.context import Context
from resolvers.ops import health_and_metrics
from services.telemetry import metrics

_NO_STORE = {"Cache-Control": "no-store"}


async def health(request: Request) -> Response:
    """Whether the process runs."""
    status, body = health_and_metrics.liveness()
    return JSONResponse(body, status, headers=_NO_STORE)


async def ready(request: Request) -> Response:
    """Whether the process can serve requests."""
    state = request.app.state
    report = await health_and_metrics.health(Context(state.runtime))
    status, body = health_and_metrics.readiness(report, draining=state.draining.is_set())
    return JSONResponse(body, status, headers=_NO_STORE)


async def prometheus(request: Request) -> Response:
    """The metrics in Prometheus's text format."""
    media_type = "text/plain; version=0.0.4; charset=utf-8"
    return Response(metrics.render_exposition(), media_type=media_type, headers=_NO_STORE)
