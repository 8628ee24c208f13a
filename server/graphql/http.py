"""GraphQL over HTTP (the GraphQL foundation's draft): one request, one answer, never a 500.

POST with a JSON body, or GET for queries. A request that is not well formed is answered with 4xx;
one that is, with 200 for `application/json`, and with the draft's statuses for clients that accept
`application/graphql-response+json`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope, Send

from graph.base.errors import OUR_FAULTS
from graph.engine.answers import StoredAnswer
from graph.engine.error_behavior import ErrorBehavior
from graph.engine.operations import Answer, Operations, Prepared, Request
from resolvers.context import Context, Runtime
from server.graphql import cookies, rate_headers
from server.graphql.disconnect import ClientDisconnected, cancel_on_disconnect
from server.graphql.other_site import OtherSiteWarning
from server.graphql.replies import GRAPHQL_JSON, JSON, Refused, reply
from services.limits.abuse_rules import Signal
from services.telemetry.logs import get_logger

log = get_logger("graphql_http")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ERROR_BEHAVIORS = [
    behavior.value for behavior in ErrorBehavior
]  # a list: what is sent may not hash
_METHODS = {"GET", "HEAD", "POST"}
_DRAINED_BYTES = 4 * 1024 * 1024
_DRAIN_SECONDS = 1.0


class GraphQLOverHTTP:
    """The ASGI endpoint of /graphql."""

    def __init__(self, operations: Operations, runtime: Runtime) -> None:
        self._operations = operations
        self._runtime = runtime
        self._clock = time.monotonic
        self._other_sites = OtherSiteWarning()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head_only = scope["method"] == "HEAD"
        content_type = JSON
        try:
            headers = dict(scope["headers"])
            content_type = _negotiate(headers.get(b"accept"))
            if scope["method"] not in _METHODS:
                raise _not_allowed("Use GET or POST.", b"GET, HEAD, POST")
            request = await self._request(scope, headers, receive)
            answer = await self._answer(scope, headers, request, receive)
        except Refused as refused:
            self._note_invalid_request(scope, refused.status)
            await reply(
                send,
                refused.status,
                refused.body(),
                content_type,
                refused.headers,
                head_only=head_only,
            )
            return
        await self._send(scope, send, headers, content_type, answer)

    async def _send(
        self,
        scope: Scope,
        send: Send,
        headers: dict[bytes, bytes],
        content_type: bytes,
        answer: Answer,
    ) -> None:
        status = 400 if not answer.started and content_type is GRAPHQL_JSON else 200
        extra: dict[bytes, bytes] = {}
        if answer.is_overload:
            status, extra[b"retry-after"] = 503, b"1"
            scope["state"]["is_overloaded"] = True
        if answer.errors:
            scope["failed"] = is_our_fault(answer)
        browser = scope.get("browser")
        set_cookies = (
            cookies.build_set_cookie(browser, self._runtime.settings) if browser is not None else ()
        )
        if browser is not None and browser.tokens is not None:
            self._other_sites.warn(headers)
        body = answer.encoded()
        if answer.stored is not None and scope["method"] != "POST":
            extra = self._cache_headers(answer.stored, headers)
            if _matches_etag(headers.get(b"if-none-match"), answer.stored.etag):
                status, body = 304, b""
        head_only = scope["method"] == "HEAD"
        admission = scope.get("admission")
        if admission is not None:
            status = rate_headers.add_rate_headers(extra, status, admission)
        if b"cookie" in headers and b"cache-control" not in extra:
            extra[b"vary"] = b"Cookie"
        await reply(
            send, status, body, content_type, extra, head_only=head_only, cookies=set_cookies
        )

    def _note_invalid_request(self, scope: Scope, status: int) -> None:
        """Report requests that are not GraphQL over HTTP: no client of ours sends them."""
        client = scope.get("client")
        if status in (400, 405, 406, 413, 415) and client:
            self._runtime.ops.abuse_watch.record_signal(
                client[0], Signal.INVALID_REQUEST, account=scope.get("account")
            )

    def _cache_headers(
        self, stored: StoredAnswer, headers: dict[bytes, bytes]
    ) -> dict[bytes, bytes]:
        """Caching headers of a public answer; a request with credentials gets no public ones.

        Cookies without our header are none: they were not read.
        """
        if b"authorization" in headers or cookies.HEADER in headers:
            return {b"etag": stored.etag}
        seconds = stored.remaining_seconds(self._clock())
        return {b"etag": stored.etag, b"cache-control": b"public, max-age=%d" % seconds}

    async def _request(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> Request:
        if scope["method"] == "POST":
            _require_json(headers.get(b"content-type", b""))
            _require_identity(headers.get(b"content-encoding", b""))
            body = await read_body(receive, self._runtime.settings.max_body_bytes, headers)
            return parse_request(_parse(body, "The body"))
        return _parse_url(scope["query_string"])

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], request: Request, receive: Receive
    ) -> Answer:
        context = await self._context(scope, headers)
        prepared = await self._operations.admit(request, context)
        scope["admission"] = context.admission
        if isinstance(prepared, Answer):
            return prepared
        cookies.require_access(context.browser, context.viewer, root_fields(prepared))
        kind = prepared.operation.kind
        if kind == "subscription":
            raise Refused(400, "Subscriptions run over WebSocket (graphql-transport-ws) here.")
        if kind == "mutation" and scope["method"] != "POST":
            raise _not_allowed("Mutations need POST.", b"POST")
        scope["operation_label"] = operation_label(prepared)
        running = self._operations.run(prepared, context)
        if not prepared.operation.cost.is_slow:
            return await running
        try:
            return await cancel_on_disconnect(receive, running)
        except ClientDisconnected:
            raise Refused(499, "The client went away.") from None  # nginx's word for the log

    async def _context(self, scope: Scope, headers: dict[bytes, bytes]) -> Context:
        viewer, browser = await cookies.authenticate_scope(self._runtime, scope, headers)
        if browser is not None:
            scope["browser"] = browser
        client = scope.get("client")
        agent = headers.get(b"user-agent")
        return Context(
            self._runtime,
            viewer,
            scope["state"]["request_id"],
            client[0] if client else None,
            agent.decode("latin-1")[:300] if agent else None,
            browser,
        )


def _matches_etag(if_none_match: bytes | None, etag: bytes) -> bool:
    """Whether If-None-Match has the tag (RFC 9110, 13.1.2): weak comparison, or `*`."""
    if if_none_match is None:
        return False
    tags = (tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b","))
    return any(tag in (etag, b"*") for tag in tags)


def operation_label(prepared: Prepared) -> str:
    """The operation's kind and name, for logs."""
    name = prepared.operation.node.name
    return f"{prepared.operation.kind} {name.value[:60] if name else '(anonymous)'}"


