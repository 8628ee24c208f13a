"""GET /metrics, on the public port or on METRICS_PORT, with METRICS_TOKEN where that is set."""

from __future__ import annotations

import hmac

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.settings.settings import Settings
from services.telemetry import metrics

_NO_STORE = {"Cache-Control": "no-store"}
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsRoute:
    """The metrics in Prometheus's text format, for who has the token."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.metrics_token.get_secret_value().encode()

    async def answer(self, request: Request) -> Response:
        """Answer with the metrics, or with 401."""
        if not self._is_authorized(request.headers.get("authorization", "")):
            headers = {**_NO_STORE, "WWW-Authenticate": "Bearer"}
            return PlainTextResponse("This needs METRICS_TOKEN.\n", 401, headers)
        return Response(metrics.render_exposition(), media_type=_MEDIA_TYPE, headers=_NO_STORE)

    def _is_authorized(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if not self._token:
            return True
        is_equal = hmac.compare_digest(token.strip().encode(), self._token)
        return scheme.lower() == "bearer" and is_equal


def list_metrics_routes(settings: Settings) -> list[Route]:
    """The route as the public port has it: none where METRICS_PORT has it."""
    if settings.metrics_port is not None:
        return []
    return [Route("/metrics", MetricsRoute(settings).answer)]


def build_metrics_app(settings: Settings) -> Starlette:
    """Build the application of METRICS_PORT."""
    return Starlette(routes=[Route("/metrics", MetricsRoute(settings).answer)])
