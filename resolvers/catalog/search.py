"""Search and suggestions: films, shows and people in one list, best first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import loaders
import models
from resolvers.catalog.filters import normalize_filter
from resolvers.context import Context
from resolvers.paging import Page, PageArguments, validate_size
from services import cursors
from services.errors import InvalidCursor, ValidationFailed

MOST_CHARACTERS = 100
MOST_SUGGESTIONS = 20
_FEWEST_LETTERS = 2
SearchResult = models.MovieRecord | models.ShowRecord | models.PersonRecord


async def search(
    context: Context,
    query: str,
    *,
    kinds: Sequence[models.SearchKind] | None = None,
    filter_: models.MovieFilter | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    fields: loaders.Fields = None,
) -> Page[SearchResult]:
    """One page of records with these words in their names, best first; cached for a minute.

    The filter is for titles. The query is text: nothing in it is an operator.

    Raises:
        ValidationFailed: the query is empty or over 100 characters, or `first` out of range.
        InvalidCursor: `after` was made for another search.
        UpstreamUnavailable.
    """
    secret = context.runtime.settings.secret_bytes
    arguments = PageArguments(first, after, last, before)
    size = arguments.size()
    search_query = loaders.SearchQuery(
        _words(query), _kinds(kinds), await normalize_filter(context, filter_)
    )
    order = f"search:{search_query.key()}"
    known = _hit(secret, order, *arguments.cursor)
    found = await _hits(context, search_query)
    begin, end = _bounds(found, known, size, is_backwards=arguments.is_backwards)
    if end >= found.settled < len(found.hits):
        found = await _hits(context, replace(search_query, is_deep=True))
        begin, end = _bounds(found, known, size, is_backwards=arguments.is_backwards)
    page = found.hits[begin:end]
    nodes_by_id = await context.load_many(
        loaders.SearchResultById, [hit.id for hit in page], fields
    )
    has_next = end < len(found.hits)
    return Page(page, has_next, begin > 0, secret, order, _position, _node_of(nodes_by_id))


async def suggest(
    context: Context, text: str, *, first: int | None = None, fields: loaders.Fields = None
) -> list[SearchResult]:
    """Records whose names begin with the text, or have words that do, best first.

    A text of fewer than two letters suggests nothing.

    Raises:
        ValidationFailed: the text is over 100 characters, or `first` out of range.
        UpstreamUnavailable.
    """
    size = validate_size(first, "first", 10, MOST_SUGGESTIONS)
    _check_length(text, "text")
    words = models.fold_query(text)
    if sum(map(len, words)) < _FEWEST_LETTERS:
        return []
    query = loaders.SearchQuery(
        words, tuple(models.SearchKind), is_word_ended=models.is_word_ended(text)
    )
    loader = context.loader(loaders.SuggestionsByQuery)
    hits = await loader.load(loader.key_for(query.key(), query)) or []
    result_ids = [hit.id for hit in hits[:size]]
    nodes_by_id = await context.load_many(loaders.SearchResultById, result_ids, fields)
    return loaders.in_order(nodes_by_id, result_ids)


async def _hits(context: Context, query: loaders.SearchQuery) -> models.SearchHits:
    loader = context.loader(loaders.SearchHitsByQuery)
    return await loader.load(loader.key_for(query.key(), query)) or models.SearchHits()


def _bounds(
    found: models.SearchHits, known: models.SearchHit | None, size: int, *, is_backwards: bool
) -> tuple[int, int]:
    """Where the page behind or before a hit begins and ends; the hit may no longer be there."""
    if is_backwards:
        hits, end = found.hits, len(found.hits)
        end = end if known is None else bisect_left(hits, _rank(known), key=_rank)
        return max(0, end - size), end
    begin = 0 if known is None else bisect_right(found.hits, _rank(known), key=_rank)
    return begin, begin + size


def _rank(hit: models.SearchHit) -> tuple[float, str]:
    return -hit.score, hit.id


def _position(hit: models.SearchHit) -> cursors.Position:
    return cursors.Position(hit.score, hit.id)


def _node_of(
    nodes_by_id: Mapping[str, SearchResult | None],
) -> Callable[[models.SearchHit], SearchResult | None]:
    return lambda hit: nodes_by_id[hit.id]


def _words(query: str) -> tuple[str, ...]:
    _check_length(query, "query")
    words = models.fold_query(query)
    if not words:
        raise ValidationFailed("`query` needs a word to look for.", path=["query"])
    return words


def _check_length(text: str, name: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise ValidationFailed(f"`{name}` has at most {MOST_CHARACTERS} characters.", path=[name])


def _kinds(chosen: Sequence[models.SearchKind] | None) -> tuple[models.SearchKind, ...]:
    return tuple(kind for kind in models.SearchKind if chosen is None or kind in chosen)


def _hit(secret: bytes, order: str, cursor: str | None, argument: str) -> models.SearchHit | None:
    if cursor is None:
        return None
    score, last_id = cursors.decode(secret, order, cursor, argument)
    if not isinstance(score, float):
        raise InvalidCursor(f"`{argument}` is not a cursor of this list.", path=[argument])
    return models.SearchHit(score, last_id)
