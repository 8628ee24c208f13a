"""Search: films, shows and people in one list, best first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import loaders
import models
from resolvers.catalog.filters import normalize_filter
from resolvers.context import Context
from resolvers.paging import Page, validate_size
from services import cursors
from services.errors import InvalidCursor, ValidationFailed

MOST_CHARACTERS = 100
_ORDER = "search"
SearchResult = models.MovieRecord | models.ShowRecord | models.PersonRecord


async def search(
    context: Context,
    query: str,
    *,
    kinds: Sequence[models.SearchKind] | None = None,
    filter_: models.MovieFilter | None = None,
    first: int | None = None,
    after: str | None = None,
    fields: loaders.Fields = None,
) -> Page[SearchResult]:
    """One page of records with any of the words, best first; hits are cached for a minute.

    The filter is for titles. The query is text: nothing in it is an operator.

    Raises:
        ValidationFailed: the query is empty or over 100 characters, or `first` out of range.
        InvalidCursor, UpstreamUnavailable.
    """
    secret = context.runtime.settings.secret_bytes
    search_query = loaders.SearchQuery(
        words=_words(query),
        kinds=_kinds(kinds),
        filter=await normalize_filter(context, filter_),
        size=validate_size(first, "first", 20),
        after=_hit(secret, after) if after is not None else None,
    )
    loader = context.loader(loaders.SearchPageByQuery)
    hits = await loader.load(loader.key_for(search_query.key(), search_query)) or []
    page = hits[: search_query.size]
    nodes_by_id = await context.load_many(
        loaders.SearchResultById, [hit.id for hit in page], fields
    )
    has_next = len(hits) > search_query.size
    return Page(page, has_next, after is not None, secret, _ORDER, _position, _node_of(nodes_by_id))


def _position(hit: models.SearchHit) -> cursors.Position:
    return cursors.Position(hit.score, hit.id)


def _node_of(
    nodes_by_id: Mapping[str, SearchResult | None],
) -> Callable[[models.SearchHit], SearchResult | None]:
    return lambda hit: nodes_by_id[hit.id]


def _words(query: str) -> str:
    if len(query) > MOST_CHARACTERS:
        message = f"`query` has at most {MOST_CHARACTERS} characters."
        raise ValidationFailed(message, path=["query"])
    words = models.plain_words(query)
    if words is None:
        raise ValidationFailed("`query` needs a word to look for.", path=["query"])
    return words


def _kinds(chosen: Sequence[models.SearchKind] | None) -> tuple[models.SearchKind, ...]:
    return tuple(kind for kind in models.SearchKind if chosen is None or kind in chosen)


def _hit(secret: bytes, after: str) -> models.SearchHit:
    score, last_id = cursors.decode(secret, _ORDER, after, "after")
    if not isinstance(score, float):
        raise InvalidCursor("`after` is not a cursor of this list.", path=["after"])
    return models.SearchHit(score, last_id)
