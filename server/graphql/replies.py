"""Short answers in GraphQL's JSON, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from starlette.types import Message, Receive, Scope, Send

from services.errors import CodedError, ErrorCode

JSON = b"application/json; charset=utf-8"
GRAPHQL_JSON = b"application/graphql-response+json; charset=utf-8"
_VARIES = (b"vary", b"Accept")
_NOT_STORED = (b"cache-control", b"no-store")


class Refused(Exception):
    """A request that is not GraphQL over HTTP; answered with `status` and one coded error."""

    def __init__(
        self,
        status: int,
        message: str,
        code: ErrorCode = ErrorCode.VALIDATION_FAILED,
        headers: Mapping[bytes, bytes] | None = None,
        *,
        is_malformed: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})
        self.is_malformed = is_malformed  # valid JSON, but not a request

    @classmethod
    def malformed(cls, message: str) -> Refused:
        """Refuse what is JSON, but not a GraphQL request."""
        return cls(400, message, is_malformed=True)

    @classmethod
    def of(cls, status: int, error: CodedError) -> Refused:
        """Refuse with this status and the error's code and message."""
        return cls(status, error.message, error.code)

    def body(self) -> bytes:
        """The answer's body, as JSON."""
        return orjson.dumps(
            {"errors": [{"message": self.message, "extensions": {"code": self.code.value}}]}
        )


Line = tuple[bytes, bytes]


class ReplyInPieces:
    """An answer that is an ASGI application: it sends itself as it becomes ready."""

    __slots__ = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        raise NotImplementedError


def build_piece(body: bytes) -> Message:
    """Build the message of a piece that is not the last."""
    return {"type": "http.response.body", "body": body, "more_body": True}


@dataclass(slots=True)
class Reply:
    """A whole answer, ready to be sent."""

    status: int
    lines: list[Line]
    body: bytes


def build_reply(
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: Mapping[bytes, bytes] | None = None,
    cookies: Sequence[bytes] = (),
) -> Reply:
    """Build an answer; it is not stored by caches unless `headers` say so."""
    lines = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        _VARIES,
    ]
    if headers:
        lines += headers.items()
    if cookies:
        lines += [(b"set-cookie", cookie) for cookie in cookies]
    if not headers or b"cache-control" not in headers:
        lines.append(_NOT_STORED)
    return Reply(status, lines, body)


async def send_reply(send: Send, answer: Reply, *, head_only: bool = False) -> None:
    """Send an answer; `head_only` leaves out its body."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.lines})
    await send({"type": "http.response.body", "body": b"" if head_only else answer.body})


async def reply(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: Mapping[bytes, bytes] | None = None,
    *,
    head_only: bool = False,
) -> None:
    """Build an answer and send it."""
    await send_reply(send, build_reply(status, body, content_type, headers), head_only=head_only)
