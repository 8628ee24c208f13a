"""The one translation from exceptions to what clients see.

Expected errors keep their message and code; everything else becomes one sentence with the request
id, is logged with its traceback and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import strawberry
from graphql import FieldNode, GraphQLError

from graph.base.enums import describe_enum
from graph.base.fields import plain
from services import errors
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("graphql")
_MAX_MESSAGE = 300  # graphql-core repeats what the client sent, however long

ErrorCode = describe_enum(
    errors.ErrorCode,
    "Why something failed, in a form programs can rely on.",
    {
        "VALIDATION_FAILED": "The request or an argument is wrong; sending it again will not help.",
        "NOT_FOUND": "The thing named does not exist.",
        "ALREADY_EXISTS": "Something of this name exists already.",
        "CONFLICT": "It changed since you read it.",
        "UNAUTHENTICATED": "Sign in first.",
        "FORBIDDEN": "Your role does not allow this.",
        "INVALID_CREDENTIALS": "The e-mail address or the password is wrong.",
        "INVALID_TOKEN": "The token is expired, revoked or not ours.",
        "TOKEN_REUSED": "A refresh token was used twice; its sign-in has been ended.",
        "EMAIL_NOT_VERIFIED": "Verify the e-mail address first.",
        "RATE_LIMITED": "Too many requests; try again after the time told.",
        "COST_LIMIT_EXCEEDED": "The operation asks for more than one operation may.",
        "SESSION_NOT_FOUND": "The playback session is unknown, ended or somebody else's.",
        "TOO_MANY_STREAMS": "The account plays on as many devices as it may.",
        "NO_SOURCE_AVAILABLE": "No provider has this title now.",
        "UPSTREAM_UNAVAILABLE": "A service we depend on does not answer; trying again may help.",
        "TIMEOUT": "It took longer than an operation may.",
        "PERSISTED_QUERY_NOT_FOUND": "No document is stored under this id; send its text too.",
        "PERSISTED_QUERY_REQUIRED": "Only stored documents are run here.",
        "INVALID_CURSOR": "The cursor was altered or made for another list.",
        "INTERNAL_SERVER_ERROR": "A fault of ours; tell us the request id.",
    },
)


@strawberry.type(description="An expected failure of a mutation, told as data.")
class UserError:
    code: errors.ErrorCode = plain("What went wrong, for programs.")
    message: str = plain("What went wrong, for people.")
    path: list[str] | None = plain("The input field at fault, outermost first.")
    retry_after_seconds: int | None = plain("When trying again may help.")


def format_errors(failures: Iterable[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Errors as the specification's answer has them (section 7.1.2)."""
    return [_format_error(error, request_id) for error in failures]


def format_request_errors(
    failures: Sequence[GraphQLError], request_id: str
) -> list[dict[str, Any]]:
    """Errors that kept a request from running: all but ours are the client's (syntax, validation,
    variables), also where a scalar's own exception is behind them."""
    for error in failures:
        if error.path is None and not isinstance(_cause(error), errors.CodedError):
            error.original_error = None
    return format_errors(failures, request_id)


def _format_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"message": error.message}
    if error.locations:
        answer["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path is not None:
        answer["path"] = error.path
    message, answer["extensions"] = _message_and_extensions(error, request_id)
    answer["message"] = message[:_MAX_MESSAGE]
    metrics.graphql_errors_total.labels(answer["extensions"]["code"]).inc()
    return answer


def _message_and_extensions(error: GraphQLError, request_id: str) -> tuple[str, dict[str, Any]]:
    cause = _cause(error)
    if isinstance(cause, errors.CodedError):
        return cause.message, _extensions_of(cause)
    if cause is None and _is_the_clients(error):
        return error.message, {"code": "VALIDATION_FAILED", **(error.extensions or {})}
    log.error("field_failed", request_id=request_id, path=error.path, exc_info=cause or error)
    return (
        "Something went wrong on our side.",
        {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id},
    )


def _is_the_clients(error: GraphQLError) -> bool:
    """Of graphql-core's own words: what it says of the request or of an argument's value. What it
    says of a field while running it is about a value of ours that does not fit."""
    return error.path is None or any(not isinstance(node, FieldNode) for node in error.nodes or ())


def _cause(error: GraphQLError) -> BaseException | None:
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _extensions_of(error: errors.CodedError) -> dict[str, Any]:
    extensions: dict[str, Any] = {"code": error.code.value}
    if error.path is not None:
        extensions["argumentPath"] = error.path
    if error.retry_after_seconds is not None:
        extensions["retryAfterSeconds"] = error.retry_after_seconds
    return extensions
