"""Derived values of titles that an earlier version stored without them."""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo import UpdateOne

from models.catalog.derived_values import derive_values, derived_sources
from models.catalog.documents import Movie, Show
from models.catalog.facets import FACET_EDITION
from models.catalog.sort_values import first_trend
from models.mongo.base import StoredDocument
from models.mongo.reading import database_errors
from models.mongo.updates import build_update

_BATCH = 1000
_SECONDS = 30.0


async def fill_derived_values() -> int:
    """Write the missing values, 1000 titles at a time; returns how many titles got them.

    May be interrupted and run again.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    return await _fill(Movie) + await _fill(Show)


async def _fill(document: type[StoredDocument]) -> int:
    filled = 0
    while rows := await _read_incomplete(document):
        writes = [
            UpdateOne({"_id": row["_id"]}, build_update(document, _derived(document, row)))
            for row in rows
        ]
        with database_errors(), pymongo.timeout(_SECONDS):
            await document.get_pymongo_collection().bulk_write(writes, ordered=False)
        filled += len(rows)
    return filled


async def _read_incomplete(document: type[StoredDocument]) -> list[dict[str, Any]]:
    names = dict.fromkeys(sorted(derived_sources(document) | {"popularity", "trend"}), 1)
    other_edition = {"facets.edition": {"$ne": FACET_EDITION}}  # or none
    missing = [other_edition, *({name: {"$exists": False}} for name in _stored_once(document))]
    with database_errors(), pymongo.timeout(_SECONDS):
        cursor = document.get_pymongo_collection().find({"$or": missing}, names).limit(_BATCH)
        return await cursor.to_list(None)


def _stored_once(document: type[StoredDocument]) -> list[str]:
    """Names of values that are derived once, when a title is stored."""
    return ["trend"] if "trend" in document.model_fields else []


def _derived(document: type[StoredDocument], row: dict[str, Any]) -> dict[str, Any]:
    values = derive_values(document, row)
    for name in _stored_once(document):
        values[name] = row.get(name, first_trend(row.get("popularity") or 0.0))
    return values
