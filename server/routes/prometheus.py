"""GET /metrics, with METRICS_TOKEN where that is set: on the public port, or on one of its own.

METRICS_PORT is an API's own one, of all its processes; WORKER_METRICS_PORT a worker's. There,
strangers are kept out by the network, and /ready tells causes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from server.routes import operations
from server.routes.operations import ReadyReport
from server.routes.operator_token import OperatorToken
from services.settings.settings import Settings
from services.telemetry import metrics

_NO_STORE = {"Cache-Control": "no-store"}
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ReadMetrics = Callable[[], Awaitable[bytes]]
ReportReady = Callable[[bool], Awaitable[ReadyReport]]


class MetricsRoute:
    """The metrics in Prometheus's text format, for who has the token."""

    def __init__(self, token: OperatorToken, read_metrics: ReadMetrics) -> None:
        self._token = token
        self._read_metrics = read_metrics

    async def answer(self, request: Request) -> Response:
        """Answer with the metrics, with 401, or with 503 where they cannot be gathered."""
        if not self._token.permits(request):
            headers = {**_NO_STORE, "WWW-Authenticate": "Bearer"}
            return PlainTextResponse("This needs METRICS_TOKEN.\n", 401, headers)
        try:
            text = await self._read_metrics()
        except TimeoutError:
            return PlainTextResponse("The supervisor does not answer.\n", 503, _NO_STORE)
        return Response(text, media_type=_MEDIA_TYPE, headers=_NO_STORE)


async def read_own_metrics() -> bytes:
    """Return the metrics of this process alone."""
    return metrics.render_exposition()


def list_metrics_routes(settings: Settings, read_metrics: ReadMetrics) -> list[Route]:
    """The route as the public port has it: none where METRICS_PORT has it."""
    if settings.metrics_port is not None:
        return []
    return [Route("/metrics", MetricsRoute(OperatorToken(settings), read_metrics).answer)]


def build_metrics_app(
    settings: Settings, report: ReportReady, read_metrics: ReadMetrics = read_own_metrics
) -> Starlette:
    """Build the application of a process's metrics port.

    Args:
        report: what /ready answers, with causes or without.
    """
    token = OperatorToken(settings, is_private=True)

    async def ready(request: Request) -> Response:
        return operations.build_ready_answer(await report(token.permits(request)))

    return Starlette(
        routes=[
            Route("/metrics", MetricsRoute(token, read_metrics).answer),
            Route("/ready", ready),
            Route("/health", operations.health),
        ]
    )
