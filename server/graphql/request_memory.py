"""Requests that were answered from the cache, by their bytes: the same need not be read again.

Remembered is only what the bytes alone decide; limits and rights are asked for each request.
"""

from __future__ import annotations

from starlette.types import Scope

from graph.engine.operations import Request
from services.cache.byte_lru import ByteLru

_MAX_BYTES = 8 * 1024 * 1024
_MAX_REQUESTS = 10_000
_MAX_REQUEST_BYTES = 16 * 1024
_OVERHEAD_BYTES = 2_000  # of a request beside its text and variables
_TEXT_COPIES = 5  # its bytes, and as text, where one rare letter makes all take four bytes
_VARIABLE_BYTES = 200  # of each beside its text: its place among them, name and value


class RequestMemory:
    """The requests of one process."""

    def __init__(self) -> None:
        self._requests: ByteLru[tuple[str, bytes], Request] = ByteLru(_MAX_BYTES, _MAX_REQUESTS)

    def find(self, scope: Scope, body: bytes) -> Request | None:
        """Return the request that these bytes were before."""
        return self._requests.get(_key(scope, body))

    def remember(self, scope: Scope, body: bytes, request: Request) -> None:
        """Remember a request that was answered from the cache, unless others could change it."""
        if request.answer_key is None:
            return
        key = _key(scope, body)
        is_plain = not any(isinstance(one, dict | list) for one in request.variables.values())
        if is_plain and len(key[1]) <= _MAX_REQUEST_BYTES:
            self._requests.put(key, request, _estimate_bytes(key, request))


def _estimate_bytes(key: tuple[str, bytes], request: Request) -> int:
    variables = len(request.variables) * _VARIABLE_BYTES
    sent_bytes = len(key[0]) + len(key[1])
    return _TEXT_COPIES * sent_bytes + variables + _OVERHEAD_BYTES


def _key(scope: Scope, body: bytes) -> tuple[str, bytes]:
    if scope["method"] == "POST":
        return "POST", body
    return scope["path"], scope["query_string"]
