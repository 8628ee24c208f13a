"""Search as clients see it: films, shows and people in one list."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import Parent

import models
from graph.base.enums import describe_enum
from graph.base.fields import computed, plain, resolver
from graph.base.info import Info, requested_fields
from graph.base.paging import After, First, PageInfo
from graph.catalog.catalog import Movie, Person
from graph.catalog.inputs import MovieFilter
from graph.catalog.shows import TvShow
from resolvers.catalog import search

describe_enum(
    models.SearchKind,
    "What kind of thing to look for.",
    {"MOVIE": "Films.", "TV_SHOW": "Shows.", "PERSON": "People."},
)
SearchResult = Annotated[
    Movie | TvShow | Person,
    strawberry.union("SearchResult", description="Something that a search can find."),
]


@strawberry.type(description="Something found.")
class SearchEdge:
    cursor: str = plain("Its place in the list.")
    node: SearchResult = plain("What was found.", needs=[], child_projection="")
    score: float = plain("How well it matches: the higher, the better.")


def _page_info(connection: Parent[search.SearchConnection]) -> search.SearchConnection:
    return connection


@strawberry.type(description="One page of what was found, the best first.")
class SearchConnection:
    edges: list[SearchEdge] = plain("What was found, with scores.", needs=[], child_projection="")
    nodes: list[SearchResult] = plain("What was found.", needs=[], child_projection="")
    page_info: PageInfo = computed(_page_info, "Where the page stands in its list.")


async def _search(
    info: Info,
    query: Annotated[
        str,
        strawberry.argument(
            description="Words to look for, at most 100 characters; any of them is enough."
        ),
    ],
    kinds: Annotated[
        list[models.SearchKind] | None, strawberry.argument(description="Only these; all.")
    ] = None,
    filter: Annotated[
        MovieFilter | None,
        strawberry.argument(description="Only titles that fit all of this; people always fit."),
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


@strawberry.type
class SearchQuery:
    search: SearchConnection = resolver(
        _search,
        "Films, shows and people whose names or descriptions have these words.",
        cost=10,
        max_age_seconds=60,
    )
