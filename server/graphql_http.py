"""GraphQL over HTTP (the GraphQL foundation's draft): one request, one answer, never a 500.

POST with a JSON body, or GET for queries. A request that is not well formed is answered with 4xx;
one that is, with 200 for `application/json`, and with the draft's statuses for clients that accept
`application/graphql-response+json`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope, Send

from graph.operations import Answer, Operations, Prepared, Request
from resolvers import accounts
from resolvers.context import Context, Runtime
from server.replies import GRAPHQL_JSON, JSON, Refused, reply
from services.errors import CodedError, InvalidToken
from services.logs import get_logger

log = get_logger("graphql_http")
_METHODS = {"GET", "HEAD", "POST"}


class GraphQLOverHTTP:
    """The ASGI endpoint of /graphql."""

    def __init__(self, operations: Operations, runtime: Runtime) -> None:
        self._operations = operations
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head_only = scope["method"] == "HEAD"
        content_type = JSON
        try:
            headers = dict(scope["headers"])
            content_type = _negotiated(headers.get(b"accept"))
            if scope["method"] not in _METHODS:
                raise _not_allowed("Use GET or POST.", b"GET, HEAD, POST, OPTIONS")
            request = await self._request(scope, headers, receive)
            answer = await self._answer(scope, headers, request)
        except Refused as refused:
            await reply(
                send,
                refused.status,
                refused.body(),
                content_type,
                refused.headers,
                head_only=head_only,
            )
            return
        status = 400 if not answer.started and content_type is GRAPHQL_JSON else 200
        scope["failed"] = _is_our_fault(answer)
        body = orjson.dumps(answer.body())
        await reply(send, status, body, content_type, head_only=head_only)

    async def _request(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> Request:
        if scope["method"] == "POST":
            _require_json(headers)
            body = await read_body(receive, self._runtime.settings.max_body_bytes, headers)
            return request_of(_parse(body, "The body"))
        return _request_of_url(scope["query_string"])

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], request: Request
    ) -> Answer:
        context = await self._context(scope, headers)
        prepared = self._operations.prepare(request, context)
        if isinstance(prepared, Answer):
            return prepared
        kind = prepared.operation.kind
        if kind == "subscription":
            raise Refused(400, "Subscriptions run over WebSocket (graphql-transport-ws) here.")
        if kind == "mutation" and scope["method"] != "POST":
            raise _not_allowed("Mutations need POST.", b"POST")
        scope["operation_label"] = operation_label(prepared)
        return await self._operations.run(prepared, context)

    async def _context(self, scope: Scope, headers: dict[bytes, bytes]) -> Context:
        token = headers.get(b"authorization")
        try:
            viewer = await accounts.authenticate(
                self._runtime, token.decode("latin-1") if token else None
            )
        except InvalidToken as error:
            challenge = {b"www-authenticate": b'Bearer error="invalid_token"'}
            raise Refused(401, error.message, error.code, challenge) from None
        except CodedError as error:
            raise Refused.of(503, error) from None
        client = scope.get("client")
        agent = headers.get(b"user-agent")
        return Context(
            self._runtime,
            viewer,
            scope["state"]["request_id"],
            client[0] if client else None,
            agent.decode("latin-1")[:300] if agent else None,
        )


def operation_label(prepared: Prepared) -> str:
    name = prepared.operation.node.name
    return f"{prepared.operation.kind} {name.value[:60] if name else '(anonymous)'}"


def _is_our_fault(answer: Answer) -> bool:
    return any(
        error["extensions"]["code"] in ("INTERNAL_SERVER_ERROR", "UPSTREAM_UNAVAILABLE", "TIMEOUT")
        for error in answer.errors
    )


def _not_allowed(message: str, allow: bytes) -> Refused:
    return Refused(405, message, headers={b"allow": allow})


def _negotiated(accept: bytes | None) -> bytes:
    """The first of our two types that the client takes; `application/json` where it does not say."""
    if accept is None:
        return JSON
    wanted = accept.decode("latin-1").lower()
    if "application/graphql-response+json" in wanted:
        return GRAPHQL_JSON
    if any(part in wanted for part in ("application/json", "*/*", "application/*")):
        return JSON
    raise Refused(406, "We answer application/json or application/graphql-response+json.")


def _require_json(headers: dict[bytes, bytes]) -> None:
    """Also what keeps other sites' forms out: browsers do not send this type across sites."""
    media_type, _, parameters = headers.get(b"content-type", b"").partition(b";")
    if media_type.strip().lower() != b"application/json":
        raise Refused(415, "The body must be application/json.")
    charset = parameters.strip().lower().removeprefix(b"charset=").strip(b'"')
    if charset not in (b"", b"utf-8", b"utf8"):
        raise Refused(415, "The body must be in UTF-8.")


async def read_body(receive: Receive, most_bytes: int, headers: dict[bytes, bytes]) -> bytes:
    """The whole body. Raises Refused (413) as soon as it is known to be too large."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared[:20]) > most_bytes:
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
        if size > most_bytes:
            raise _too_large(most_bytes)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large(most_bytes: int) -> Refused:
    # The rest of the body is not read, so the connection cannot serve another request.
    return Refused(413, f"A body has at most {most_bytes} bytes.", headers={b"connection": b"close"})


def _parse(text: bytes | str, what: str) -> Any:
    if not text:
        raise Refused(400, f"{what} is empty.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Refused(400, f"{what} is not valid JSON.") from None


def request_of(payload: Any) -> Request:
    """A request from decoded JSON, its parts of the right types.

    Raises:
        Refused: a part is missing or of another type.
    """
    if not isinstance(payload, dict):
        raise Refused(400, "The body must be a JSON object; batches are not taken.")
    query = payload.get("query")
    if not isinstance(query, str) or not query:
        raise Refused(400, "`query` must be a GraphQL document.")
    name = payload.get("operationName")
    if name is not None and not isinstance(name, str):
        raise Refused(400, "`operationName` must be a string.")
    for part in ("variables", "extensions"):
        if not isinstance(payload.get(part, {}), dict | None):
            raise Refused(400, f"`{part}` must be an object.")
    return Request(query, payload.get("variables") or {}, name or None)


def _request_of_url(query_string: bytes) -> Request:
    try:
        given = dict(parse_qsl(query_string.decode(), strict_parsing=bool(query_string)))
    except ValueError:
        raise Refused(400, "The query string is not valid.") from None
    payload: dict[str, Any] = dict(given)
    for part in ("variables", "extensions"):
        if part in given:
            payload[part] = _parse(given[part], f"`{part}`")
    return request_of(payload)


