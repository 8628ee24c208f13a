"""What operators and balancers ask: /health (alive), /ready (can serve), /metrics (Prometheus)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resolvers import analytics
from resolvers.context import Context
from services.telemetry import metrics

_NO_STORE = {"Cache-Control": "no-store"}


async def health(request: Request) -> Response:
    status, body = analytics.liveness()
    return JSONResponse(body, status, headers=_NO_STORE)


async def ready(request: Request) -> Response:
    state = request.app.state
    found = await analytics.health(Context(state.runtime))
    status, body = analytics.readiness(found, draining=state.draining.is_set())
    return JSONResponse(body, status, headers=_NO_STORE)


async def prometheus(request: Request) -> Response:
    media_type = "text/plain; version=0.0.4; charset=utf-8"
    return Response(metrics.exposition(), media_type=media_type, headers=_NO_STORE)
