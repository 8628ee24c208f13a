"""GET /metrics, on the public port or on METRICS_PORT, with METRICS_TOKEN where that is set."""

from __future__ import annotations

from starlette.applications import Starlette
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


def build_metrics_app(settings: Settings, api: Starlette) -> Starlette:
    """Build the application of METRICS_PORT; its /ready is the API's, with causes."""
    token = OperatorToken(settings, is_private=True)

    async def ready(request: Request) -> Response:
        return await operations.answer_ready(api, shows_causes=token.permits(request))

    return Starlette(routes=[Route("/metrics", MetricsRoute(token).answer), Route("/ready", ready)])
