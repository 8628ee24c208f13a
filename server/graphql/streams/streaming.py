"""Operations whose answers are streams, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial

from starlette.types import Scope

from graph.engine.error_behavior import ErrorBehavior
from graph.engine.operations import Answer, Operations, Prepared
from resolvers.context import Context, Runtime
from server.graphql import rate_headers
from server.graphql.negotiation.accept import Accepted, EventStreams
from server.graphql.replies import Line, Refused
from server.graphql.socket_limits import OpenSockets
from server.graphql.streams.event_streams import StreamReply, encode_answers
from server.graphql.streams.parts import PartsReply
from server.graphql.streams.running import RunningStreams

_MAX_CURSOR_BYTES = 200
_HOW = "Subscriptions run over WebSocket (graphql-transport-ws), or with Accept: text/event-stream."


class Streaming:
    """The streams of one process."""

    def __init__(
        self,
        operations: Operations,
        runtime: Runtime,
        open_sockets: OpenSockets,
        draining: asyncio.Event,
    ) -> None:
        self._operations = operations
        self._keep_alive_seconds = runtime.settings.sse_keep_alive_seconds
        self.running = RunningStreams(open_sockets, draining)

    def subscribe(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        accepted: Accepted,
        prepared: Prepared,
        context: Context,
    ) -> StreamReply:
        """Answer a subscription.

        Raises:
            Refused: 400, the client takes no event stream.
        """
        if accepted.events is EventStreams.NEVER or scope["method"] == "HEAD":
            raise Refused(400, _HOW)
        cursor = headers.get(b"last-event-id", b"")[:_MAX_CURSOR_BYTES].decode("latin-1")
        frames = partial(self._open_frames, prepared, context, cursor or None)
        return StreamReply(
            context, self.running, frames, self._keep_alive_seconds, _rate_lines(context)
        )

    async def deliver(
        self, accepted: Accepted, prepared: Prepared, context: Context
    ) -> Answer | PartsReply:
        """Answer an operation with @defer or @stream, in parts if it has more than one."""
        delivery = await self._operations.deliver(prepared, context)
        if isinstance(delivery, Answer):
            return delivery
        assert accepted.parts is not None
        return PartsReply(delivery, accepted.parts, _rate_lines(context))

    @asynccontextmanager
    async def _open_frames(
        self, prepared: Prepared, context: Context, resume_after: str | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        events = self._operations.subscribe(prepared, context, resume_after)
        async with aclosing(events) as answers, aclosing(encode_answers(answers)) as frames:
            yield frames


def can_be_in_parts(accepted: Accepted, prepared: Prepared) -> bool:
    """Whether an operation has parts to be deferred, and its client takes them."""
    is_deferring = prepared.operation.incremental is not None
    is_usual = prepared.on_error is ErrorBehavior.PROPAGATE
    return is_deferring and is_usual and accepted.parts is not None


def _rate_lines(context: Context) -> tuple[Line, ...]:
    extra: dict[bytes, bytes] = {}
    if context.admission is not None:
        rate_headers.add_rate_headers(extra, 200, context.admission)
    return tuple(extra.items())
