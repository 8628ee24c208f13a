"""The header lines of a /graphql answer, as bytes: CORS, request id and security headers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from starlette.middleware import Middleware

from server.door.asgi_calls import build_filter, filter_reply
from server.graphql.replies import Reply

Line = tuple[bytes, bytes]
_MAX_ORIGIN_BYTES = 300  # of those that are remembered


def encode_lines(lines: Sequence[Line]) -> bytes:
    """Encode header lines as HTTP/1.1 has them.

    Raises:
        ValueError: a line has a line break, and would be several.
    """
    block = b"".join([b"%b: %b\r\n" % line for line in lines])
    if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
        raise ValueError("A header line holds a line break.")
    return block


def decode_lines(block: bytes) -> list[Line]:
    """Decode header lines, as ASGI has them."""
    pairs = (line.partition(b": ") for line in block.split(b"\r\n") if line)
    return [(name, value) for name, _, value in pairs]


class CorsLines:
    """What CORS adds to an answer: worked out by its middleware, once for each origin."""

    def __init__(self, layers: Sequence[Middleware]) -> None:
        self._app = build_filter(layers) if layers else None
        self._cached = lru_cache(maxsize=256)(self._work_out)

    def encode(self, lines: list[Line], origin: bytes | None) -> bytes:
        """Encode the answer's lines with CORS's, by the request's Origin."""
        if self._app is None:
            return encode_lines(lines)
        varies = tuple([value for name, value in lines if name == b"vary"])
        is_short = origin is None or len(origin) <= _MAX_ORIGIN_BYTES
        vary, added = (self._cached if is_short else self._work_out)(origin, varies)
        combined = [line for line in lines if line[0] != b"vary"]
        combined.insert(_find_vary(lines), vary)
        return encode_lines(combined) + added

    def _work_out(self, origin: bytes | None, varies: tuple[bytes, ...]) -> tuple[Line, bytes]:
        assert self._app is not None
        sent = [] if origin is None else [(b"origin", origin)]
        scope = {"type": "http", "method": "GET", "headers": sent}
        reply = Reply(200, [(b"vary", value) for value in varies], b"")
        vary, *added = filter_reply(self._app, scope, reply).lines
        return vary, encode_lines(added)


def _find_vary(lines: list[Line]) -> int:
    for index, line in enumerate(lines):  # `next` takes three times as long
        if line[0] == b"vary":
            return index
    return len(lines)
