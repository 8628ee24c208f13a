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
from services.limits.fair_queue import BUSY_MESSAGE
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.loop_lag import loop_lag

log = get_logger("graphql")
_MAX_MESSAGE = 300  # graphql-core repeats what the client sent, however long
_OUR_DELAY_SECONDS = 0.5
MAX_ERRORS = 20  # of an answer, and of one operation's lines in the log
OUR_FAULTS = frozenset({"INTERNAL_SERVER_ERROR", "UPSTREAM_UNAVAILABLE", "TIMEOUT", "OVERLOADED"})

ErrorCode = describe_enum(
    errors.ErrorCode,
    "Stable, machine-readable reason of a failure.",
    {
        "VALIDATION_FAILED": "The request or an argument is invalid; retrying does not help.",
        "NOT_FOUND": "The object named by an id or key does not exist.",
        "ALREADY_EXISTS": "An object with this unique value already exists.",
        "CONFLICT": "The object changed since it was read; read it again and retry.",
        "UNAUTHENTICATED": "The request needs a signed-in viewer.",
        "FORBIDDEN": "The viewer's role or the kind of credential does not allow this.",
        "INVALID_CREDENTIALS": "The e-mail address or the password is wrong.",
        "INVALID_TOKEN": "The token is expired, revoked or invalid.",
        "TOKEN_REUSED": "A refresh token was used twice; its session has been ended.",
        "EMAIL_NOT_VERIFIED": "The e-mail address must be verified first.",
        "RATE_LIMITED": "Too many requests; retry after `retryAfterSeconds`.",
        "COST_LIMIT_EXCEEDED": "The operation exceeds a limit on size, depth or cost.",
        "SESSION_NOT_FOUND": "The playback session is unknown, ended or another user's.",
        "TOO_MANY_STREAMS": "The account has reached its limit of concurrent streams.",
        "NO_SOURCE_AVAILABLE": "No provider has a source for this title at present.",
        "UPSTREAM_UNAVAILABLE": "A dependency does not respond; retrying later may help.",
        "TIMEOUT": "The operation ran past its deadline.",
        "OVERLOADED": "The server is busy; retry after `retryAfterSeconds`.",
        "PERSISTED_QUERY_NOT_FOUND": "No document has this id; send the query text as well.",
        "PERSISTED_QUERY_REQUIRED": "This server runs registered documents only.",
        "INVALID_CURSOR": "The cursor is malformed, altered or from another list.",
        "INTERNAL_SERVER_ERROR": "An internal error; report it with `requestId`.",
    },
)


@strawberry.type(description="An expected failure of a mutation, returned as data.")
class UserError:
    code: errors.ErrorCode = plain("Machine-readable reason.")
    message: str = plain("Human-readable message in English.")
    path: list[str] | None = plain(
        'Path of the invalid input field, outermost first, such as ["input", '
        '"email"]; null if no field is at fault.'
    )
    retry_after_seconds: int | None = plain(
        "Seconds to wait before retrying; null if waiting does not help."
    )


def format_errors(failures: Iterable[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    """Format errors as a response has them; the log gets the first MAX_ERRORS of them.

    Source: GraphQL specification, section 7.1.2.
    """
    return [
        _format_error(error, request_id, is_logged=number < MAX_ERRORS)
        for number, error in enumerate(failures)
    ]


def limit_errors(formatted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return at most MAX_ERRORS errors; the last one then says how many more there are.

    Its code is that of an omitted error, of one of our faults if there is any among them.
    """
    if len(formatted) <= MAX_ERRORS:
        return formatted
    shown, omitted = formatted[: MAX_ERRORS - 1], formatted[MAX_ERRORS - 1 :]
    codes = [error["extensions"]["code"] for error in omitted]
    code = next((code for code in codes if code in OUR_FAULTS), codes[0])
    more = {"code": code, "omittedErrors": len(omitted)}
    return [*shown, {"message": f"{len(omitted)} more errors are not shown.", "extensions": more}]


def format_request_errors(
    failures: Sequence[GraphQLError], request_id: str
) -> list[dict[str, Any]]:
    """Format errors that prevented execution.

    All but coded errors are the client's (syntax, validation, variables), even where a scalar
    raised them.
    """
    for error in failures:
        if error.path is None and not isinstance(_cause(error), errors.CodedError):
            error.original_error = None
    return format_errors(failures, request_id)


def _format_error(error: GraphQLError, request_id: str, *, is_logged: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"message": error.message}
    if error.locations:
        answer["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path is not None:
        answer["path"] = error.path
    message, answer["extensions"] = _message_and_extensions(error, request_id, is_logged)
    answer["message"] = message[:_MAX_MESSAGE]
    metrics.graphql_errors_total.labels(answer["extensions"]["code"]).inc()
    return answer


def _message_and_extensions(
    error: GraphQLError, request_id: str, is_logged: bool
) -> tuple[str, dict[str, Any]]:
    cause = _cause(error)
    if isinstance(cause, errors.UpstreamUnavailable) and _is_our_delay(cause):
        cause = errors.Overloaded(BUSY_MESSAGE, retry_after_seconds=1)
    if isinstance(cause, errors.CodedError):
        return cause.message, _extensions_of(cause)
    if cause is None and _is_the_clients(error):
        return error.message, {"code": "VALIDATION_FAILED", **(error.extensions or {})}
    if is_logged:
        log.error("field_failed", request_id=request_id, path=error.path, exc_info=cause or error)
    return (
        "Something went wrong on our side.",
        {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id},
    )


def _is_our_delay(error: errors.UpstreamUnavailable) -> bool:
    """Whether a deadline passed while this process was late itself: the answer may lie here."""
    if loop_lag.recent_seconds < _OUR_DELAY_SECONDS:
        return False
    cause: BaseException | None = error
    while cause is not None and "Timeout" not in type(cause).__name__:
        cause = cause.__cause__
    return cause is not None


def _is_the_clients(error: GraphQLError) -> bool:
    """Whether graphql-core blames the request or an argument's value.

    Its message about a field during execution is about a stored value that does not fit.
    """
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
