"""Messages of graphql-sse, as an event stream has them.

Source: the protocol of enisdenjo/graphql-sse; HTML, section 9.2 (server-sent events).
"""

from __future__ import annotations

import orjson

EVENT_STREAM = b"text/event-stream; charset=utf-8"
KEEP_ALIVE = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"


def encode_next(payload: bytes, cursor: str | None = None) -> bytes:
    """Encode a result, in JSON without line breaks; clients return the cursor as Last-Event-ID."""
    id_ = b"" if cursor is None else b"id: %b\n" % cursor.encode()
    return b"%bevent: next\ndata: %b\n\n" % (id_, payload)


def encode_complete(operation_id: str) -> bytes:
    """Encode the end of one of a stream's operations."""
    return b"event: complete\ndata: %b\n\n" % orjson.dumps({"id": operation_id})


def encode_whole(payload: bytes) -> bytes:
    """Encode the stream of an operation that has one result."""
    return encode_next(payload) + COMPLETE
