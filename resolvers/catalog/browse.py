"""Browsing: pages of films, single films, people and their credits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import loaders
import models
from models.mongo import ids
from resolvers.catalog.filters import normalize_filter
from resolvers.context import Context
from resolvers.paging import PAGE_SIZE, Page, PageArguments, require_kind, validate_size
from services import cursors

_IMDB_ID = re.compile(r"tt[0-9]{1,10}", re.ASCII)
T = TypeVar("T", bound=models.TitleRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class TitlePage(Page[T]):
    """A page of titles, and the query whose list may be counted."""

    query: models.MovieQuery


MoviePage = TitlePage[models.MovieRecord]
ShowPage = TitlePage[models.ShowRecord]


def build_title_page(
    nodes: Sequence[T], page: models.MoviePage, query: models.MovieQuery, secret: bytes
) -> TitlePage[T]:
    """Build the page of these titles, whose cursors are made for the query's order."""
    order = query.order

    def position(title: T) -> cursors.Position:
        return cursors.Position(models.sort_value(title, order), title.id)

    return TitlePage(
        nodes, page.has_next, page.has_previous, secret, order.name, position, query=query
    )


async def movies(
    context: Context,
    arguments: PageArguments,
    *,
    category: models.MovieCategory | None = None,
    filter_: models.MovieFilter | None = None,
    order: models.MovieOrder | None = None,
    fields: loaders.Fields = None,
    looks_behind: bool = True,
) -> MoviePage:
    """A page of films. Ids are cached for 5 minutes, films for an hour.

    Args:
        looks_behind: whether what lies on the far side of the cursor has to be known.

    Raises:
        ValidationFailed, InvalidCursor: the arguments make no page.
        UpstreamUnavailable: neither the database nor the cache has it.
    """
    order = order or models.MovieOrder.of(category, None)
    size = arguments.size()
    secret = context.runtime.settings.secret_bytes
    query = models.MovieQuery(
        category=category,
        filter=await normalize_filter(context, filter_),
        order=order,
        size=size,
        backwards=arguments.is_backwards,
        position=position_of(arguments, order, secret),
        today=_today(context, category),
        looks_behind=looks_behind,
    )
    pages = context.loader(loaders.MoviePageByQuery)
    page = await pages.load_one(pages.key_for(query), fields)
    assert page is not None  # a page may be empty, but it exists
    films = context.loader(loaders.MovieById)
    nodes = loaders.in_order(await films.many(page.ids, fields), page.ids)
    return build_title_page(nodes, page, query, secret)


async def movies_of_genres(
    context: Context,
    genres: Sequence[models.GenreRecord],
    arguments: PageArguments,
    *,
    order: models.MovieOrder | None = None,
    fields: loaders.Fields = None,
    looks_behind: bool = True,
) -> list[MoviePage]:
    """A page of each genre: one command for all their ids, one for all their films.

    `looks_behind` is as for `movies`.

    Raises:
        ValidationFailed, InvalidCursor: the arguments make no page.
        UpstreamUnavailable: neither the database nor the cache has it.
    """
    order = order or models.MovieOrder.of(None, None)
    secret = context.runtime.settings.secret_bytes
    whole = _whole_list(arguments, order, secret, looks_behind=looks_behind)
    filters = [models.MovieFilter(genres=(genre.slug,)) for genre in genres]
    queries = [replace(whole, filter=one) for one in filters]
    loader = context.loader(loaders.MoviePagesByQuery)
    keys = [loader.key_for(query) for query in queries]
    pages_by_key = await loader.many(keys)
    pages = [pages_by_key[key] or models.MoviePage() for key in keys]
    read_fields = None if fields is None else fields | {order.field}
    films = await context.load_many(
        loaders.MovieById, [id_ for page in pages for id_ in page.ids], read_fields
    )
    return [
        build_title_page(loaders.in_order(films, page.ids), page, query, secret)
        for page, query in zip(pages, queries, strict=True)
    ]


def _whole_list(
    arguments: PageArguments, order: models.MovieOrder, secret: bytes, *, looks_behind: bool
) -> models.MovieQuery:
    """The query of a page of all films."""
    return models.MovieQuery(
        None,
        models.MovieFilter(),
        order,
        arguments.size(),
        backwards=arguments.is_backwards,
        position=position_of(arguments, order, secret),
        looks_behind=looks_behind,
    )


