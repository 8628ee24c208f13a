"""Pages of titles, any number of them in one MongoDB command.

Pages are addressed by key, never by offset: a page starts at a sort value and an id, so titles that
are added or removed meanwhile make none appear twice and none disappear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

from models.catalog.documents import Movie, MovieRecord, Show, ShowRecord, TitleRecord
from models.catalog.filters import (
    Clause,
    behind_position,
    beyond_position,
    split_clauses,
    where,
    where_behind,
)
from models.catalog.index_definitions import Keys
from models.catalog.paths import Titles, behind_scan, choose_path
from models.catalog.queries import MoviePage, MovieQuery
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import Fields, aggregate, database_errors, find, find_by_id
from models.mongo.rows import aggregate_rows

T = TypeVar("T", bound=TitleRecord)
Stages = list[dict[str, Any]]
_BEHIND = ":behind"  # ends the key of a look at the other side of a page's position


async def read_movie_page(query: MovieQuery, fields: Fields) -> tuple[MoviePage, list[MovieRecord]]:
    """Read one page and its films in order; one extra film tells whether more follow.

    What lies on the other side of the query's position is read beside it.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    return await _read_page(Movie, MovieRecord, query, fields)


async def read_show_page(query: MovieQuery, fields: Fields) -> tuple[MoviePage, list[ShowRecord]]:
    """Read one page of shows, as `read_movie_page` does."""
    return await _read_page(Show, ShowRecord, query, fields)


async def _read_page(
    document: Titles, record: type[T], query: MovieQuery, fields: Fields
) -> tuple[MoviePage, list[T]]:
    index, is_sorted = await choose_path(document, query)
    if is_sorted and (query.position is not None or split_clauses(query, index)[1]):
        return await _read_sorted_page(document, record, query, index, fields)
    rows, is_behind = await asyncio.gather(
        find(
            document,
            record,
            where(query, index),
            fields=fields,
            sort=_sort(query, query.direction),
            limit=query.size + 1,
            hint=index,
        ),
        _is_any_behind(document, record, query, index),
    )
    page = MoviePage.of(query, [row.id for row in rows], is_behind=is_behind)
    by_id = {row.id: row for row in rows}
    return page, [by_id[id_] for id_ in page.ids]


async def _is_any_behind(document: Titles, record: type[T], query: MovieQuery, index: Keys) -> bool:
    """Whether a title lies at the query's position or on its other side."""
    if query.position is None or not query.looks_behind:
        return query.position is not None
    rows = await find(
        document,
        record,
        where_behind(query, query.position, index),
        fields=frozenset(),
        sort=_sort(query, -query.direction),
        limit=1,
        hint=index,
    )
    return bool(rows)


async def _read_sorted_page(
    document: Titles, record: type[T], query: MovieQuery, index: Keys, fields: Fields
) -> tuple[MoviePage, list[T]]:
    """Read a page from an index of the filter: first its ids, then its titles.

    Branches of a position would each read that index from its beginning.
    """
    place = query.position
    after = [] if place is None else [beyond_position(query, place)]
    behind = [] if place is None else [behind_position(query, place)]
    looks_behind = query.looks_behind and place is not None
    ids, ids_behind = await asyncio.gather(
        _read_sorted_ids(document, query, index, after),
        _read_sorted_ids(document, query, index, behind, most=1) if looks_behind else _nothing(),
    )
    is_behind = bool(ids_behind) if looks_behind else place is not None
    page = MoviePage.of(query, ids, is_behind=is_behind)
    by_id = await find_by_id(document, record, page.ids, fields) if page.ids else {}
    return page, [by_id[id_] for id_ in page.ids if id_ in by_id]


async def _read_sorted_ids(
    document: Titles, query: MovieQuery, index: Keys, side: list[Clause], most: int = 0
) -> list[str]:
    """Ids of one side of a position, of which the first `most` do in any order."""
    early, late = split_clauses(query, index)
    sort: Stages = [] if most else [{"$sort": dict(_sort(query, query.direction))}]
    stages: Stages = [
        {"$match": {"$and": early}},
        *behind_scan([*late, *side]),
        *sort,
        {"$limit": most or query.size + 1},
        {"$project": {"_id": 1}},
    ]
    rows = await aggregate(document, stages, most=query.size + 1, hint=index)
    return [row["_id"] for row in rows]


async def _nothing() -> list[str]:
    return []


def _sort(query: MovieQuery, direction: int) -> list[tuple[str, int]]:
    return [(query.order.field, direction), ("_id", direction)]


async def read_movie_pages(queries: Mapping[str, MovieQuery]) -> dict[str, MoviePage]:
    """Read many pages by key in one command: each a `$unionWith` branch with its own index scan.

    No page costs more for being read with others.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    pipelines = {
        key: _stages(where(query, ()), _sort(query, query.direction), query.size + 1)
        for key, query in queries.items()
    }
    behind = {
        key + _BEHIND: _stages(
            where_behind(query, query.position, ()), _sort(query, -query.direction), 1
        )
        for key, query in queries.items()
        if query.position is not None and query.looks_behind
    }
    rows = await run_union(Movie, pipelines | behind)
    ids_by_key = {row["_id"]: row["ids"] for row in rows}
    return {
        key: MoviePage.of(
            query,
            ids_by_key.get(key, []),
            is_behind=key + _BEHIND in ids_by_key
            or (query.position is not None and not query.looks_behind),
        )
        for key, query in queries.items()
    }


def _stages(match: Mapping[str, Any], sort: list[tuple[str, int]], limit: int) -> Stages:
    return [
        {"$match": match},
        {"$sort": dict(sort)},
        {"$limit": limit},
        {"$group": {"_id": None, "ids": {"$push": "$_id"}}},
    ]


async def run_union(document: Titles, pipelines: Mapping[str, Stages]) -> Stages:
    """Run all pipelines in one command; each result row has its pipeline's key as `_id`."""
    first, *others = [
        [*stages, {"$addFields": {"_id": {"$literal": key}}}] for key, stages in pipelines.items()
    ]
    collection = collection_for_reads(document)
    unions = [{"$unionWith": {"coll": collection.name, "pipeline": stages}} for stages in others]
    with database_errors():
        return await aggregate_rows(collection, [*first, *unions], most=len(pipelines))
