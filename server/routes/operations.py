"""Routes for load balancers: /health (alive) and /ready."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resolvers.context import Context
from resolvers.ops import health_and_metrics

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