def root_fields(prepared: Prepared) -> set[str]:
    """Names of the operation's root fields; a fragment's is empty."""
    selections: Iterable[Any] = prepared.operation.node.selection_set.selections
    return {one.name.value if one.kind == "field" else "" for one in selections}


def is_our_fault(answer: Answer) -> bool:
    """Whether an error of the answer is the server's, not the client's."""
    return any(error["extensions"]["code"] in OUR_FAULTS for error in answer.errors)


def _not_allowed(message: str, allow: bytes) -> Refused:
    return Refused(405, message, headers={b"allow": allow})


@lru_cache(maxsize=256)
def _negotiate(accept: bytes | None) -> bytes:
    """The preferred response type (RFC 9110, 12.5.1); `application/json` without a preference.

    Raises:
        Refused: 406, when the client accepts neither type.
    """
    if not accept:
        return JSON
    weights = dict(_parse_weight(part) for part in accept.decode("latin-1").lower().split(","))
    ranges = ("application/json", "application/*", "*/*")  # the most telling first
    plain = next((weights[name] for name in ranges if name in weights), 0.0)
    own = weights.get("application/graphql-response+json", 0.0)
    if own and own >= plain:
        return GRAPHQL_JSON
    if plain:
        return JSON
    raise Refused(406, "We answer application/json or application/graphql-response+json.")


