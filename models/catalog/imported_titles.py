"""Digests of the values an import last wrote to each title, so that edits by others stay.

Promise: an import changes a field that has the value it last wrote, or was never filled; a field
that somebody else wrote it leaves unchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pymongo
from pymongo import UpdateOne

from models.mongo.base import IdentifiedRecord, StoredDocument, utc_now
from models.mongo.reading import database_errors, find_by_id
from models.mongo.updates import build_initial_values, build_update

D = TypeVar("D", bound=StoredDocument)
ImportedValues = dict[str, list[str]]  # digests by field
_SECONDS = 30.0
_IDENTITY = {"id", "tmdb_id"}


class ImportedTitle(StoredDocument):
    """Imported values of the title with the same id, as digests.

    `told` has two digests for a field whose write may not have arrived: of the value before, and of
    the value to write.
    """

    told: dict[str, list[str]] = {}

    class Settings:
        name = "imported_titles"


class ImportedTitleRecord(IdentifiedRecord, frozen=True):
    told: dict[str, list[str]] = {}


async def respect_edits(document: type[D], documents: Sequence[D]) -> None:
    """Unset, ahead of `upsert`, the fields of each document that others wrote.

    That is, since its last import, or before its first; digests of the other fields are stored. At
    most 1000 documents.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    title_ids = [each.id for each in documents]
    imported = await find_by_id(ImportedTitle, ImportedTitleRecord, title_ids)
    stored = await _read_stored(document, documents)
    changes: dict[str, ImportedValues] = {}
    for item in documents:
        before = imported[item.id].told if item.id in imported else {}
        after = dict(before) | _drop_edited_fields(item, stored.get(item.id), before)
        if after != before:
            changes[item.id] = after
    await _store_digests(changes)


def _drop_edited_fields(
    item: StoredDocument, stored: Mapping[str, Any] | None, before: ImportedValues
) -> ImportedValues:
    """Digests of the fields to write; unsets the item's fields that others wrote."""
    digests: ImportedValues = {}
    row = item.model_dump(mode="json", include=item.model_fields_set - _IDENTITY)
    for name, value in row.items():
        new = _digest(value)
        if stored is None:
            digests[name] = [new]
            continue
        old = _digest(stored.get(name))
        ours = old in before[name] if name in before else not stored.get(name)
        if not ours and old != new:
            item.model_fields_set.discard(name)
        elif new not in before.get(name, ()):
            digests[name] = [old, new]
    if "title" not in item.model_fields_set:  # made of it
        item.model_fields_set.discard("sort_title")
        digests.pop("sort_title", None)
    return digests


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


async def _read_stored(document: type[D], documents: Sequence[D]) -> dict[str, dict[str, Any]]:
    names = sorted(set[str]().union(*(item.model_fields_set for item in documents)) - _IDENTITY)
    where = {"_id": {"$in": [item.id for item in documents]}}
    collection = document.get_pymongo_collection()
    with database_errors(), pymongo.timeout(_SECONDS):
        cursor = collection.find(where, dict.fromkeys(names, 1))
        rows = await cursor.batch_size(len(documents) + 1).to_list(None)
    return {row["_id"]: row for row in rows}


async def _store_digests(digests: Mapping[str, ImportedValues]) -> None:
    if not digests:
        return
    now = utc_now()
    writes = [
        UpdateOne(
            {"_id": title_id},
            build_update(
                ImportedTitle,
                {"told": fields, "updated_at": now},
                increments={"version": 1},
                on_insert=build_initial_values(now),
            ),
            upsert=True,
        )
        for title_id, fields in digests.items()
    ]
    with database_errors(), pymongo.timeout(_SECONDS):
        await ImportedTitle.get_pymongo_collection().bulk_write(writes, ordered=False)
