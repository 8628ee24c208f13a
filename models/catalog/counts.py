"""Lengths of lists: exact while that is cheap, a lower bound or an estimate beyond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from models.catalog.documents import Movie, Show
from models.catalog.filters import Clause, list_clauses, number_clauses, split_clauses
from models.catalog.index_definitions import (
    FACET_INDEX,
    FEATURED_INDEX,
    LANGUAGE_INDEX,
    PERSON_INDEX,
    Keys,
    genre_index,
    order_index,
)
from models.catalog.pages import Stages, run_union
from models.catalog.paths import Titles, behind_scan, choose_path
from models.catalog.queries import MovieCategory, MovieFilter, MovieOrder, MovieQuery
from models.mongo.base import Record
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import aggregate, database_errors

COUNTED_EXACTLY = 10_000
COUNTED_OF_MANY = 1_000  # of each of more than two lists at once
_FEW_LISTS = 2
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

    Of more than two lists at once each is counted up to 1,000, which together cost no more.

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
    listed = {key: query for key, query in queries.items() if key not in whole}
    counted = await _count_up_to_limit(document, listed)
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
    if len(queries) == 1:
        ((key, query),) = queries.items()
        return {key: await _count_one(document, query)}
    most = COUNTED_EXACTLY if len(queries) <= _FEW_LISTS else COUNTED_OF_MANY
    rows = await run_union(
        document, {key: _stages(list_clauses(query), most=most) for key, query in queries.items()}
    )
    counts = {row["_id"]: row["count"] for row in rows}
    return {key: _as_count(counts.get(key, 0), most) for key in queries}


async def _count_one(document: Titles, query: MovieQuery) -> Count:
    index, is_found = await choose_path(document, query)
    if not is_found:
        index = _index_of(query)
    stages = _stages(*split_clauses(query, index), most=COUNTED_EXACTLY)
    rows = await aggregate(document, stages, most=1, hint=index)
    return _as_count(rows[0]["count"] if rows else 0, COUNTED_EXACTLY)


def _index_of(query: MovieQuery) -> Keys:
    """The index whose keys alone decide what belongs to a long list, the fewest of them."""
    chosen = query.filter
    if query.category is MovieCategory.FEATURED:
        return FEATURED_INDEX
    if chosen.person_id is not None:
        return PERSON_INDEX
    if chosen.genres is not None:
        is_by_text = chosen.exclude_genres is not None or chosen.language is not None
        return genre_index("popularity" if is_by_text else _order_of(query))
    if number_clauses(chosen) or chosen.exclude_genres:
        return FACET_INDEX
    if chosen.language is not None:
        return LANGUAGE_INDEX
    return order_index(_order_of(query))


def _order_of(query: MovieQuery) -> str:
    """The order whose index decides the query's category."""
    return MovieOrder.of(query.category, None).field


def _as_count(count: int, most: int) -> Count:
    if count <= most:
        return Count(value=count)
    return Count(value=most, precision=CountPrecision.AT_LEAST)


def _stages(early: Sequence[Clause], late: Sequence[Clause] = (), *, most: int) -> Stages:
    return [
        {"$match": {"$and": list(early)}},
        *behind_scan(late),
        {"$limit": most + 1},
        {"$group": {"_id": None, "count": {"$sum": 1}}},
    ]


def _is_whole(query: MovieQuery) -> bool:
    return query.category in _WHOLE_CATALOGUE and query.filter == MovieFilter()
