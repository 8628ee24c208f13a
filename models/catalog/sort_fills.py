"""Sort values of films that an earlier version stored without them."""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo import UpdateOne

from models.catalog.documents import Movie
from models.catalog.sort_values import SOURCES, first_trend, sort_values
from models.mongo.reading import database_errors
from models.mongo.updates import build_update

_BATCH = 1000
_SECONDS = 30.0
_MISSING: dict[str, Any] = {"trend": {"$exists": False}}


async def fill_sort_values() -> int:
    """Write the missing sort values, 1000 films at a time; returns how many films got them.

    May be interrupted and run again.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    filled = 0
    while rows := await _read_incomplete():
        writes = [UpdateOne({"_id": row["_id"]}, build_update(Movie, _made(row))) for row in rows]
        with database_errors(), pymongo.timeout(_SECONDS):
            await Movie.get_pymongo_collection().bulk_write(writes, ordered=False)
        filled += len(rows)
    return filled


async def _read_incomplete() -> list[dict[str, Any]]:
    names = dict.fromkeys((*SOURCES, "popularity"), 1)
    with database_errors(), pymongo.timeout(_SECONDS):
        cursor = Movie.get_pymongo_collection().find(_MISSING, names).limit(_BATCH)
        return await cursor.to_list(None)


def _made(row: dict[str, Any]) -> dict[str, Any]:
    return {**sort_values(row), "trend": first_trend(row.get("popularity") or 0.0)}
