"""Why MongoDB refused an operation: its code, the code's name, and what to do, for operators.

The server's own text is never used: it may hold what a user sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pymongo.errors import OperationFailure

_RIGHTS = "the user of MONGODB_URI may not do this: grant it readWrite on MONGODB_DATABASE"
_SIGN_IN = "the user or the password of MONGODB_URI is wrong"
_CONCERN = "MONGODB_WRITE_CONCERN asks for members that this deployment does not have"
_REMEDIES = {
    13: _RIGHTS,
    18: _SIGN_IN,
    8000: _SIGN_IN,  # Atlas
    20: "it is no replica set, or a feature it lacks was asked for",
    27: "an index is missing: run `python -m server indexes apply`",
    79: _CONCERN,
    100: _CONCERN,
}
INDEX_NOT_FOUND = 27
_NAMES = {
    13: "Unauthorized",
    18: "AuthenticationFailed",
    INDEX_NOT_FOUND: "IndexNotFound",
    79: "UnknownReplWriteConcern",
    100: "UnsatisfiableWriteConcern",
}
_UNKNOWN = "see the code in MongoDB's list of error codes"


class Refusal(NamedTuple):
    """`at` is of the monotonic clock; `why` says what to do."""

    code: int | None
    name: str
    why: str
    at: float

    def __str__(self) -> str:
        return f"{self.name} ({self.code}): {self.why}"


def describe_refusal(error: OperationFailure) -> Refusal:
    """Describe a refusal; a bulk's is its first one."""
    details = _first_cause(error.details or {})
    code = details.get("code", error.code)
    name = details.get("codeName") or _NAMES.get(code) or type(error).__name__
    return Refusal(code, str(name), _REMEDIES.get(code, _UNKNOWN), time.monotonic())


def _first_cause(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of an answer that names the cause: bulks and write concerns nest it."""
    nested: Sequence[Mapping[str, Any]] = (
        details.get("writeConcernErrors") or details.get("writeErrors") or []
    )
    return nested[0] if nested else details.get("writeConcernError") or details
