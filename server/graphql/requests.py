"""Reading a request of GraphQL over HTTP: what it accepts, and the operation it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Scope

from graph.engine.error_behavior import ErrorBehavior
from graph.engine.operations import Request
from server.graphql.naming.addresses import check_address, read_path
from server.graphql.naming.document_ids import read_document_id
from server.graphql.negotiation.accept import read_parameter
from server.graphql.negotiation.methods import WITH_BODY
from server.graphql.replies import Refused

_NAMED_BY_PATH = {"query", "documentId", "doc_id", "operationName"}
_ERROR_BEHAVIORS = [
    behavior.value for behavior in ErrorBehavior
]  # a list: what is sent may not hash


def require_json(headers: Mapping[bytes, bytes]) -> None:
    """Require a body that is JSON, which other sites' forms cannot send, and not compressed.

    Raises:
        Refused: 415.
    """
    _require_json_type(headers.get(b"content-type", b""))
    encoding = headers.get(b"content-encoding")
    if encoding is not None:
        _require_identity(encoding)


@lru_cache(maxsize=256)
def _require_json_type(content_type: bytes) -> None:
    header = content_type.decode("latin-1").lower()
    media_type, _, parameters = header.partition(";")
    if media_type.strip() != "application/json":
        raise Refused(415, "The body must be application/json.")
    if read_parameter(parameters, "charset") not in ("", "utf-8", "utf8"):
        raise Refused(415, "The body must be in UTF-8.")


def _require_identity(content_encoding: bytes) -> None:
    """Require a body that is not compressed: its size is bounded as it comes.

    Raises:
        Refused: 415, with the codings that are taken (RFC 9110, 12.5.3).
    """
    if content_encoding.strip().lower() not in (b"", b"identity"):
        accepted = {b"accept-encoding": b"identity"}
        raise Refused(415, "The body must not be compressed.", headers=accepted)


def _parse(text: bytes | str, what: str) -> Any:
    if not text:
        raise Refused(400, f"{what} is empty.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Refused(400, f"{what} is not valid JSON.") from None


def read_payload(body: bytes) -> Any:
    """Decode a body.

    Raises:
        Refused: 400.
    """
    return _parse(body, "The body")


def parse_request(payload: Any) -> Request:
    """Build a request from decoded JSON, its parts of the right types.

    Raises:
        Refused: a part is missing or of another type.
    """
    if not isinstance(payload, dict):
        raise Refused.malformed("The body must be a JSON object; batches are not taken.")
    query, document_id = payload.get("query"), read_document_id(payload)
    if query == "" and document_id is not None:  # clients of sockets send no message without it
        query = None
    if (query is not None or document_id is None) and not (query and isinstance(query, str)):
        raise Refused.malformed("`query` must be a GraphQL document.")
    name = payload.get("operationName")
    if name is not None and not isinstance(name, str):
        raise Refused.malformed("`operationName` must be a string.")
    for part in ("variables", "extensions"):
        if not isinstance(payload.get(part, {}), dict | None):
            raise Refused.malformed(f"`{part}` must be an object.")
    extensions = payload.get("extensions") or {}
    on_error = ErrorBehavior.PROPAGATE
    if "onError" in payload:
        on_error = _parse_error_behavior(payload["onError"])
    return Request(
        query,
        payload.get("variables") or {},
        name or None,
        document_id,
        include_cache_hits=extensions.get("cache") is True,
        include_cost=extensions.get("cost") is True,
        on_error=on_error,
    )


def _parse_error_behavior(value: Any) -> ErrorBehavior:
    if value not in _ERROR_BEHAVIORS:
        raise Refused.malformed("`onError` must be NULL, PROPAGATE or HALT.")
    return ErrorBehavior(value)


def read_request(scope: Scope, body: bytes | None) -> Request:
    """Read a POST's body, or another request's address.

    Raises:
        Refused: 400; 404 or 414 for the address.
    """
    if scope["method"] in WITH_BODY:
        return parse_request(_parse(body or b"", "The body"))
    check_address(scope)
    return _parse_address(scope)


def read_batch(body: bytes, most: int) -> list[Request | Refused]:
    """Read the requests of an array, those that are none as the refusal they get.

    Raises:
        Refused: 400, for no array, an empty one, or one of more than `most`.
    """
    payloads = _parse(body, "The body")
    if not payloads:
        raise Refused.malformed("A batch has at least one operation.")
    if len(payloads) > most:
        raise Refused.malformed(f"A batch has at most {most} operations.")
    return [_read_part(payload) for payload in payloads]


def _read_part(payload: Any) -> Request | Refused:
    try:
        return parse_request(payload)
    except Refused as refused:
        return refused


def _parse_address(scope: Scope) -> Request:
    try:
        pairs = parse_qsl(scope["query_string"].decode(), errors="strict")
    except ValueError:
        raise Refused(400, "The query string is not valid.") from None
    payload: dict[str, Any] = dict(pairs)
    for part in ("variables", "extensions"):
        if part in payload:
            payload[part] = _parse(payload[part], f"`{part}`")
    named = read_path(scope["path"])
    if named and not payload.keys().isdisjoint(_NAMED_BY_PATH):
        raise Refused.malformed("The address names the document: give `variables` alone.")
    return parse_request(payload | named)
