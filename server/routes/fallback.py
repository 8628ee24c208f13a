"""Answers to unknown routes and unhandled errors, in the JSON of all other answers."""

from __future__ import annotations

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from server.middleware.security_headers import SecurityHeaders
from services.errors import ErrorCode
from services.telemetry.logs import get_logger

log = get_logger("server")


async def http_error(request: Request, error: Exception) -> Response:
    """Answer an HTTP error such as 404."""
    assert isinstance(error, HTTPException)
    code = ErrorCode.NOT_FOUND if error.status_code == 404 else ErrorCode.VALIDATION_FAILED
    return _answer(error.status_code, error.detail, code, error.headers)


async def server_error(request: Request, error: Exception) -> Response:
    """Log an unhandled error with its request id, which is all the client sees of it."""
    request_id = request.scope.get("state", {}).get("request_id", "-")
    log.error("request_failed", request_id=request_id, exc_info=error)
    answer = _answer(500, "Something went wrong on our side.", ErrorCode.INTERNAL_SERVER_ERROR)
    # This answer passes no middleware.
    security: SecurityHeaders = request.app.state.security
    answer.raw_headers = security.add_to(request.url.path, answer.raw_headers)
    return answer


def _answer(status: int, message: str, code: ErrorCode, headers: object = None) -> Response:
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": code.value}}]})
    return Response(body, status, media_type="application/json", headers=headers)  # type: ignore[arg-type]
