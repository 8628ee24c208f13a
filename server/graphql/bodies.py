"""Reading a request's body, whose size is bounded as it comes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Receive

from server.graphql.replies import Refused

_DRAINED_BYTES = 4 * 1024 * 1024
_DRAIN_SECONDS = 1.0


async def read_body(receive: Receive, most_bytes: int, headers: dict[bytes, bytes]) -> bytes:
    """Read the whole body.

    Raises:
        Refused: 413, as soon as the body is known to be too large.
    """
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared[:20]) > most_bytes:
        if b"expect" not in headers:  # else the client asks before it sends
            await _drain(receive)
        raise _too_large(most_bytes)
    message = await receive()
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
        return body
    return await _read_on(receive, message.get("body", b""), most_bytes)


async def _read_on(receive: Receive, first: bytes, most_bytes: int) -> bytes:
    chunks, size = [first], len(first)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The connection was closed inside the body.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
        if size > most_bytes:
            if more:
                await _drain(receive)
            raise _too_large(most_bytes)
    return b"".join(chunks)


async def _drain(receive: Receive) -> None:
    """Read on for a moment: a connection closed with unread bytes is reset, the answer lost."""
    remaining_bytes = _DRAINED_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while remaining_bytes > 0:
                message = await receive()
                remaining_bytes -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _too_large(most_bytes: int) -> Refused:
    # What is left of the body keeps the connection from serving another request.
    close = {b"connection": b"close"}
    return Refused(413, f"A body has at most {most_bytes} bytes.", headers=close)
