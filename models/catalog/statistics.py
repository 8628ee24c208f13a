"""Figures over the whole catalogue: films, mean rating and views by genre."""

from __future__ import annotations

from typing import Any

from models.catalog.documents import Movie
from models.mongo.base import Record
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import database_errors, to_records
from models.mongo.rows import aggregate_rows


class GenreFigures(Record, frozen=True):
    genre_id: str = ""
    count: int = 0
    average_rating: float | None = None  # of the rated ones
    total_views: int = 0


async def figures_by_genre(at_most: int) -> list[GenreFigures]:
    """Figures of the genres with the most active films. Scans every film: cache it.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    pipeline: list[dict[str, Any]] = [
        {"$match": {"is_active": True}},
        {"$project": {"genre_ids": 1, "rating": 1, "views": 1}},
        {"$unwind": "$genre_ids"},
        {
            "$group": {
                "_id": "$genre_ids",
                "count": {"$sum": 1},
                "average_rating": {"$avg": "$rating"},
                "total_views": {"$sum": "$views"},
            }
        },
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": at_most},
        {"$addFields": {"genre_id": "$_id"}},
    ]
    with database_errors():
        rows = await aggregate_rows(collection_for_reads(Movie), pipeline, most=at_most)
    return to_records(rows, GenreFigures)
