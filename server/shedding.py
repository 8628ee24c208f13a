"""What a client gets that was told to come back later, and comes back at once.

Answering such requests in full would take the time that others' operations need. While the process
is overloaded, a connection that had an OVERLOADED answer within a second is answered by the
protocol itself: not what may be a player's report, nor a page's request, which needs CORS headers.
"""

from __future__ import annotations

from random import getrandbits
from typing import Protocol

import orjson

from services.errors import ErrorCode
from services.limits.fair_queue import BUSY_MESSAGE

AGAIN_SECONDS = 1.0  # what Retry-After says
DELAY_SECONDS = 0.03  # so that who comes back at once does so less often
MAX_BODY_BYTES = 64 * 1024
_ENDPOINT = b"/graphql"
_BODY = orjson.dumps(
    {
        "errors": [
            {
                "message": BUSY_MESSAGE,
                "extensions": {
                    "code": ErrorCode.OVERLOADED.value,
                    "retryAfterSeconds": int(AGAIN_SECONDS),
                },
            }
        ]
    }
)
_HEAD = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json; charset=utf-8\r\n"
    b"content-length: %d\r\nretry-after: %d\r\ncache-control: no-store\r\nvary: Accept\r\n"
    b"x-content-type-options: nosniff\r\nx-request-id: %016x\r\n\r\n"
)


class Overload(Protocol):
    """What knows of the process's operations."""

    @property
    def is_overloaded(self) -> bool:
        """Whether there are more than can be run in time."""

    def may_be_urgent(self, body: bytes) -> bool:
        """Whether a request with this body has to be looked at in full."""


def is_sheddable(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request of this head may be answered by the protocol."""
    if method != b"POST" or url != _ENDPOINT:
        return False
    return not any(name in (b"origin", b"expect", b"upgrade") for name, _ in headers)


def build_answer() -> bytes:
    """The whole answer, with an id of its own."""
    return _HEAD % (len(_BODY), int(AGAIN_SECONDS), getrandbits(64)) + _BODY
