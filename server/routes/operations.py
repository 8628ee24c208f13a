"""Routes for load balancers: /health (alive) and /ready.

Strangers see words alone; who may read the metrics also sees why a store refuses.
"""

from __future__ import annotations

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from resolvers.context import Context
from resolvers.ops import health_and_metrics
from server.routes.operator_token import OperatorToken

_NO_STORE = {"Cache-Control": "no-store"}
ReadyReport = tuple[int, dict[str, object]]


async def health(request: Request) -> Response:
    """Whether the process runs."""
    status, body = health_and_metrics.liveness()
    return JSONResponse(body, status, headers=_NO_STORE)


async def ready(request: Request) -> Response:
    """Whether the process can serve requests."""
    token = OperatorToken(request.app.state.runtime.settings)
    return build_ready_answer(await report_ready(request.app.state, token.permits(request)))


async def report_ready(state: State, shows_causes: bool) -> ReadyReport:
    """Return status code and body of /ready for the process with this state.

    Args:
        state: its runtime, and `draining`, an event.
    """
    report = await health_and_metrics.health(Context(state.runtime))
    return health_and_metrics.readiness(
        report, draining=state.draining.is_set(), shows_causes=shows_causes
    )


def build_ready_answer(report: ReadyReport) -> Response:
    """Build the answer to /ready."""
    status, body = report
    return JSONResponse(body, status, headers=_NO_STORE)
