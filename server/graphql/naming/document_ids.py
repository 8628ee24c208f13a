"""The id of the document that a request asks for, in each form that clients send it.

Apollo: `extensions.persistedQuery.sha256Hash`. GraphQL over HTTP, appendix A: `documentId`. Relay:
`doc_id`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server.graphql.replies import Refused
from services.documents.ids import normalize_digest, normalize_id

_NO_DIGEST = "A document's hash is its SHA-256 in hexadecimal."
_NO_ID = (
    "A document's id is `sha256:` and its SHA-256 in hexadecimal, or up to 128 letters, digits and "
    "`_.~-`."
)


def read_document_id(payload: dict[str, Any]) -> str | None:
    """Return the id that the request's parts name, as it is stored; None without one.

    Raises:
        Refused: 400, it is no id, or they name several.
    """
    ids = {
        _normalize(payload[name], normalize_id, _NO_ID)
        for name in ("documentId", "doc_id")
        if payload.get(name) is not None
    }
    digest = _read_digest(payload.get("extensions"))
    if digest is not None:
        ids.add(_normalize(digest, normalize_digest, _NO_DIGEST))
    if len(ids) > 1:
        raise Refused.malformed(
            "`documentId`, `doc_id` and `persistedQuery` name several documents."
        )
    return ids.pop() if ids else None


def _read_digest(extensions: Any) -> Any:
    persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    if not isinstance(persisted, dict):
        return None
    if persisted.get("version", 1) != 1:
        raise Refused.malformed("`persistedQuery` has version 1.")
    return persisted.get("sha256Hash")


def _normalize(value: Any, normalize: Callable[[str], str | None], message: str) -> str:
    document_id = normalize(value) if isinstance(value, str) else None
    if document_id is None:
        raise Refused.malformed(message)
    return document_id
