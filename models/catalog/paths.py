"""Which index a list is read along: that of its order, or one that finds the few titles that fit.

A walk along an order costs one index key for each title passed, which are many where few fit. So an
index of the filter is asked first how many keys it would read; where those are few, they are read
and sorted. All indexes give the same page: how many there were is remembered for a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from models.catalog.documents import Movie, Show
from models.catalog.filters import (
    Clause,
    filter_clauses,
    index_of,
    number_clauses,
    split_clauses,
)
from models.catalog.index_definitions import (
    FACET_INDEX,
    LANGUAGE_INDEX,
    PERSON_INDEX,
    Keys,
    genre_index,
    order_index,
)
from models.catalog.queries import MovieCategory, MovieFilter, MovieOrder, MovieQuery
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import NO_SUCH_INDEX, aggregate, database_errors
from models.mongo.rows import aggregate_rows

Titles = type[Movie] | type[Show]
FEW_KEYS = 3_000  # are read and sorted in about 6 ms
_SHORT = 200  # keys, which are not worth looking for fewer
_ALL = 2**31 - 1  # a limit that limits nothing
_SECONDS = 60.0
_MOST_REMEMBERED = 5_000
_ACTIVE: Clause = {"is_active": True}
_sizes: dict[tuple[str, str, Keys, int], tuple[float, int]] = {}


@dataclass(frozen=True, slots=True)
class Path:
    """An index, and the clauses that bound what is read of it: its first keys, or steps."""

    index: Keys
    bounds: list[Clause]


async def choose_path(
    document: Titles, query: MovieQuery, few: int = FEW_KEYS
) -> tuple[Keys, bool]:
    """The index to read the query's list along, and whether it is to be sorted.

    Asks MongoDB at most once a minute for each index that may find the list.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    path = await _choose(document, query, _paths(query), few)
    return (index_of(query), False) if path is None else (path.index, True)


async def find_few_ids(document: Titles, chosen: MovieFilter, most: int) -> list[str] | None:
    """Ids of all active titles that fit a filter, in no order; None if they may be over `most`.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    query = MovieQuery(None, chosen, MovieOrder("sort_title", 1), 1)
    paths = [*_paths(query), *([_genre_path(chosen)] if chosen.genres is not None else [])]
    path = await _choose(document, query, paths, most)
    if path is None:
        return None
    early, late = split_clauses(query, path.index)
    stages: list[dict[str, Any]] = [
        {"$match": {"$and": early}},
        *behind_scan(late),
        {"$group": {"_id": None, "ids": {"$push": "$_id"}}},
    ]
    rows = await aggregate(document, stages, most=1, hint=path.index)
    return rows[0]["ids"] if rows else []


async def _choose(
    document: Titles, query: MovieQuery, paths: Iterable[Path], few: int
) -> Path | None:
    """The path of the fewest keys, if those are few; the rest is not asked once one is short."""
    best, least = None, few
    for path in paths:
        size = await _count_keys(document, query, path, few)
        if size <= least:
            best, least = path, size
        if least <= _SHORT:
            break
    return best


def behind_scan(clauses: Sequence[Clause]) -> list[dict[str, Any]]:
    """Stages that match these clauses on what an index scan gives, not within the scan."""
    return [{"$limit": _ALL}, {"$match": {"$and": list(clauses)}}] if clauses else []


def forget_sizes() -> None:
    """Forget how many keys of indexes were counted."""
    _sizes.clear()


def _paths(query: MovieQuery) -> Iterator[Path]:
    """Indexes that may find the list's titles, the most selective first; none if no need is."""
    chosen, needs = query.filter, _needs(query)
    if not needs or query.category is MovieCategory.FEATURED:
        return
    if chosen.person_id is not None:
        yield Path(PERSON_INDEX, [{"credits.person_id": chosen.person_id}, _ACTIVE])
    if chosen.language is not None:
        yield Path(LANGUAGE_INDEX, [_ACTIVE, {"languages": chosen.language}])
    if number_clauses(chosen):
        yield Path(FACET_INDEX, [_ACTIVE, *number_clauses(chosen, FACET_INDEX)])
    if query.category is MovieCategory.UPCOMING:
        yield Path(order_index("released"), [_ACTIVE, {"released": {"$gt": query.today}}])
    if chosen.genres and not needs.isdisjoint({"language", "exclude_genres"}):
        yield _genre_path(chosen)


def _genre_path(chosen: MovieFilter) -> Path:
    genres = filter_clauses(MovieFilter(genres=chosen.genres))
    return Path(genre_index("popularity"), [_ACTIVE, *genres])


def _needs(query: MovieQuery) -> set[str]:
    """What the index of the query's order does not find by itself, and may be of few titles."""
    chosen, order = query.filter, query.order.field
    needs = {
        name
        for name in (*_NUMBERS, "language", "person_id", "exclude_genres")
        if getattr(chosen, name) is not None
    }
    if query.category is MovieCategory.UPCOMING:
        needs.add("released")
    index = index_of(query)
    return needs - _FOUND_BY_ORDER.get(order, set()) - _FOUND_BY_INDEX.get(index, set())


_NUMBERS = ("year_from", "year_to", "min_rating", "min_votes", "max_runtime_seconds")
_YEARS = {"year_from", "year_to"}
_FOUND_BY_ORDER = {"rating": {"min_rating"}, "year": _YEARS, "released": {*_YEARS, "released"}}
_FOUND_BY_INDEX = {PERSON_INDEX: {"person_id"}, LANGUAGE_INDEX: {"language"}}


async def _count_keys(document: Titles, query: MovieQuery, path: Path, few: int) -> int:
    """How many keys of the index lie within the bounds, counted up to one more than few."""
    collection = collection_for_reads(document)
    name = (collection.full_name, query.list_key(), path.index, few)
    counted_at, size = _sizes.get(name, (0.0, None))
    if size is None or time.monotonic() - counted_at >= _SECONDS:
        size = await _count_anew(collection, path, few)
        if len(_sizes) >= _MOST_REMEMBERED:
            _sizes.clear()
        _sizes[name] = (time.monotonic(), size)
    return size


async def _count_anew(collection: AsyncCollection[Any], path: Path, few: int) -> int:
    stages: list[dict[str, Any]] = [
        {"$match": {"$and": path.bounds}},
        {"$limit": few + 1},
        {"$group": {"_id": None, "keys": {"$sum": 1}}},
    ]
    with database_errors():
        try:
            rows = await aggregate_rows(collection, stages, most=1, hint=path.index)
        except OperationFailure as error:
            if error.code != NO_SUCH_INDEX:
                raise
            return few + 1  # an index that is not built finds nothing
    return rows[0]["keys"] if rows else 0
