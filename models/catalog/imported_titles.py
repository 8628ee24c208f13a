"""What an outside catalogue last told of each title, as digests: so that editors keep their word.

Promise: a field that holds what was told, or was never filled, is the import's to change; a field
that somebody else wrote is not.
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

D = TypeVar("D", bound=StoredDocument)
Told = dict[str, list[str]]  # digests by field
_SECONDS = 30.0
_IDENTITY = {"id", "tmdb_id"}


class ImportedTitle(StoredDocument):
    """Its id is the title's. `told` has two digests for a field whose write may not have arrived:
    of what was there before, and of what was to come."""

    told: dict[str, list[str]] = {}

    class Settings:
        name = "imported_titles"


class ImportedTitleRecord(IdentifiedRecord, frozen=True):
    told: dict[str, list[str]] = {}


async def respect_edits(document: type[D], documents: Sequence[D]) -> None:
    """Takes from each document, ahead of `upsert`, the fields that others wrote since it was last
    imported, or before it first was; remembers the rest as told. At most 1000 documents.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    wanted = [each.id for each in documents]
    told = await find_by_id(ImportedTitle, ImportedTitleRecord, wanted)
    stored = await _stored(document, documents)
    news: dict[str, Told] = {}
    for item in documents:
        before = told[item.id].told if item.id in told else {}
        after = dict(before) | _sort_out(item, stored.get(item.id), before)
        if after != before:
            news[item.id] = after
    await _remember(news)


def _sort_out(item: StoredDocument, stored: Mapping[str, Any] | None, before: Told) -> Told:
    """What is newly told; the item loses the fields that are not the import's."""
    told: Told = {}
    row = item.model_dump(mode="json", include=item.model_fields_set - _IDENTITY)
    for name, value in row.items():
        new = _digest(value)
        if stored is None:
            told[name] = [new]
            continue
        old = _digest(stored.get(name))
        ours = old in before[name] if name in before else not stored.get(name)
        if not ours and old != new:
            item.model_fields_set.discard(name)
        elif new not in before.get(name, ()):
            told[name] = [old, new]
    if "title" not in item.model_fields_set:  # made of it
        item.model_fields_set.discard("sort_title")
        told.pop("sort_title", None)
    return told


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


async def _stored(document: type[D], documents: Sequence[D]) -> dict[str, dict[str, Any]]:
    names = sorted(set[str]().union(*(item.model_fields_set for item in documents)) - _IDENTITY)
    where = {"_id": {"$in": [item.id for item in documents]}}
    collection = document.get_pymongo_collection()
    with database_errors(), pymongo.timeout(_SECONDS):
        cursor = collection.find(where, dict.fromkeys(names, 1))
        rows = await cursor.batch_size(len(documents) + 1).to_list(None)
    return {row["_id"]: row for row in rows}


async def _remember(told: Mapping[str, Told]) -> None:
    if not told:
        return
    now = utc_now()
    writes = [
        UpdateOne(
            {"_id": title_id},
            {
                "$set": {"told": fields, "updated_at": now},
                "$inc": {"version": 1},
                "$setOnInsert": {"schema_version": 1, "created_at": now},
            },
            upsert=True,
        )
        for title_id, fields in told.items()
    ]
    with database_errors(), pymongo.timeout(_SECONDS):
        await ImportedTitle.get_pymongo_collection().bulk_write(writes, ordered=False)