def _parse_weight(part: str) -> tuple[str, float]:
    name, _, parameters = part.partition(";")
    weight = _read_parameter(parameters, "q")
    try:
        return name.strip(), float(weight) if weight else 1.0
    except ValueError:
        return name.strip(), 0.0


def _read_parameter(parameters: str, name: str) -> str:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip() == name:
            return value.strip().strip('"')
    return ""


@lru_cache(maxsize=256)
def _require_json(content_type: bytes) -> None:
    """Require a JSON body, which other sites' forms cannot send.

    Raises:
        Refused: 415.
    """
    header = content_type.decode("latin-1").lower()
    media_type, _, parameters = header.partition(";")
    if media_type.strip() != "application/json":
        raise Refused(415, "The body must be application/json.")
    if _read_parameter(parameters, "charset") not in ("", "utf-8", "utf8"):
        raise Refused(415, "The body must be in UTF-8.")


def _require_identity(content_encoding: bytes) -> None:
    """Require a body that is not compressed: its size is bounded as it comes.

    Raises:
        Refused: 415, with the codings that are taken (RFC 9110, 12.5.3).
    """
    if content_encoding.strip().lower() not in (b"", b"identity"):
        accepted = {b"accept-encoding": b"identity"}
        raise Refused(415, "The body must not be compressed.", headers=accepted)


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


def _parse(text: bytes | str, what: str) -> Any:
    if not text:
        raise Refused(400, f"{what} is empty.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Refused(400, f"{what} is not valid JSON.") from None


def parse_request(payload: Any) -> Request:
    """Build a request from decoded JSON, its parts of the right types.

    Raises:
        Refused: a part is missing or of another type.
    """
    if not isinstance(payload, dict):
        raise Refused(400, "The body must be a JSON object; batches are not taken.")
    query, document_id = payload.get("query"), _document_id(payload)
    if (query is not None or document_id is None) and not (query and isinstance(query, str)):
        raise Refused(400, "`query` must be a GraphQL document.")
    name = payload.get("operationName")
    if name is not None and not isinstance(name, str):
        raise Refused(400, "`operationName` must be a string.")
    for part in ("variables", "extensions"):
        if not isinstance(payload.get(part, {}), dict | None):
            raise Refused(400, f"`{part}` must be an object.")
    extensions = payload.get("extensions") or {}
    on_error = payload.get("onError", ErrorBehavior.PROPAGATE.value)
    if on_error not in _ERROR_BEHAVIORS:
        raise Refused(400, "`onError` must be NULL, PROPAGATE or HALT.")
    return Request(
        query,
        payload.get("variables") or {},
        name or None,
        document_id,
        include_cache_hits=extensions.get("cache") is True,
        include_cost=extensions.get("cost") is True,
        on_error=ErrorBehavior(on_error),
    )


def _document_id(payload: dict[str, Any]) -> str | None:
    """`documentId` (GraphQL over HTTP, appendix A), or Apollo's `persistedQuery` extension."""
    extensions = payload.get("extensions")
    persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    document_id = payload.get("documentId")
    if document_id is None and isinstance(persisted, dict):
        document_id = persisted.get("sha256Hash")
    if document_id is None:
        return None
    if not isinstance(document_id, str) or not _SHA256.fullmatch(
        document_id.removeprefix("sha256:")
    ):
        raise Refused(400, "A document's id is its SHA-256 in hexadecimal.")
    return document_id.removeprefix("sha256:")


def _parse_url(query_string: bytes) -> Request:
    try:
        pairs = parse_qsl(query_string.decode(), errors="strict")
    except ValueError:
        raise Refused(400, "The query string is not valid.") from None
    payload: dict[str, Any] = dict(pairs)
    for part in ("variables", "extensions"):
        if part in payload:
            payload[part] = _parse(payload[part], f"`{part}`")
    return parse_request(payload)
