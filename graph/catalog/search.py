"""Search as clients see it: films, shows and people in one list."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import Parent

import models
from graph.base.bounds import bound, bound_number
from graph.base.connections import connection
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import computed, resolver
from graph.base.freshness import CATALOGUE
from graph.base.info import Info, requested_fields
from graph.base.paging import After, Before, First, Last, without_default
from graph.base.roots import Query
from graph.catalog.catalog import Movie, Person
from graph.catalog.inputs import MovieFilter
from graph.catalog.shows import TvShow
from resolvers.catalog import search
from resolvers.paging import PAGE_SIZE, Edge, Page

describe_enum(
    models.SearchKind,
    "Kind of search result.",
    {"MOVIE": "Films.", "TV_SHOW": "Shows.", "PERSON": "People."},
)
SearchResult = Annotated[
    Movie | TvShow | Person,
    strawberry.union("SearchResult", description="A search result: a film, a show or a person."),
]


def _score(edge: Parent[Edge[search.SearchResult]]) -> float:
    score: float = edge.entry.score
    return score


class _Scored:
    score: float = computed(_score, "Relevance score; higher is a better match.")


@connection(
    SearchResult,
    "search results, best match first",
    "search result",
    items="results",
    edges_of="the search results",
    edges_with="cursors and scores",
    edge_fields=_Scored,
)
class SearchConnection:
    pass


async def _search(
    info: Info,
    query: Annotated[
        str,
        strawberry.argument(
            description="Words to search for, at most 100 characters. A whole name ranks first, "
            "then names with all words, with words that begin so, and with a letter or two wrong."
        ),
    ],
    kinds: Annotated[
        list[models.SearchKind] | None,
        strawberry.argument(
            description="Kinds of results to return; null for all.", directives=bound(items=10)
        ),
    ] = None,
    filter: Annotated[
        MovieFilter | None,
        strawberry.argument(
            description="Conditions that every title must meet; people are not filtered."
        ),
    ] = None,
    first: First = PAGE_SIZE,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Page[search.SearchResult]:
    return await search.search(
        info.context,
        query,
        kinds=kinds,
        filter_=filter.query() if filter else None,
        first=without_default(first, last, before),
        after=after,
        last=last,
        before=before,
        fields=requested_fields(info),
    )


async def _suggest(
    info: Info,
    text: Annotated[
        str,
        strawberry.argument(
            description="What is typed so far, at most 100 characters; fewer than two letters "
            "suggest nothing."
        ),
    ],
    first: Annotated[
        int | None,
        strawberry.argument(
            description="Maximum number of suggestions: 1 to 20.",
            directives=bound_number(1, search.MOST_SUGGESTIONS),
        ),
    ] = 10,
) -> list[search.SearchResult]:
    return await search.suggest(info.context, text, first=first, fields=requested_fields(info))


@extend(Query)
class SearchQuery:
    search: SearchConnection | None = resolver(
        _search,
        "Searches films, shows and people by words in their names and descriptions.",
        cost=10,
        freshness=CATALOGUE,
    )
    suggest: list[SearchResult] | None = resolver(
        _suggest,
        "Films, shows and people whose names begin with a text, most popular first; for search "
        "boxes, while somebody types.",
        cost=1,
        freshness=CATALOGUE,
    )
