"""Uvicorn's HTTP protocol with limits where it has none.

A request's head is bounded in bytes and in time, its body in time, its Host headers to exactly one
(RFC 9112, 3.2), and connections by address and in total. Below the ASGI application: what is
refused here has no scope yet. Bodies are bounded in bytes by whoever reads them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from server import shedding
from server.door.short_door import ShortDoor
from server.shedding import Overload
from server.stream_stalls import StreamStallHttp
from services.limits.address_prefixes import group_address
from services.limits.client_address import ClientAddresses
from services.settings.settings import Settings
from services.telemetry import metrics

MAX_PIPELINED = 16
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 4 * 1024 * 1024


class Refusal(Enum):
    """Why a connection or request is refused; the value is the metric's label."""

    CONNECTIONS = "connections"
    HEAD_TOO_LARGE = "head_too_large"
    HEAD_TOO_SLOW = "head_too_slow"
    BODY_TOO_SLOW = "body_too_slow"
    HOST = "host"
    MALFORMED = "malformed"
    PIPELINE = "pipeline"


_ANSWERS = {
    Refusal.CONNECTIONS: (HTTPStatus.TOO_MANY_REQUESTS, "Too many connections."),
    Refusal.HEAD_TOO_LARGE: (431, "The request's head is too large."),
    Refusal.HEAD_TOO_SLOW: (HTTPStatus.REQUEST_TIMEOUT, "The request's head took too long."),
    Refusal.BODY_TOO_SLOW: (HTTPStatus.REQUEST_TIMEOUT, "The request's body took too long."),
    Refusal.HOST: (HTTPStatus.BAD_REQUEST, "A request has exactly one Host header."),
    Refusal.MALFORMED: (HTTPStatus.BAD_REQUEST, "Invalid HTTP request received."),
    Refusal.PIPELINE: (HTTPStatus.BAD_REQUEST, "Too many requests are pipelined."),
}


class _Refused(Exception):
    """Raised in the parser's callbacks, which stops it."""


class _Phase(Enum):
    HEAD = 1
    BODY = 2
    IDLE = 3  # between requests, where uvicorn's keep-alive limit holds


_HEAD, _BODY, _IDLE = _Phase.HEAD, _Phase.BODY, _Phase.IDLE  # read faster than the enum's


@dataclass(slots=True)
class ConnectionLimits:
    """Limits of a process's connections, and how many each address has open."""

    head_bytes: int = 32 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    stream_stall_seconds: float = 30.0  # of event streams whose client reads nothing
    per_address: int = 500
    total: int = 100_000
    proxies: ClientAddresses = field(default_factory=lambda: ClientAddresses(""))
    by_address: Counter[str] = field(default_factory=Counter)
    overload: Overload | None = None
    door: ShortDoor | None = None  # None: all requests go to the ASGI application
    is_closing: bool = False  # each connection ends with its next answer, which says so

    @classmethod
    def of(cls, settings: Settings, *, total: int = 100_000) -> ConnectionLimits:
        """Build the limits from the settings."""
        return cls(
            settings.max_head_bytes,
            settings.head_seconds,
            settings.body_seconds,
            per_address=settings.connections_per_address,
            total=total,
            proxies=ClientAddresses(settings.trusted_proxies),
        )

    def find_key(self, address: str | None) -> str | None:
        """Return what the address is counted as; None for our own proxies, which carry many."""
        if self.proxies.trusted and self.proxies.is_trusted(address):
            return None
        return group_address(address)

    def release(self, key: str) -> None:
        """Count one connection less."""
        self.by_address[key] -= 1
        if not self.by_address[key]:
            del self.by_address[key]


