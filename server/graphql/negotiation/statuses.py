"""The status of an answer, in two profiles, both for `application/graphql-response+json`.

AUDIT has the statuses that clients and the suite `graphql-http` know, DRAFT those of the
specification's edition of September 2026. `application/json` is answered with 200 in both.
"""

from __future__ import annotations

from enum import Enum

from graph.engine.operations import Answer
from server.graphql.replies import GRAPHQL_JSON, Refused
from services.errors import ErrorCode

_PARTIAL_SUCCESS = 294  # not registered: clients treat it as 200 (RFC 9110, 15)
_UNPROCESSABLE = 422
_DRAFT = {
    ErrorCode.UNAUTHENTICATED.value: 401,
    ErrorCode.INVALID_TOKEN.value: 401,
    ErrorCode.FORBIDDEN.value: 403,
    ErrorCode.PERSISTED_QUERY_REQUIRED.value: 403,
    ErrorCode.INTERNAL_SERVER_ERROR.value: 500,
    ErrorCode.UPSTREAM_UNAVAILABLE.value: 503,
}


class HttpProfile(Enum):
    """Which statuses answers have."""

    AUDIT = "audit"
    DRAFT = "draft"

    def status_of(self, answer: Answer, content_type: bytes) -> int:
        """Return the status of an operation's answer."""
        if answer.is_overload:
            return 503
        if content_type is not GRAPHQL_JSON:
            return 200
        if self is HttpProfile.AUDIT:
            return 200 if answer.started else 400
        return _draft_status(answer)

    def status_of_refused(self, refused: Refused) -> int:
        """Return the status of a request that was not taken for GraphQL over HTTP."""
        if self is HttpProfile.DRAFT and refused.is_malformed:
            return _UNPROCESSABLE
        return refused.status


def _draft_status(answer: Answer) -> int:
    """Source: GraphQL over HTTP, September 2026, section 5.4."""
    if answer.started:
        return _PARTIAL_SUCCESS if answer.errors else 200
    if not answer.is_parsed:
        return 400
    codes = [error["extensions"]["code"] for error in answer.errors]
    return next((_DRAFT[code] for code in codes if code in _DRAFT), _UNPROCESSABLE)
