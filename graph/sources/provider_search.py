"""Search at the providers, answered with titles of the catalogue."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.extension import extend
from graph.base.fields import resolver
from graph.base.info import Info
from graph.base.roots import Query
from graph.catalog.search import SearchResult
from models import Role
from resolvers.sources import provider_search


async def _provider_search(
    info: Info,
    query: Annotated[
        str, strawberry.argument(description="Words to search for: 1 to 100 characters.")
    ],
    kind: Annotated[
        models.SearchKind,
        strawberry.argument(description="Kind of result to search for; providers know no people."),
    ] = models.SearchKind.MOVIE,
) -> list[provider_search.Title]:
    return await provider_search.provider_search(info.context, query, kind)


@extend(Query)
class ProviderSearchQuery:
    provider_search: list[SearchResult] | None = resolver(
        _provider_search,
        "Searches the providers in order and returns the catalogue titles of "
        "the first one with a match, at most 50. Spends the provider's "
        "quota; cached for five minutes.",
        requires=Role.EDITOR,
        is_private=True,
        is_slow=True,
        cost=10,
        assumed_size=50,
    )
