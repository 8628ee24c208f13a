"""Every error we raise on purpose, in one tree.

MarqueeError
├── StartupError               one clear line on stderr, exit 1
├── ProviderFailed             stays inside the provider chain, which asks the next one
├── PurgeFailed                stays inside the outbox of purges, which tries again
├── MailFailed                 stays inside the queue of mails, which tries again
└── CodedError                 has an ErrorCode; its message is written for clients
    ├── ValidationFailed, InvalidCursor, NotFound, AlreadyExists, Conflict
    ├── Unauthenticated, InvalidCredentials, InvalidToken, TokenReused, EmailNotVerified, Forbidden
    ├── RateLimited, CostLimitExceeded, TooManyStreams
    ├── SessionNotFound, NoSourceAvailable, PersistedQueryNotFound, PersistedQueryRequired
    └── UpstreamUnavailable, OperationTimeout

Anything else that escapes is masked, logged with the request id and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class ErrorCode(Enum):
    """One catalogue of codes: UserError.code and errors[].extensions.code."""

    VALIDATION_FAILED = "VALIDATION_FAILED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    CONFLICT = "CONFLICT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105 - a code, not a token
    TOKEN_REUSED = "TOKEN_REUSED"  # noqa: S105 - a code, not a token
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    RATE_LIMITED = "RATE_LIMITED"
    COST_LIMIT_EXCEEDED = "COST_LIMIT_EXCEEDED"
    SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
    TOO_MANY_STREAMS = "TOO_MANY_STREAMS"
    NO_SOURCE_AVAILABLE = "NO_SOURCE_AVAILABLE"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    TIMEOUT = "TIMEOUT"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_REQUIRED = "PERSISTED_QUERY_REQUIRED"
    INVALID_CURSOR = "INVALID_CURSOR"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class MarqueeError(Exception):
    """Root of our errors."""


class StartupError(MarqueeError):
    """The process cannot start; the message is one line that says what to do."""


class ProviderFailed(MarqueeError):
    """A provider is at fault; `reason` is a short word of ours, safe to show to anybody.

    `retry_after_seconds` is how long it asked to be left alone.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class PurgeFailed(MarqueeError):
    """A CDN may not have dropped what it was asked to; the message is safe to show to operators.

    `is_final`: asking the same again will not help. `retry_after_seconds`: it has nothing against
    us, but wants to be left alone that long.
    """

    def __init__(
        self, message: str, *, is_final: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.is_final = is_final
        self.retry_after_seconds = retry_after_seconds


class MailFailed(MarqueeError):
    """A mail was not taken; `reason` is a short word of ours. `is_final`: nor will it be."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class CodedError(MarqueeError):
    """An expected failure.

    `path` names the input field at fault, outermost first; `retry_after_seconds` is set
    where trying again later can help.
    """

    code = ErrorCode.INTERNAL_SERVER_ERROR

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = list(path) if path is not None else None
        self.retry_after_seconds = retry_after_seconds


class ValidationFailed(CodedError):
    code = ErrorCode.VALIDATION_FAILED


class InvalidCursor(CodedError):
    code = ErrorCode.INVALID_CURSOR


class NotFound(CodedError):
    code = ErrorCode.NOT_FOUND


class AlreadyExists(CodedError):
    code = ErrorCode.ALREADY_EXISTS


class Conflict(CodedError):
    code = ErrorCode.CONFLICT


class Unauthenticated(CodedError):
    code = ErrorCode.UNAUTHENTICATED


class Forbidden(CodedError):
    code = ErrorCode.FORBIDDEN


class InvalidCredentials(CodedError):
    code = ErrorCode.INVALID_CREDENTIALS


class InvalidToken(CodedError):
    code = ErrorCode.INVALID_TOKEN


class TokenReused(CodedError):
    code = ErrorCode.TOKEN_REUSED


class EmailNotVerified(CodedError):
    code = ErrorCode.EMAIL_NOT_VERIFIED


class RateLimited(CodedError):
    code = ErrorCode.RATE_LIMITED


class CostLimitExceeded(CodedError):
    code = ErrorCode.COST_LIMIT_EXCEEDED


class SessionNotFound(CodedError):
    code = ErrorCode.SESSION_NOT_FOUND


class TooManyStreams(CodedError):
    code = ErrorCode.TOO_MANY_STREAMS

    @classmethod
    def of(cls, limit: int) -> TooManyStreams:
        """For a user of whom as many streams play as may at once."""
        streams = "one stream plays" if limit == 1 else f"{limit} streams play"
        return cls(f"Already {streams}, as many as this account may have at once: stop one first.")


class NoSourceAvailable(CodedError):
    code = ErrorCode.NO_SOURCE_AVAILABLE


class UpstreamUnavailable(CodedError):
    """MongoDB, Redis or another service did not answer in time; trying again may help."""

    code = ErrorCode.UPSTREAM_UNAVAILABLE


class OperationTimeout(CodedError):
    code = ErrorCode.TIMEOUT


class PersistedQueryNotFound(CodedError):
    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND


class PersistedQueryRequired(CodedError):
    code = ErrorCode.PERSISTED_QUERY_REQUIRED


@dataclass(frozen=True, slots=True)
class UserError:
    """An expected failure told as data, in a payload's `errors`."""

    code: ErrorCode
    message: str
    path: list[str] | None = None
    retry_after_seconds: int | None = None

    @classmethod
    def of(cls, error: CodedError) -> UserError:
        return cls(error.code, error.message, error.path, error.retry_after_seconds)
