"""Search as clients see it: films, shows and people in one list."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import Parent

import models
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import computed, plain, resolver
from graph.base.info import Info, requested_fields
from graph.base.paging import After, First, PageInfo
from graph.base.roots import Query
from graph.catalog.catalog import Movie, Person
from graph.catalog.inputs import MovieFilter
from graph.catalog.shows import TvShow
from resolvers.catalog import search

describe_enum(
    models.SearchKind,
    "Kind of search result.",
    {"MOVIE": "Films.", "TV_SHOW": "Shows.", "PERSON": "People."},
)
SearchResult = Annotated[
    Movie | TvShow | Person,
    strawberry.union("SearchResult", description="A search result: a film, a show or a person."),
]


@strawberry.type(description="An edge of the search results.")
class SearchEdge:
    cursor: str = plain("Opaque cursor of this item; pass it as `after`.")
    node: SearchResult = plain("The search result.", needs=[], child_projection="")
    score: float = plain("Relevance score; higher is a better match.")


def _page_info(connection: Parent[search.SearchConnection]) -> search.SearchConnection:
    return connection


@strawberry.type(description="A page of search results, best match first (Relay connection).")
class SearchConnection:
    edges: list[SearchEdge] = plain(
        "The results of this page with cursors and scores.", needs=[], child_projection=""
    )
    nodes: list[SearchResult] = plain(
        "The results of this page, without their edges.", needs=[], child_projection=""
    )
    page_info: PageInfo = computed(
        _page_info, "Relay page info: cursors and whether more pages follow."
    )


async def _search(
    info: Info,
    query: Annotated[
        str,
        strawberry.argument(
            description="Words to search for, at most 100 characters; matching any of "
            "them is enough."
        ),
    ],
    kinds: Annotated[
        list[models.SearchKind] | None,
        strawberry.argument(description="Kinds of results to return; null for all."),
    ] = None,
    filter: Annotated[
        MovieFilter | None,
        strawberry.argument(
            description="Conditions that every title must meet; people are not filtered."
        ),
    ] = None,
    first: First = 20,
    after: After = None,
) -> search.SearchConnection:
    return await search.search(
        info.context,
        query,
        kinds=kinds,
        filter_=filter.query() if filter else None,
        first=first,
        after=after,
        fields=requested_fields(info),
    )


@extend(Query)
class SearchQuery:
    search: SearchConnection = resolver(
        _search,
        "Searches films, shows and people by words in their names and descriptions.",
        cost=10,
        max_age_seconds=60,
    )
