"""The name that a client calls itself by, as Apollo's and Hive's clients send it.

It tells whose documents are meant, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.documents.ids import MAX_NAME_CHARACTERS, is_client_name

_APOLLO, _HIVE = b"apollographql-client-name", b"graphql-client-name"


def read_client_name(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the name in a request's headers; None without one that may be one."""
    name = headers.get(_APOLLO) or headers.get(_HIVE)
    return None if name is None else _check(name.decode("latin-1"))


def read_announced_name(payload: Mapping[str, Any]) -> str | None:
    """Return the name in the payload of a socket's first message, where browsers can send one."""
    for header in (_APOLLO, _HIVE):
        name = payload.get(header.decode())
        if isinstance(name, str):
            return _check(name)
    return None


def _check(name: str) -> str | None:
    return name if len(name) <= MAX_NAME_CHARACTERS and is_client_name(name) else None