async def count_movies(
    context: Context, connections: Sequence[MoviePage]
) -> list[models.Count | None]:
    """Lengths of these pages' lists; cached for 5 minutes."""
    loader = context.loader(loaders.MovieCountByQuery)
    return await _load_counts(loader, connections)


async def count_shows(
    context: Context, connections: Sequence[ShowPage]
) -> list[models.Count | None]:
    """Lengths of these pages' lists of shows."""
    loader = context.loader(loaders.ShowCountByQuery)
    return await _load_counts(loader, connections)


async def _load_counts(
    loader: loaders.MovieCountByQuery | loaders.ShowCountByQuery,
    connections: Sequence[TitlePage[Any]],
) -> list[models.Count | None]:
    # Many lists are counted less far: what one list's count is must not become that.
    kind = "" if len(connections) == 1 else "many:"
    keys = [loader.key_for(kind + one.query.list_key(), one.query) for one in connections]
    counts = await loader.many(keys)
    return [counts[key] for key in keys]


async def movie_statistics(context: Context, first: int | None) -> list[models.GenreFigures]:
    """Figures by genre, the one with the most films first; cached for 5 minutes."""
    size = validate_size(first, "first", 10)
    figures: list[models.GenreFigures] = await context.load(loaders.AllGenreFigures, "all")
    return figures[:size]


def position_of(
    arguments: PageArguments, order: models.MovieOrder, secret: bytes
) -> cursors.Position | None:
    """The position that the arguments' cursor encodes, or None."""
    if arguments.after is not None:
        return cursors.decode(secret, order.name, arguments.after, "after")
    if arguments.before is not None:
        return cursors.decode(secret, order.name, arguments.before, "before")
    return None


def _today(context: Context, category: models.MovieCategory | None) -> str:
    if category not in (models.MovieCategory.NEW_RELEASES, models.MovieCategory.UPCOMING):
        return ""
    return datetime.fromtimestamp(context.runtime.clock(), UTC).date().isoformat()


async def movie(
    context: Context,
    *,
    id_: str | None = None,
    tmdb_id: int | None = None,
    imdb_id: str | None = None,
    fields: loaders.Fields = None,
) -> models.MovieRecord | None:
    """The film with exactly one of these ids, or None."""
    if tmdb_id is not None:
        id_ = await context.load(loaders.MovieIdByTmdbId, str(tmdb_id))
    elif imdb_id is not None and _IMDB_ID.fullmatch(imdb_id):
        id_ = await context.load(loaders.MovieIdByImdbId, imdb_id)
    elif id_ is not None:
        require_kind(id_, "movie")
    if id_ is None or ids.kind_of(id_) != "movie":
        return None
    return await context.loader(loaders.MovieById).load_one(id_, fields)


async def person(
    context: Context, id_: str, fields: loaders.Fields = None
) -> models.PersonRecord | None:
    """The person with this id, or None."""
    if require_kind(id_) != "person":
        return None
    return await context.loader(loaders.PersonById).load_one(id_, fields)


async def genres(context: Context) -> list[models.GenreRecord]:
    """All genres in order of name."""
    all_ids = await context.load(loaders.AllGenreIds, "all")
    by_id = await context.load_many(loaders.GenreById, all_ids)
    return loaders.in_order(by_id, all_ids)


def credits_of_title(
    title: models.TitleRecord, first: int | None, department: models.Department | None
) -> list[models.CreditRecord]:
    """Credits of a title, in billing order."""
    size = validate_size(first, "first", PAGE_SIZE)
    chosen = title.credits
    if department is not None:
        chosen = [credit for credit in chosen if credit.department is department]
    return chosen[:size]


async def credits_of_people(
    context: Context,
    people: Sequence[models.PersonRecord],
    first: int | None,
    department: models.Department | None,
) -> list[list[models.CreditRecord]]:
    """Credits of each person, most popular title first; two loads for all people."""
    size = validate_size(first, "first", PAGE_SIZE)
    titles_of = await context.load_many(loaders.TitleIdsByPersonId, [one.id for one in people])
    title_ids = dict.fromkeys(key for some in titles_of.values() for key in some or ())
    titles = await context.load_many(loaders.TitleById, title_ids)
    return [
        [
            credit
            for title in loaders.in_order(titles, titles_of[one.id] or ())
            for credit in title.credits
            if credit.person_id == one.id and department in (None, credit.department)
        ][:size]
        for one in people
    ]
