"""The short door: /graphql from a parsed request to the bytes of its answer, without ASGI.

It calls the functions that the middleware call, in their order. Only what passes all of them comes
in here: what one would refuse, and what is no plain HTTP/1.1, is left to the ASGI application.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from starlette.middleware import Middleware
from starlette.types import Message, Receive, Scope, Send

from server.door.asgi_calls import build_filter, collect_reply, filter_reply
from server.door.reply_lines import CorsLines, Line, decode_lines, encode_lines
from server.faults import is_ending
from server.graphql.http import AnyReply, GraphQLOverHTTP, Later
from server.graphql.naming.addresses import DOCUMENTS, ENDPOINT
from server.graphql.replies import Reply, ReplyInPieces
from server.middleware.abuse_guard import AbuseGate, FindAccount
from server.middleware.client_address import apply_forwarded
from server.middleware.compression import Compression
from server.middleware.cross_site_guard import is_cross_site
from server.middleware.error_boundary import assign_request_id, build_fault_answer
from server.middleware.request_metrics import RequestRecorder
from server.middleware.security_headers import SecurityHeaders
from server.origins import Origins
from services.limits.abuse_rules import PrefixStatus
from services.limits.client_address import ClientAddresses
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("server")
_PATH = ENDPOINT.encode()
_DOCUMENTS = DOCUMENTS.encode()
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
_CREDENTIALS = frozenset({b"authorization", b"cookie", b"x-marquee-auth"})
_MAX_LENGTH_DIGITS = 9


def _is_plain(url: bytes) -> bool:
    """Whether an address is the endpoint's, with nothing to be decoded in its path."""
    if not url.isascii() or b"#" in url:
        return False
    if url.startswith(b"/graphql?"):
        return True
    return url.startswith(_DOCUMENTS) and b"%" not in url.partition(b"?")[0]


@dataclass(frozen=True, slots=True)
class Layers:
    """What requests pass on their way to /graphql, whichever door they take."""

    security: SecurityHeaders
    recorder: RequestRecorder
    origins: Origins
    addresses: ClientAddresses
    gate: AbuseGate | None
    find_account: FindAccount
    cors: Sequence[Middleware]
    hosts: Sequence[Middleware]


@dataclass(slots=True)
class Exchange:
    """One request, whose body has come, until it is answered."""

    scope: Scope
    headers: dict[bytes, bytes]
    body: bytes
    started: float = 0.0


class EncodedReply(NamedTuple):
    """An answer as it goes out, but for the server's own headers; `lines` are header lines."""

    status: int
    lines: bytes
    body: bytes


class EncodedStream:
    """A stream that goes out by ASGI's `send`, with the headers that other answers have."""

    def __init__(self, door: ShortDoor, exchange: Exchange, reply: ReplyInPieces) -> None:
        self._door = door
        self._exchange = exchange
        self._reply = reply
        self.status = 500

    async def send_to(self, receive: Receive, send: Send) -> None:
        """Send the whole stream."""

        async def send_headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                head = Reply(self.status, list(message["headers"]), b"")
                encoded = self._door.encode(self._exchange, head)
                message = {**message, "headers": decode_lines(encoded.lines)}
            await send(message)

        await self._reply(self._exchange.scope, receive, send_headed)


