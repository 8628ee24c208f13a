"""Answers in parts, as multipart/mixed, for operations with @defer or @stream.

The delimiter follows its part at once, so that clients need not wait for the next one.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import orjson
from starlette.types import Receive, Scope, Send

from graph.engine.incremental import Delivery
from server.graphql.negotiation.accept import PartFormat
from server.graphql.replies import Line, ReplyInPieces, build_piece
from server.graphql.streams.part_formats import Part, PartWriter

_DELIMITER = b"\r\n--graphql"
_CONTENT_TYPES = {
    PartFormat.PENDING: b'multipart/mixed; boundary="graphql"; incrementalSpec=v0.2',
    PartFormat.PATHS: b'multipart/mixed; boundary="graphql"; deferSpec=20220824',
}


@dataclass(frozen=True, slots=True)
class PartsReply(ReplyInPieces):
    """An answer in parts, an ASGI application as it is awaited; `lines` are further headers."""

    delivery: Delivery
    format: PartFormat
    lines: tuple[Line, ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all parts as they come."""
        scope["is_stream"] = True
        async with aclosing(self.delivery.others) as others:
            await send({"type": "http.response.start", "status": 200, "headers": self._lines()})
            writer = PartWriter(self.format)
            first = writer.write(self.delivery.first)
            assert first is not None
            await send(build_piece(_DELIMITER + _encode(first)))
            async for other in others:
                part = writer.write(other)
                if part is not None:
                    await send(build_piece(_encode(part)))
            await send({"type": "http.response.body", "body": b"--\r\n"})

    def _lines(self) -> list[Line]:
        return [
            (b"content-type", _CONTENT_TYPES[self.format]),
            (b"vary", b"Accept"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            *self.lines,
        ]


def _encode(part: Part) -> bytes:
    head = b"\r\ncontent-type: application/json; charset=utf-8\r\n\r\n"
    return head + orjson.dumps(part) + _DELIMITER
