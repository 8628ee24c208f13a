"""The HTTP protocol's short way to /graphql: from the parser to the answer in one write.

What waits for nothing is answered in the turn of the loop that brought it, and takes no task. What
waits runs in uvicorn's own cycle, so that disconnects, draining and pipelining are as everywhere.
A request goes the ASGI way when it is not the first of the bytes that came at once, when another
is still being answered, or when its client does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from server import shedding
from server.door.short_door import EncodedReply, EncodedStream, Exchange, ShortDoor
from server.graphql.http import Later
from server.http_protocol import BoundedHttp, ConnectionLimits, Refusal
from services.telemetry import metrics

_CLOSE = b"connection: close\r\n"


def build_protocols(limits: ConnectionLimits) -> Callable[..., BoundedHttp]:
    """Build the factory of protocols that Uvicorn's configuration names."""

    def create(**options: Any) -> BoundedHttp:
        if limits.door is None:
            return BoundedHttp(limits, **options)
        return ShortHttp(limits.door, limits, **options)

    return create


class ShortHttp(BoundedHttp):
    """One connection; requests that the door accepts do not become ASGI's."""

    def __init__(
        self,
        door: ShortDoor,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(limits, config, server_state, app_state, _loop)
        self._door = door
        self._is_first = True  # of the bytes that came at once
        self._request: dict[bytes, bytes] | None = None  # headers of one that is coming in
        self._input: bytes | bytearray = b""  # its body so far
        self._idle_until = 0.0  # by the loop's clock; 0: a request is on its way
        self._idle_timer: asyncio.TimerHandle | None = None
        self._is_plain = not self.root_path and self.limit_concurrency is None

    def data_received(self, data: bytes) -> None:
        self._is_first = True
        super().data_received(data)

    # ---- what the parser reports

    def _begin_request(self) -> None:
        headers = self._by_name
        if self._may_come_in(headers):
            self._request, self._input = headers, b""
        else:
            super()._begin_request()

    def _may_come_in(self, headers: dict[bytes, bytes]) -> bool:
        parser = self.parser
        return (
            self._is_first
            and len(headers) == len(self.headers)
            and self._door.accepts(parser.get_method(), self.url, headers)
            and self._is_answered()
            and not self.flow.write_paused
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and self._is_plain
            and not self._limits.is_closing
        )

    def on_body(self, body: bytes) -> None:
        if self._request is None:
            super().on_body(body)
            return
        self._unreported_bytes = 0
        if not self._input:
            self._input = body
        elif isinstance(self._input, bytearray):
            self._input += body
        else:  # comes in pieces: copying all of them for each would take a square of time
            self._input = bytearray(self._input + body)

    def on_message_complete(self) -> None:
        self._is_first = False
        headers, self._request = self._request, None
        if headers is None:
            super().on_message_complete()
            return
        self._end_message()
        exchange = Exchange(self._complete_scope(), headers, bytes(self._input))
        self._input = b""
        outcome = self._door.answer(exchange)
        if isinstance(outcome, EncodedReply):
            self._write_at_once(exchange, outcome)
        else:
            self._start(exchange, outcome)

    def _complete_scope(self) -> Any:
        """Return the request's scope as uvicorn has it."""
        scope: Any = self.scope
        path, _, query = self.url.partition(b"?")
        scope["method"] = self.parser.get_method().decode()
        scope["path"], scope["raw_path"], scope["query_string"] = path.decode(), path, query
        return scope

    def _hand_over(self) -> None:
        """Let the application answer a request that will not come in whole."""
        if self._request is not None:
            self._request = None
            super()._begin_request()
            if self._input:
                super().on_body(bytes(self._input))

    def connection_lost(self, exc: Exception | None) -> None:
        self._hand_over()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._hand_over()
        super().shutdown()

    def _refuse(self, refusal: Refusal) -> None:
        self._hand_over()
        super()._refuse(refusal)

    # ---- time between requests, by one timer that is made anew only when it runs out

    def _unset_keepalive_if_required(self) -> None:
        self._idle_until = 0.0
        if self.timeout_keep_alive_task is not None:
            super()._unset_keepalive_if_required()

    def _restart_keep_alive(self) -> None:
        if self.timeout_keep_alive_task is not None:
            return
        self._idle_until = self.loop.time() + self.timeout_keep_alive
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._on_idle)

    def _on_idle(self) -> None:
        self._idle_timer = None
        remaining = self._idle_until - self.loop.time()
        if self._idle_until and remaining <= 0:
            self.timeout_keep_alive_handler()
        elif self._idle_until:
            self._idle_timer = self.loop.call_later(remaining, self._on_idle)

    def _release(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        super()._release()

    # ---- answering

    def _write_at_once(self, exchange: Exchange, reply: EncodedReply) -> None:
        self.transport.write(self._encode(reply, keep_alive=True))
        self._door.record(exchange, reply.status)
        self.server_state.total_requests += 1
        if "is_overloaded" in exchange.scope["state"]:
            self._overloaded_until = self.loop.time() + shedding.AGAIN_SECONDS

    def _start(self, exchange: Exchange, later: Later) -> None:
        self.cycle = RequestResponseCycle(
            scope=exchange.scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        self.cycle.more_body = False
        answer = partial(self._answer_later, self.cycle, exchange, later)
        self._start_asgi_task(self.cycle, answer)

    async def _answer_later(
        self,
        cycle: RequestResponseCycle,
        exchange: Exchange,
        later: Later,
        _scope: Any,
        receive: Any,
        send: Any,
    ) -> None:
        reply = await self._door.finish(exchange, later, receive)
        if isinstance(reply, EncodedStream):
            await self._send_stream(exchange, reply, receive, send)
            return
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if not cycle.disconnected:
            cycle.response_started = cycle.response_complete = True
            self.transport.write(self._encode(reply, keep_alive=cycle.keep_alive))
            cycle.message_event.set()
            if not cycle.keep_alive:
                self.transport.close()
            cycle.on_response()
        self._door.record(exchange, reply.status)

    async def _send_stream(
        self, exchange: Exchange, reply: EncodedStream, receive: Any, send: Any
    ) -> None:
        metrics.active_connections.inc()
        try:
            await reply.send_to(receive, send)
        finally:
            metrics.active_connections.dec()
            self._door.record(exchange, reply.status)

    def _encode(self, reply: EncodedReply, *, keep_alive: bool) -> bytes:
        default = self._door.encode_default(self.server_state.default_headers)
        close = b"" if keep_alive else _CLOSE
        head = (STATUS_LINE[reply.status], default, reply.lines, close, b"\r\n", reply.body)
        return b"".join(head)
