"""Lengths of lists: exact while that is cheap, a lower bound or an estimate beyond."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from models.catalog.documents import Movie, Show
from models.catalog.filters import list_clauses
from models.catalog.pages import Stages, Titles, run_union
from models.catalog.queries import MovieCategory, MovieFilter, MovieQuery
from models.mongo.base import Record
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import database_errors

COUNTED_EXACTLY = 10_000
_WHOLE_CATALOGUE = (None, MovieCategory.POPULAR, MovieCategory.TRENDING)  # which leave nothing out


class CountPrecision(Enum):
    EXACT = "EXACT"
    ESTIMATED = "ESTIMATED"
    AT_LEAST = "AT_LEAST"


class Count(Record, frozen=True):
    value: int = 0
    precision: CountPrecision = CountPrecision.EXACT


async def count_movies(queries: Mapping[str, MovieQuery]) -> dict[str, Count]:
    """Count the films of each query's list, exactly up to 10,000 and "at least" beyond.

    The whole catalogue is estimated from collection metadata. One command for all lists, and one
    for the estimate.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    return await _count(Movie, queries)


async def count_shows(queries: Mapping[str, MovieQuery]) -> dict[str, Count]:
    """Count shows, with the rules of `count_movies`."""
    return await _count(Show, queries)


async def _count(document: Titles, queries: Mapping[str, MovieQuery]) -> dict[str, Count]:
    whole = {key for key, query in queries.items() if _is_whole(query)}
    counted = await _count_up_to_limit(
        document, {key: q for key, q in queries.items() if key not in whole}
    )
    if not whole:
        return counted
    with database_errors():
        size = await collection_for_reads(document).estimated_document_count()
    return counted | dict.fromkeys(whole, Count(value=size, precision=CountPrecision.ESTIMATED))


async def _count_up_to_limit(
    document: Titles, queries: Mapping[str, MovieQuery]
) -> dict[str, Count]:
    if not queries:
        return {}
    rows = await run_union(document, {key: _stages(query) for key, query in queries.items()})
    counts = {row["_id"]: row["count"] for row in rows}
    return {key: _as_count(counts.get(key, 0)) for key in queries}


def _as_count(count: int) -> Count:
    if count <= COUNTED_EXACTLY:
        return Count(value=count)
    return Count(value=COUNTED_EXACTLY, precision=CountPrecision.AT_LEAST)


def _stages(query: MovieQuery) -> Stages:
    return [
        {"$match": {"$and": list_clauses(query)}},
        {"$limit": COUNTED_EXACTLY + 1},
        {"$group": {"_id": None, "count": {"$sum": 1}}},
    ]


def _is_whole(query: MovieQuery) -> bool:
    return query.category in _WHOLE_CATALOGUE and query.filter == MovieFilter()
