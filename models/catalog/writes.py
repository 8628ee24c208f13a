"""Bulk writes of the catalogue: inserts new documents and updates fields that differ.

Importing the same source twice writes nothing the second time. A document's explicitly set fields
are those its import is responsible for: of stored documents only they are compared and written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import pymongo
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from models.catalog.derived_values import derive_values, derived_names, derived_sources
from models.catalog.search.entries import is_searched_by, search_text_of, searched_fields
from models.catalog.search.lexicon import add_words, count_words
from models.catalog.search_keys import SearchText, words_of
from models.catalog.sort_values import first_trend
from models.mongo.base import StoredDocument, utc_now
from models.mongo.reading import database_errors
from models.mongo.updates import build_revision
from services.errors import Conflict

T = TypeVar("T")
D = TypeVar("D", bound=StoredDocument)
Row = Mapping[str, Any]
Write = InsertOne[dict[str, Any]] | UpdateOne

BATCH = 1000
_BATCH_SECONDS = 30.0  # a thousand inserts into fourteen indexes take longer than one operation may
_OURS = {"id", "revision_id", "version", "created_at", "updated_at", "search"}
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Changes:
    """The result of a bulk write, in documents."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        """All documents of the bulk write."""
        return self.inserted + self.updated + self.unchanged + self.removed

    def __add__(self, other: Changes) -> Changes:
        """Add the counts of two bulk writes."""
        return Changes(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.removed + other.removed,
        )


async def upsert(
    document: type[D],
    documents: Iterable[D],
    *,
    once: Collection[str] = (),
    written: Callable[[int], None] | None = None,
    prepare: Callable[[Sequence[D]], Awaitable[None]] | None = None,
) -> Changes:
    """Insert or update documents of one class, 1000 per command.

    Args:
        documents: validated when built, so a lazy iterable keeps memory flat.
        once: names of fields that are written to new documents only.
        written: called with the number of documents done so far.
        prepare: called with each batch before it is written.

    Raises:
        Conflict: another document holds a unique key of one of these; the others are written.
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    changes = Changes()
    for batch in batches(documents, BATCH):
        if prepare is not None:
            await prepare(batch)
        derived = derived_names(document) | {"trend"}
        changes += await _write(document, batch, _OURS | derived | set(once))
        if written is not None:
            written(changes.total)
    return changes


async def delete_documents(document: type[StoredDocument], ids: Sequence[str]) -> Changes:
    """Delete documents by id.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    if not ids:
        return Changes()
    collection = document.get_pymongo_collection()
    with database_errors(), pymongo.timeout(_BATCH_SECONDS):
        answer = await collection.delete_many({"_id": {"$in": list(ids)}})
    return Changes(removed=answer.deleted_count)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Split items into lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class _ConcurrentInsert(Conflict):
    """Another writer inserted some of these documents since they were looked up."""


async def _write(document: type[D], batch: Sequence[D], excluded: set[str]) -> Changes:
    """Write a batch; after a concurrent insert, once more, as updates of what now exists."""
    try:
        return await _write_once(document, batch, excluded)
    except _ConcurrentInsert:
        return await _write_once(document, batch, excluded)


async def _write_once(document: type[D], batch: Sequence[D], excluded: set[str]) -> Changes:
    owned = {item.id: item.model_fields_set - excluded for item in batch}
    stored = await _read_stored(document, owned)
    operations: list[Write] = []
    texts: list[SearchText] = []
    inserted = 0
    for item in batch:
        row = stored_row(item)
        before = stored.get(item.id)
        if before is None:
            row |= _search_change(document, row, None, texts)
            operations.append(InsertOne(row))
            inserted += 1
        elif changed := _changed(document, before, row, owned[item.id], texts):
            operations.append(_update(document, item.id, changed))
    await add_words(count_words([words_of(text) for text in texts]))
    await _send(document, operations)
    return Changes(inserted, len(operations) - inserted, len(batch) - len(operations))


def _changed(
    document: type[D], before: Row, row: Row, names: Collection[str], texts: list[SearchText]
) -> dict[str, Any]:
    """Fields to write of a stored document."""
    changed = _changed_values(document, before, row, names)
    is_folded = before.get("search") is not None  # an earlier version did not fold names
    return changed | _search_change(
        document, {**before, **changed}, changed if is_folded else None, texts
    )


def _changed_values(
    document: type[D], before: Row, row: Row, owned: Collection[str]
) -> dict[str, Any]:
    """Values of owned fields that differ, and those made of them."""
    changed = {name: row[name] for name in owned if _is_different(before, row, name)}
    made = derive_values(document, {**before, **changed})
    return changed | {name: made[name] for name in made if _is_different(before, made, name)}


def _search_change(
    document: type[D], row: Row, changed: Iterable[str] | None, texts: list[SearchText]
) -> dict[str, Any]:
    """What the document is found by, if these fields (None: all) concern it; goes to `texts`."""
    if not is_searched_by(document, searched_fields(document) if changed is None else changed):
        return {}
    texts.append(search_text_of(document, row))
    return {"search": texts[-1].model_dump()}


async def _read_stored(document: type[D], owned: Mapping[str, set[str]]) -> dict[str, Row]:
    searched = searched_fields(document)
    names = {*searched, *(["search.names"] if searched else [])}.union(*owned.values())
    names |= derived_sources(document) | derived_names(document)
    collection = document.get_pymongo_collection()
    with database_errors(), pymongo.timeout(_BATCH_SECONDS):
        cursor = collection.find({"_id": {"$in": list(owned)}}, dict.fromkeys(sorted(names), 1))
        rows = await cursor.batch_size(len(owned) + 1).to_list(None)
    return {row["_id"]: row for row in rows}


async def _send(document: type[D], operations: list[Write]) -> None:
    if not operations:
        return
    collection = document.get_pymongo_collection()
    with database_errors(), pymongo.timeout(_BATCH_SECONDS):
        try:
            await collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            failures = error.details.get("writeErrors", [])
            if not failures or any(each.get("code") != _DUPLICATE_KEY for each in failures):
                raise
            if all("_id" in each.get("keyValue", {}) for each in failures):
                raise _ConcurrentInsert(_clash(document, failures)) from error
            raise Conflict(_clash(document, failures)) from error


def _clash(document: type[D], failures: Sequence[Row]) -> str:
    first = failures[0].get("keyValue", {})
    name = document.get_settings().name
    return f"{len(failures)} of {name} share a unique key with stored ones, first {dict(first)}."


def stored_row(item: StoredDocument) -> dict[str, Any]:
    """The document as stored. JSON mode turns enums into their values; instants stay instants."""
    row = item.model_dump(mode="json", exclude=_OURS)
    created_at, updated_at = item.created_at, item.updated_at
    ours = {"version": item.version, "created_at": created_at, "updated_at": updated_at}
    ours |= derive_values(type(item), row)
    if "trend" in row:
        ours["trend"] = row["trend"] or first_trend(row["popularity"])
    return {"_id": item.id, **row, **ours}


def _is_different(before: Row, row: Row, name: str) -> bool:
    return name not in before or before[name] != row[name]


def _update(document: type[D], document_id: str, changed: Row) -> UpdateOne:
    return UpdateOne({"_id": document_id}, build_revision(document, changed, utc_now()))
