"""Subscriptions over HTTP, as event streams: graphql-sse, distinct connections mode.

A stream ends with its operation and with its viewer's rights: an error, then `complete`. When the
process drains there is no `complete`, so that clients connect again, with Last-Event-ID. Events are
made as the client reads; who reads nothing is disconnected by the HTTP protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from graph.engine.operations import Answer
from resolvers.context import Context
from server.faults import is_ending, mask_fault
from server.graphql.disconnect import wait_for_disconnect
from server.graphql.messages import Closed
from server.graphql.replies import (
    Line,
    Refused,
    ReplyInPieces,
    build_piece,
    build_reply,
    send_reply,
)
from server.graphql.streams.frames import COMPLETE, EVENT_STREAM, KEEP_ALIVE, encode_next
from server.graphql.streams.running import RunningStreams
from services.errors import ErrorCode, InvalidToken
from services.telemetry.logs import get_logger

log = get_logger("graphql_sse")
RETRY_SECONDS = b"30"
_MAX_WAIT_SECONDS = 3600.0
Frames = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]


@dataclass(frozen=True, slots=True)
class StreamReply(ReplyInPieces):
    """An answer that is sent bit by bit, an ASGI application as it is awaited.

    `open_frames` opens the stream's content; `lines` are further headers.
    """

    context: Context
    streams: RunningStreams
    open_frames: Frames
    keep_alive_seconds: float
    lines: tuple[Line, ...] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, or refuse it where the client has too many."""
        stream = _Stream(self)
        try:
            with self.streams.open.count_socket(self.context.client_address) as is_admitted:
                if not is_admitted:
                    raise _too_many("Too many streams of this address.")
                with stream.sign_in():
                    scope["is_stream"] = True
                    await stream.serve(receive, send)
        except Refused as refused:
            reply = build_reply(refused.status, refused.body(), headers=refused.headers)
            await send_reply(send, reply)


class _Stream:
    """One stream, from its first byte to its last."""

    def __init__(self, reply: StreamReply) -> None:
        self._reply = reply
        self._context = reply.context
        self._loop = asyncio.get_running_loop()
        self._last: asyncio.Future[bytes] = self._loop.create_future()  # what ends it from outside
        self._timer: asyncio.TimerHandle | None = None

    # ---- ending from outside

    def end(self, closed: Closed) -> None:
        """End the stream, whose viewer has no rights any more."""
        error = Refused.of(401, InvalidToken(f"{closed.reason}: connect again with a new token."))
        self._end(encode_next(error.body()) + COMPLETE)

    def drain(self) -> None:
        """End the stream, whose process is going to stop."""
        self._end(b"")

    def _end(self, last: bytes) -> None:
        if not self._last.done():
            self._last.set_result(last)

    @contextmanager
    def sign_in(self) -> Iterator[None]:
        """Count the stream among its viewer's connections while this lasts.

        Raises:
            Refused: 401, the viewer was signed out meanwhile; 429, has too many connections.
        """
        viewer, open_sockets = self._context.viewer, self._reply.streams.open
        if viewer is None:
            yield
            return
        try:
            open_sockets.sign_in(self, viewer)
        except Closed as closed:
            if closed.code == 4429:
                raise _too_many(f"{closed.reason}.") from None
            raise Refused.of(401, InvalidToken(f"{closed.reason}.")) from None
        try:
            yield
        finally:
            open_sockets.sign_out(self, viewer)

    def check_expiry(self) -> None:
        """End the stream if its token has expired, else look again when it will have."""
        viewer = self._context.viewer
        if viewer is None:
            return
        remaining = viewer.expires_at - self._context.runtime.clock()
        if remaining <= 0:
            self.end(Closed(4403, "The token has expired"))
        else:
            seconds = min(remaining, _MAX_WAIT_SECONDS)
            self._timer = self._loop.call_later(seconds, self.check_expiry)

    # ---- sending

    async def serve(self, receive: Receive, send: Send) -> None:
        """Send the head, the events and the end."""
        await send({"type": "http.response.start", "status": 200, "headers": self._lines()})
        gone = asyncio.ensure_future(wait_for_disconnect(receive))
        self.check_expiry()
        try:
            with self._reply.streams.track(self):
                last = await self._relay(gone, send)
        finally:
            gone.cancel()
            if self._timer is not None:
                self._timer.cancel()
        await send({"type": "http.response.body", "body": last})

    def _lines(self) -> list[Line]:
        return [
            (b"content-type", EVENT_STREAM),
            (b"vary", b"Accept"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # or nginx gathers events
            *self._reply.lines,
        ]

    async def _relay(self, gone: asyncio.Future[None], send: Send) -> bytes:
        """Send what comes; return what is sent last."""
        try:
            async with self._reply.open_frames() as frames:
                return await self._relay_frames(frames, gone, send)
        except BaseException as error:
            if is_ending(error):
                raise
            request_id = self._context.request_id
            log.error("operation_failed", request_id=request_id, exc_info=error)
            return encode_next(orjson.dumps({"errors": [mask_fault(request_id)]})) + COMPLETE

    async def _relay_frames(
        self, frames: AsyncIterator[bytes], gone: asyncio.Future[None], send: Send
    ) -> bytes:
        pending = asyncio.ensure_future(_next(frames))
        try:
            while True:
                waited: set[asyncio.Future[Any]] = {pending, gone, self._last}
                await asyncio.wait(
                    waited,
                    timeout=self._reply.keep_alive_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if gone.done() or self._last.done():
                    return self._last.result() if self._last.done() else b""
                if not pending.done():
                    await send(build_piece(KEEP_ALIVE))
                    continue
                frame = pending.result()
                if frame is None:
                    return b""
                await send(build_piece(frame))
                pending = asyncio.ensure_future(_next(frames))
        finally:
            await _cancel(pending)


def _too_many(message: str) -> Refused:
    return Refused(429, message, ErrorCode.TOO_MANY_STREAMS, {b"retry-after": RETRY_SECONDS})


async def encode_answers(answers: AsyncIterator[Answer]) -> AsyncGenerator[bytes, None]:
    """Encode a subscription's answers as frames, `complete` behind the last."""
    async for answer in answers:
        yield encode_next(answer.encoded(), answer.cursor)
        if not answer.started:
            break
    yield COMPLETE


async def _next(frames: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(frames)
    except StopAsyncIteration:
        return None


async def _cancel(task: asyncio.Task[bytes | None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # has been told, or came too late to be
