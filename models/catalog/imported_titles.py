"""Digests of the values an import last wrote to each title, so that edits by others stay.

Promise: an import changes a field that has the value it last wrote, or was never filled; a field
that somebody else wrote, an editor or another source, it leaves unchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import pymongo
from pymongo import UpdateOne

from models.catalog.writes import Changes
from models.mongo.base import IdentifiedRecord, StoredDocument, utc_now
from models.mongo.reading import database_errors, find_by_id
from models.mongo.updates import build_initial_values, build_revision, build_update

D = TypeVar("D", bound=StoredDocument)
ImportedValues = dict[str, list[str]]  # digests by field
_SECONDS = 30.0
_IDENTITY = {"id"}
_NO_PLACEHOLDERS: Mapping[str, Callable[[str], str]] = MappingProxyType({})


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


async def respect_edits(
    document: type[D],
    documents: Sequence[D],
    *,
    source: str = "",
    figures: Collection[str] = (),
    placeholders: Mapping[str, Callable[[str], str]] = _NO_PLACEHOLDERS,
) -> None:
    """Unset, ahead of `upsert`, the fields of each document that others wrote.

    That is, since its last import, or before its first; digests of the other fields are stored. At
    most 1000 documents.

    Args:
        source: name of a source that keeps digests of its own.
        figures: fields that no editor writes: of a title stored without digests, they are the
            import's.
        placeholders: by field what stands there until there is something better, by title id.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    keys = {each.id: f"{each.id}:{source}" if source else each.id for each in documents}
    imported = await find_by_id(ImportedTitle, ImportedTitleRecord, list(keys.values()))
    stored = await _read_stored(document, documents)
    changes: dict[str, ImportedValues] = {}
    for item in documents:
        digests = imported.get(keys[item.id])
        before = digests.told if digests is not None else {}
        free = {} if digests is not None else dict.fromkeys(figures)
        row = stored.get(item.id)
        if row is not None:
            row = _drop_placeholders(item, row, placeholders)
        after = dict(before) | _drop_edited_fields(item, row, before, free)
        if after != before:
            changes[keys[item.id]] = after
    await _store_digests(changes)


async def hide_titles(document: type[StoredDocument], ids: Sequence[str]) -> Changes:
    """Deactivate titles that their source no longer has, if it was the source that showed them.

    The source shows them again by importing `is_active`; an editor who restores one wins.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    if not ids:
        return Changes()
    imported = await find_by_id(ImportedTitle, ImportedTitleRecord, ids)
    shown = _digest(True)
    own = [id_ for id_, each in imported.items() if shown in each.told.get("is_active", [shown])]
    where = {"_id": {"$in": own}, "is_active": True}
    with database_errors(), pymongo.timeout(_SECONDS):
        answer = await document.get_pymongo_collection().update_many(
            where, build_revision(document, {"is_active": False}, utc_now())
        )
    hidden = {"is_active": [_digest(False)]}
    await _store_digests({id_: imported[id_].told | hidden for id_ in own})
    return Changes(updated=answer.modified_count)


def _drop_placeholders(
    item: StoredDocument,
    stored: Mapping[str, Any],
    placeholders: Mapping[str, Callable[[str], str]],
) -> dict[str, Any]:
    """The stored values without placeholders; unsets the item's fields that are no better."""
    names = [name for name, build in placeholders.items() if stored.get(name) == build(item.id)]
    item.model_fields_set.difference_update(name for name in names if not getattr(item, name))
    return {name: value for name, value in stored.items() if name not in names}


def _drop_edited_fields(
    item: StoredDocument,
    stored: Mapping[str, Any] | None,
    before: ImportedValues,
    free: Collection[str],
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
        is_free = name in free or _is_empty(stored.get(name))
        ours = old in before[name] if name in before else is_free
        if not ours and old != new:
            item.model_fields_set.discard(name)
        elif new not in before.get(name, ()):
            digests[name] = [old, new]
    if "title" not in item.model_fields_set:  # made of it
        item.model_fields_set.discard("sort_title")
        digests.pop("sort_title", None)
    return digests


def _is_empty(value: Any) -> bool:
    return value is not False and not value


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
