"""Answers to unknown routes, in the JSON of all other answers."""

from __future__ import annotations

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.errors import ErrorCode


async def http_error(request: Request, error: Exception) -> Response:
    """Answer an HTTP error such as 404."""
    assert isinstance(error, HTTPException)
    code = ErrorCode.NOT_FOUND if error.status_code == 404 else ErrorCode.VALIDATION_FAILED
    return _answer(error.status_code, error.detail, code, error.headers)


def _answer(status: int, message: str, code: ErrorCode, headers: object = None) -> Response:
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": code.value}}]})
    return Response(body, status, media_type="application/json", headers=headers)  # type: ignore[arg-type]