class ShortDoor:
    """The short door of one process."""

    def __init__(self, endpoint: GraphQLOverHTTP, layers: Layers, max_body_bytes: int) -> None:
        self._endpoint = endpoint
        self._layers = layers
        self._max_body_bytes = max_body_bytes
        self._cors = CorsLines(layers.cors)
        self._compression = build_filter([Middleware(Compression)])
        self._fault_answer = build_fault_answer(layers.security, layers.cors)
        self._hosts = build_filter(layers.hosts) if layers.hosts else None
        self._is_own_host = lru_cache(maxsize=256)(self._check_host)
        self._default: tuple[list[Line], bytes] = ([], b"")
        self._security_lines = encode_lines(layers.security.add_to(ENDPOINT, []))

    # ---- coming in

    def accepts(self, method: bytes, url: bytes, headers: dict[bytes, bytes]) -> bool:
        """Whether a request with this head may come in; each header comes once in it."""
        if url != _PATH and not _is_plain(url):
            return False
        if method == b"POST":
            if url.startswith(_DOCUMENTS):
                return False
            length = headers.get(b"content-length", b"")
            if not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS:
                return False
            if int(length) > self._max_body_bytes:
                return False
        elif method != b"GET" or b"content-length" in headers:
            return False
        if not _UNUSUAL.isdisjoint(headers):
            return False
        if self._hosts is not None and not self._is_own_host(headers.get(b"host", b"")):
            return False
        return b"sec-fetch-site" not in headers or not is_cross_site(
            {"headers": list(headers.items())}, self._layers.origins
        )

    def _check_host(self, host: bytes) -> bool:
        assert self._hosts is not None
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": ENDPOINT,
            "query_string": b"",
            "headers": [(b"host", host)],
        }
        return filter_reply(self._hosts, scope, Reply(204, [], b"")).status == 204

    # ---- answering

    def answer(self, exchange: Exchange) -> EncodedReply | Later:
        """Answer at once what waits for nothing; of the rest, return what is to be awaited."""
        scope = exchange.scope
        assign_request_id(scope)
        if self._layers.addresses.trusted:
            apply_forwarded(scope, self._layers.addresses)
        scope["route_label"] = ENDPOINT
        exchange.started = time.perf_counter()
        try:
            reply = self._respond(exchange)
            return self.encode(exchange, reply) if isinstance(reply, Reply) else reply
        except BaseException as error:
            if is_ending(error):
                raise
            return self._answer_fault(exchange, error)

    def _respond(self, exchange: Exchange) -> Reply | Later:
        if not _CREDENTIALS.isdisjoint(exchange.headers):
            return partial(self._respond_to_account, exchange)
        gate = self._layers.gate
        status = None if gate is None else gate.count(exchange.scope, None)
        if status is not None:
            return partial(self._respond_restrained, exchange, status)
        return self._endpoint.respond_now(exchange.scope, exchange.headers, exchange.body)

    async def _respond_to_account(self, exchange: Exchange, receive: Receive) -> AnyReply:
        gate, scope = self._layers.gate, exchange.scope
        if gate is not None:
            scope["headers_by_name"] = exchange.headers
            status = gate.count(scope, await self._layers.find_account(scope))
            if status is not None:
                return await self._respond_restrained(exchange, status, receive)
        return await self._endpoint.respond(scope, exchange.headers, receive, exchange.body)

    async def _respond_restrained(
        self, exchange: Exchange, status: PrefixStatus, receive: Receive
    ) -> AnyReply:
        assert self._layers.gate is not None
        refusal = await self._layers.gate.restrain(exchange.scope, status)
        if refusal is not None:
            exchange.scope["is_restrained"] = True
            del exchange.scope["route_label"]  # counted as what is refused before routing
            return refusal.reply()
        return await self._endpoint.respond(
            exchange.scope, exchange.headers, receive, exchange.body
        )

    async def finish(
        self, exchange: Exchange, later: Later, receive: Receive
    ) -> EncodedReply | EncodedStream:
        """Await the answer."""
        metrics.active_connections.inc()
        try:
            reply = await later(receive)
            if isinstance(reply, ReplyInPieces):
                return EncodedStream(self, exchange, reply)
            return self.encode(exchange, reply)
        except BaseException as error:
            if is_ending(error):
                self.record(exchange, 500)
                raise
            return self._answer_fault(exchange, error)
        finally:
            metrics.active_connections.dec()

    # ---- going out

    def encode(self, exchange: Exchange, reply: Reply) -> EncodedReply:
        """Encode an answer with all that the layers add to it."""
        scope, headers = exchange.scope, exchange.headers
        if "is_restrained" not in scope:
            if b"accept-encoding" in headers:
                reply = filter_reply(self._compression, scope, reply)
            if self._layers.gate is not None:
                self._layers.gate.note_status(scope, reply.status)
        lines = self._cors.encode(reply.lines, headers.get(b"origin"))
        own = b"x-request-id: %b\r\n" % scope["state"]["request_id"].encode()
        return EncodedReply(reply.status, lines + own + self._security_lines, reply.body)

    def _answer_fault(self, exchange: Exchange, error: BaseException) -> EncodedReply:
        exchange.scope["failed"] = True
        request_id = exchange.scope["state"]["request_id"]
        log.error("request_failed", request_id=request_id, exc_info=error)
        reply = collect_reply(self._fault_answer, exchange.scope)
        return EncodedReply(reply.status, encode_lines(reply.lines), reply.body)

    def encode_default(self, lines: list[Line]) -> bytes:
        """Encode the server's own headers, which change once a second."""
        if self._default[0] is not lines:
            self._default = lines, encode_lines(lines)
        return self._default[1]

    def record(self, exchange: Exchange, status: int) -> None:
        """Count and log a request that was answered with this status."""
        seconds = time.perf_counter() - exchange.started
        self._layers.recorder.record(exchange.scope, status, seconds)
