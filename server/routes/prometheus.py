"""GET /metrics, with METRICS_TOKEN where that is set: on the public port, or on one of its own.

METRICS_PORT is an API process's own one, WORKER_METRICS_PORT a worker's. There, strangers are kept
out by the network, and /ready tells causes.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from server.routes import operations
from server.routes.operator_token import OperatorToken
from services.settings.settings import Settings
from services.telemetry import metrics

_NO_STORE = {"Cache-Control": "no-store"}
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsRoute:
    """The metrics in Prometheus's text format, for who has the token."""

    def __init__(self, token: OperatorToken) -> None:
        self._token = token

    async def answer(self, request: Request) -> Response:
        """Answer with the metrics, or with 401."""
        if not self._token.permits(request):
            headers = {**_NO_STORE, "WWW-Authenticate": "Bearer"}
            return PlainTextResponse("This needs METRICS_TOKEN.\n", 401, headers)
        return Response(metrics.render_exposition(), media_type=_MEDIA_TYPE, headers=_NO_STORE)


def list_metrics_routes(settings: Settings) -> list[Route]:
    """The route as the public port has it: none where METRICS_PORT has it."""
    if settings.metrics_port is not None:
        return []
    return [Route("/metrics", MetricsRoute(OperatorToken(settings)).answer)]


def build_metrics_app(settings: Settings, state: State) -> Starlette:
    """Build the application of a process's metrics port.

    Args:
        state: the process's: its runtime, and `draining`, an event.
    """
    token = OperatorToken(settings, is_private=True)

    async def ready(request: Request) -> Response:
        return await operations.answer_ready(state, shows_causes=token.permits(request))

    return Starlette(
        routes=[
            Route("/metrics", MetricsRoute(token).answer),
            Route("/ready", ready),
            Route("/health", operations.health),
        ]
    )
