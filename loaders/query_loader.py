"""Loader bases: one keyed by registered queries, one that serializes its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

from loaders.base import CachedLoader, Fields, Scope

_V = TypeVar("_V")
Q = TypeVar("Q")


class QueryLoader(CachedLoader[_V], Generic[_V, Q]):
    """Loader of query results; `key_for` registers a query under the key to load it by."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._queries: dict[str, Q] = {}

    def key_for(self, key: str, query: Q) -> str:
        """Register the query under this key and return the key."""
        self._queries[key] = query
        return key


class SerializedLoader(CachedLoader[_V]):
    """Loader for keys that several fields of one level request together.

    Batches run one after another: a later one finds what an earlier one read, instead of reading it
    again.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._lock = asyncio.Lock()

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, _V | None]:
        """Values by key, after earlier batches have ended."""
        async with self._lock:
            return await super().many(keys, fields)
