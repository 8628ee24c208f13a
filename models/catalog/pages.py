"""Pages of titles, any number of them in one MongoDB command.

Pages are addressed by key, never by offset: a page starts at a sort value and an id, so titles that
are added or removed meanwhile make none appear twice and none disappear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from models.catalog.documents import Movie, MovieRecord, Show, ShowRecord, TitleRecord
from models.catalog.filters import index_of, where
from models.catalog.queries import MoviePage, MovieQuery
from models.mongo.read_preference import collection_for_reads
from models.mongo.reading import Fields, database_errors, find

T = TypeVar("T", bound=TitleRecord)
Titles = type[Movie] | type[Show]
Stages = list[dict[str, Any]]


async def read_movie_page(query: MovieQuery, fields: Fields) -> tuple[MoviePage, list[MovieRecord]]:
    """Read one page and its films in order; one extra film tells whether more follow.

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
    rows = await find(
        document,
        record,
        where(query),
        fields=fields,
        sort=[(query.order.field, query.direction), ("_id", query.direction)],
        limit=query.size + 1,
        hint=index_of(query),
    )
    page = MoviePage.of(query, [row.id for row in rows])
    by_id = {row.id: row for row in rows}
    return page, [by_id[id_] for id_ in page.ids]


async def read_movie_pages(queries: Mapping[str, MovieQuery]) -> dict[str, MoviePage]:
    """Read many pages by key in one command: each a `$unionWith` branch with its own index scan.

    No page costs more for being read with others.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    rows = await run_union(Movie, {key: _page_stages(query) for key, query in queries.items()})
    ids_by_key = {row["_id"]: row["ids"] for row in rows}
    return {key: MoviePage.of(query, ids_by_key.get(key, [])) for key, query in queries.items()}


def _page_stages(query: MovieQuery) -> Stages:
    return [
        {"$match": where(query)},
        {"$sort": {query.order.field: query.direction, "_id": query.direction}},
        {"$limit": query.size + 1},
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
        cursor = await collection.aggregate([*first, *unions], batchSize=len(pipelines) + 2)
        return await cursor.to_list(None)
