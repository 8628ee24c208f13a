"""Addresses of the endpoint: /graphql itself, and one for each document that has an id.

    /graphql/d/<id>/<operationName>?variables=...

Everything that decides the answer stands in such an address, so that a CDN needs no more of it.
"""

from __future__ import annotations

import re

from starlette.types import Scope

from server.graphql.replies import Refused
from services.documents.ids import normalize_id
from services.errors import ErrorCode

ENDPOINT = "/graphql"
DOCUMENTS = ENDPOINT + "/d/"
MAX_ADDRESS_BYTES = 16_384
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,255}", re.ASCII)


def is_endpoint(path: str) -> bool:
    """Whether requests for this path are GraphQL's."""
    return path == ENDPOINT or path.startswith(DOCUMENTS)


def check_address(scope: Scope) -> None:
    """Refuse addresses longer than MAX_ADDRESS_BYTES, and other methods than a document has.

    Raises:
        Refused: 414, or 405.
    """
    if len(scope["path"]) + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
        raise Refused(414, f"An address has at most {MAX_ADDRESS_BYTES} bytes: send it by POST.")
    if scope["path"] != ENDPOINT and scope["method"] not in ("GET", "HEAD"):
        message = "The address of a document takes GET: send the rest to /graphql."
        raise Refused(405, message, headers={b"allow": b"GET, HEAD"})


def read_path(path: str) -> dict[str, str]:
    """Return the document's id and the operation's name that a path tells, as parts of a request.

    Raises:
        Refused: 404, there is no such address.
    """
    if path == ENDPOINT:
        return {}
    document_id, slash, name = path.removeprefix(DOCUMENTS).partition("/")
    if normalize_id(document_id) is None or (slash and not _NAME.fullmatch(name)):
        raise Refused(404, "There is no document under this address.", ErrorCode.NOT_FOUND)
    return {"documentId": document_id, **({"operationName": name} if slash else {})}


def read_target(scope: Scope) -> str:
    """The request's target as it came in: its path, and its query if there is one."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")
