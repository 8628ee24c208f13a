"""All errors of the service, in one tree.

MarqueeError
├── StartupError               one clear line on stderr, exit 1
├── ProviderFailed             handled by the provider chain, which calls the next provider
├── PurgeFailed                handled by the outbox of purges, which retries
├── MailFailed                 handled by the queue of mails, which retries
└── CodedError                 has an ErrorCode; its message is written for clients
    ├── ValidationFailed (InvalidInput), InvalidCursor, NotFound, AlreadyExists, Conflict
    ├── Unauthenticated, InvalidCredentials, InvalidToken, TokenReused, EmailNotVerified, Forbidden
    ├── RateLimited, CostLimitExceeded, TooManyStreams
    ├── SessionNotFound, NoSourceAvailable, PersistedQueryNotFound, PersistedQueryRequired
    └── UpstreamUnavailable, OperationTimeout, Overloaded

Anything else that escapes is masked, logged with the request id and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class ErrorCode(Enum):
    """Codes of UserError.code and of errors[].extensions.code."""

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
    OVERLOADED = "OVERLOADED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_REQUIRED = "PERSISTED_QUERY_REQUIRED"
    INVALID_CURSOR = "INVALID_CURSOR"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class MarqueeError(Exception):
    """Root of the tree."""


class StartupError(MarqueeError):
    """Failure at start; the message is one line that says what to do."""


class ProviderFailed(MarqueeError):
    """Failure of a provider.

    `reason` is a short word of our own, safe to show to clients. `retry_after_seconds` is the pause
    that the provider asked for.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class PurgeFailed(MarqueeError):
    """Failure of a purge in a CDN; the message is safe to show to operators.

    `is_final` means that a retry will not help. `retry_after_seconds` is the pause that the CDN
    asked for.
    """

    def __init__(
        self, message: str, *, is_final: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.is_final = is_final
        self.retry_after_seconds = retry_after_seconds


class MailFailed(MarqueeError):
    """Refusal of a mail; `reason` is a short word of our own, `is_final` excludes a retry."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class CodedError(MarqueeError):
    """An expected failure; its message is written for clients.

    `path` names the input field at fault, outermost first; `retry_after_seconds` is set
    where a later retry can help.
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
    """An input value that breaks a rule."""

    code = ErrorCode.VALIDATION_FAILED


class InvalidInput(ValidationFailed):
    """Several values of one input that break rules; message and path are the first one's."""

    def __init__(self, failures: Sequence[ValidationFailed]) -> None:
        super().__init__(failures[0].message, path=failures[0].path)
        self.failures = list(failures)


class InvalidCursor(CodedError):
    """A cursor that is foreign, altered, or of another list."""

    code = ErrorCode.INVALID_CURSOR


class NotFound(CodedError):
    """A mutation of an object that does not exist."""

    code = ErrorCode.NOT_FOUND


class AlreadyExists(CodedError):
    """A value that must be unique and is in use."""

    code = ErrorCode.ALREADY_EXISTS


class Conflict(CodedError):
    """A change that contradicts the current state."""

    code = ErrorCode.CONFLICT


class Unauthenticated(CodedError):
    """A field that needs a sign-in."""

    code = ErrorCode.UNAUTHENTICATED


class Forbidden(CodedError):
    """A field or action that the viewer has no right to."""

    code = ErrorCode.FORBIDDEN


class InvalidCredentials(CodedError):
    """A wrong email address or password."""

    code = ErrorCode.INVALID_CREDENTIALS


class InvalidToken(CodedError):
    """A token that is malformed, expired or revoked."""

    code = ErrorCode.INVALID_TOKEN


class TokenReused(CodedError):
    """A refresh token that was used before."""

    code = ErrorCode.TOKEN_REUSED


class EmailNotVerified(CodedError):
    """A sign-in before the email address was verified."""

    code = ErrorCode.EMAIL_NOT_VERIFIED


class RateLimited(CodedError):
    """Too many requests or attempts."""

    code = ErrorCode.RATE_LIMITED


class CostLimitExceeded(CodedError):
    """An operation that costs more than one may."""

    code = ErrorCode.COST_LIMIT_EXCEEDED


class SessionNotFound(CodedError):
    """A playback session that does not exist or has ended."""

    code = ErrorCode.SESSION_NOT_FOUND


class TooManyStreams(CodedError):
    """More streams at once than the account or the process may have."""

    code = ErrorCode.TOO_MANY_STREAMS

    @classmethod
    def of(cls, limit: int) -> TooManyStreams:
        """Build the error for an account that plays `limit` streams, as many as allowed."""
        streams = "one stream plays" if limit == 1 else f"{limit} streams play"
        return cls(f"Already {streams}, as many as this account may have at once: stop one first.")


class NoSourceAvailable(CodedError):
    """A title that no provider can play."""

    code = ErrorCode.NO_SOURCE_AVAILABLE


class UpstreamUnavailable(CodedError):
    """Failure of MongoDB, Redis or another service to answer in time; a retry may help."""

    code = ErrorCode.UPSTREAM_UNAVAILABLE


class OperationTimeout(CodedError):
    """An operation that exceeded its deadline."""

    code = ErrorCode.TIMEOUT


class Overloaded(CodedError):
    """More operations than this process can run; a retry soon after may succeed."""

    code = ErrorCode.OVERLOADED


class PersistedQueryNotFound(CodedError):
    """An automatic persisted query whose text the server does not have."""

    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND


class PersistedQueryRequired(CodedError):
    """A document that is not registered, where only registered ones run."""

    code = ErrorCode.PERSISTED_QUERY_REQUIRED


@dataclass(frozen=True, slots=True)
class UserError:
    """An expected failure as data, in a payload's `errors`."""

    code: ErrorCode
    message: str
    path: list[str] | None = None
    retry_after_seconds: int | None = None

    @classmethod
    def of(cls, error: CodedError) -> UserError:
        """Convert a raised error."""
        return cls(error.code, error.message, error.path, error.retry_after_seconds)
