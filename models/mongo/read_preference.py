"""Which member of the replica set answers a read: the catalogue prefers secondaries, whatever
belongs to a viewer is read from the primary.

What changed moments ago is read from the primary as well: a secondary may not have it yet.
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
_SHARED = frozenset({"movies", "shows", "seasons", "episodes", "people", "genres"})


@contextmanager
def read_from_primary(wanted: bool = True) -> Iterator[None]:
    """Inside, all reads go to the primary; does nothing unless `wanted`."""
    if not wanted:
        yield
        return
    token = _primary.set(True)
    try:
        yield
    finally:
        _primary.reset(token)


def collection_for_reads(document: type[Document]) -> AsyncCollection[Any]:
    """The document's collection, as this read should see it."""
    collection: AsyncCollection[Any] = document.get_pymongo_collection()
    if _primary.get() or collection.name not in _SHARED:
        return collection
    known = _preferring.get(document)
    if known is None or known[0] is not collection:  # bound anew, to another client
        preferring = collection.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
        known = _preferring[document] = (collection, preferring)
    return known[1]
