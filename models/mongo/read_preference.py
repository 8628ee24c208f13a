"""Read preference: catalogue reads prefer secondaries, reads of viewer data use the primary.

Data changed moments ago is read from the primary as well: a secondary may not have it yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from beanie import Document
from pymongo import ReadPreference
from pymongo.asynchronous.collection import AsyncCollection

_primary: ContextVar[bool] = ContextVar("reading_primary", default=False)
_preferring: dict[type[Document], tuple[AsyncCollection[Any], AsyncCollection[Any]]] = {}
_SHARED = frozenset({"movies", "shows", "seasons", "episodes", "people", "genres", "search_words"})


@contextmanager
def read_from_primary(enabled: bool = True) -> Iterator[None]:
    """Send all reads inside the block to the primary, if `enabled`."""
    if not enabled:
        yield
        return
    token = _primary.set(True)
    try:
        yield
    finally:
        _primary.reset(token)


def collection_for_reads(document: type[Document]) -> AsyncCollection[Any]:
    """The document's collection with the read preference of this read."""
    collection: AsyncCollection[Any] = document.get_pymongo_collection()
    if _primary.get() or collection.name not in _SHARED:
        return collection
    pair = _preferring.get(document)
    if pair is None or pair[0] is not collection:  # bound anew, to another client
        preferring = collection.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
        pair = _preferring[document] = (collection, preferring)
    return pair[1]