class BoundedHttp(StreamStallHttp):
    """One connection until it closes, or is upgraded to a WebSocket."""

    def __init__(
        self,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self.stall_seconds = limits.stream_stall_seconds
        self._key: str | None = None
        self._phase = _HEAD
        self._by_name: dict[bytes, bytes] = {}  # the last of each header's lines
        self._head_bytes = 0
        self._unreported_bytes = 0  # fed since the parser last told anything
        self._has_input = False
        self._refusal: Refusal | None = None
        self._lingering_bytes = 0
        self._overloaded_until = 0.0
        self._body: bytearray | None = None  # of a request that may be shed
        self._is_shedding = False
        self._timer: asyncio.TimerHandle | None = None
        self._timed_phase: _Phase | None = None

    # ---- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        key = self._limits.find_key(self.client[0] if self.client else None)
        if key is not None:
            self._key = key
            self._limits.by_address[key] += 1
        if len(self.connections) > self._limits.total or (
            key is not None and self._limits.by_address[key] > self._limits.per_address
        ):
            self._refuse(Refusal.CONNECTIONS)
        else:
            self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        super().connection_lost(exc)

    def _release(self) -> None:
        self._clear_timer()
        if self._key is not None:
            self._limits.release(self._key)
            self._key = None

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over: from here on the limits of sockets hold."""
        self._release()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # a cycle, which the collector would have to find

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            self._linger(len(data))
            return
        self._unset_keepalive_if_required()
        if self._phase is _IDLE:
            self._begin_head()
        self._has_input = True
        self._unreported_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return
        except httptools.HttpParserError:
            self._refuse(self._refusal or Refusal.MALFORMED)
            return
        if self._unreported_bytes > len(data):  # nothing but the midst of one line
            self._count_head(0, self._unreported_bytes)
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        if self._phase is not self._timed_phase:
            self._set_timer()
        if self._phase is _IDLE and self._is_answered():
            self._restart_keep_alive()

    def _is_answered(self) -> bool:
        """Whether no request waits for its answer."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _restart_keep_alive(self) -> None:
        """Wait for the next request; uvicorn does so at the answer, here the body came later."""
        if self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _begin_head(self) -> None:
        self._phase = _HEAD
        self._head_bytes = self._unreported_bytes = 0
        self._has_input = False

    def _count_head(self, reported: int, unreported: int = 0) -> None:
        self._head_bytes += reported
        if self._head_bytes + unreported > self._limits.head_bytes:
            self._refusal = Refusal.HEAD_TOO_LARGE

    def _count_reported(self, size: int) -> None:
        self._unreported_bytes = 0
        self._count_head(size)
        if self._refusal is not None:
            raise _Refused

    # ---- what the parser reports

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin_head()
        self._has_input = True

    def on_url(self, url: bytes) -> None:
        self._count_reported(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind the body, which nobody reads, is only counted."""
        self._unreported_bytes = 0
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._limits.head_bytes:
            self._refusal = Refusal.HEAD_TOO_LARGE
            raise _Refused
        if self._phase is _HEAD:  # as uvicorn does, without a call for each header
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._unreported_bytes = 0
        self._by_name = dict(self.headers)
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._refusal = Refusal.HOST
        elif len(self.pipeline) >= MAX_PIPELINED or self._is_shedding:
            self._refusal = Refusal.PIPELINE
        if self._refusal is not None:
            raise _Refused
        self._phase = _BODY
        if self._may_shed():
            self._body = bytearray()
        else:
            self._begin_request()

    def _begin_request(self) -> None:
        super().on_headers_complete()
        if self._limits.is_closing and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unreported_bytes = 0
        if self._body is None:
            super().on_body(body)
            return
        self._body += body
        if len(self._body) > shedding.MAX_BODY_BYTES:
            self._run_after_all()

    def _end_message(self) -> None:
        self._unreported_bytes = 0
        self._phase = _IDLE

    def on_message_complete(self) -> None:
        self._end_message()
        overload = self._limits.overload
        if self._body is not None and overload is not None:
            if not overload.may_be_urgent(bytes(self._body)):
                self._shed()
                return
            self._run_after_all()
        super().on_message_complete()

    # ---- requests that come back too soon

    def on_response_complete(self) -> None:
        if self.cycle.scope["state"].get("is_overloaded"):
            self._overloaded_until = self.loop.time() + shedding.AGAIN_SECONDS
        super().on_response_complete()

    def _may_shed(self) -> bool:
        overload = self._limits.overload
        return (
            self._overloaded_until > 0
            and self._overloaded_until > self.loop.time()
            and overload is not None
            and overload.is_overloaded
            and self._is_answered()
            and self.parser.should_keep_alive()
            and shedding.is_sheddable(self.parser.get_method(), self.url, self.headers)
        )

    def _run_after_all(self) -> None:
        body, self._body = bytes(self._body or b""), None
        super().on_headers_complete()
        super().on_body(body)

    def _shed(self) -> None:
        self._body = None
        self._is_shedding = True
        self.flow.pause_reading()
        self.loop.call_later(shedding.DELAY_SECONDS, self._write_shed)

    def _write_shed(self) -> None:
        self._is_shedding = False
        if self.transport.is_closing():
            return
        metrics.http_refused_total.labels("overload").inc()
        metrics.operations_refused_total.inc()
        self.transport.write(shedding.build_answer())
        self.flow.resume_reading()

    # ---- time

    def _set_timer(self) -> None:
        self._clear_timer()
        self._timed_phase = self._phase
        if self._phase is _HEAD:
            self._timer = self.loop.call_later(self._limits.head_seconds, self._on_late_head)
        elif self._phase is _BODY:
            self._timer = self.loop.call_later(self._limits.body_seconds, self._on_late_body)

    def _clear_timer(self) -> None:
        self._timed_phase = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_late_head(self) -> None:
        if self._has_input:
            self._refuse(Refusal.HEAD_TOO_SLOW)
        else:  # a silent connection, as browsers open ahead
            self.transport.close()

    def _on_late_body(self) -> None:
        self._refuse(Refusal.BODY_TOO_SLOW)

    # ---- the end

    def _refuse(self, refusal: Refusal) -> None:
        """Answer where no other answer has begun, then close."""
        self._refusal = refusal
        self._clear_timer()
        metrics.http_refused_total.labels(refusal.value).inc()
        cycle = self.cycle
        is_running = cycle is not None and not cycle.response_complete
        is_own = self._phase is _BODY and not self.pipeline
        if is_running:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.is_closing():
            return
        if is_running and (not is_own or cycle.response_started):
            self.transport.close()
            return
        self.transport.write(_build_answer(refusal))
        self.transport.write_eof()
        # Closed with unread bytes, a connection is reset, and the answer may be lost.
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _linger(self, size: int) -> None:
        self._lingering_bytes += size
        if self._lingering_bytes > _LINGER_BYTES:
            self.transport.abort()

    def eof_received(self) -> None:
        if self._refusal is not None:
            self.transport.close()


def _build_answer(refusal: Refusal) -> bytes:
    status, text = _ANSWERS[refusal]
    phrase = HTTPStatus(status).phrase
    retry = "retry-after: 10\r\n" if refusal is Refusal.CONNECTIONS else ""
    return (
        f"HTTP/1.1 {int(status)} {phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(text)}\r\n{retry}connection: close\r\n\r\n{text}"
    ).encode()
