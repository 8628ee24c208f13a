"""`hasPreviousPage` and `hasNextPage` are true only where something lies there."""

from __future__ import annotations

from dataclasses import replace

import pytest

import models
from resolvers.catalog import browse, shows
from resolvers.context import Context, Runtime
from resolvers.paging import Page, PageArguments
from services.cache.cache import Cache
from tests.support.titles import film, film_id, genre, show, show_id, store

BY_TITLE = models.MovieOrder.of(None, (models.MovieOrderField.TITLE, models.OrderDirection.ASC))
GENRE = models.GenreRecord(id="genre_drama", slug="drama", name="Drama")
DRAMA = models.MovieFilter(genres=("drama",))


@pytest.fixture
async def context(runtime: Runtime) -> Context:
    """Six films, of which the third and later are dramas, and three shows; nothing is cached."""
    films = [film(n, genre_ids=["genre_drama"] if n >= 3 else []) for n in range(1, 7)]
    await store([genre("drama"), *films, *(show(n) for n in range(1, 4))])
    return Context(replace(runtime, cache=Cache(runtime.redis, tiers="")))


def bounds(page: Page[models.MovieRecord] | Page[models.ShowRecord]) -> tuple[bool, bool]:
    return page.has_previous_page, page.has_next_page


async def movies(
    context: Context, filter_: models.MovieFilter | None = None, **page: object
) -> browse.MoviePage:
    arguments = PageArguments(**page)  # type: ignore[arg-type]
    return await browse.movies(context.for_event(), arguments, filter_=filter_, order=BY_TITLE)


async def take_out(document: type[models.Movie] | type[models.Show], *ids: str) -> None:
    collection = document.get_pymongo_collection()
    await collection.update_many({"_id": {"$in": ids}}, {"$set": {"is_active": False}})


async def test_after_a_deletion_nothing_lies_before_a_page(context: Context) -> None:
    first = await movies(context, first=2)
    assert bounds(first) == (False, True)
    # given the end of the first page, and a page after it
    second = await movies(context, first=2, after=first.end_cursor)
    assert bounds(second) == (True, True)
    # when the first page's films go, one by one, then the last of them makes the difference
    await take_out(models.Movie, film_id(2))
    assert bounds(await movies(context, first=2, after=first.end_cursor)) == (True, True)
    await take_out(models.Movie, film_id(1))
    assert bounds(await movies(context, first=2, after=first.end_cursor)) == (False, True)


async def test_nor_after_a_page_that_ends_before_a_cursor(context: Context) -> None:
    last = await movies(context, last=2)
    assert bounds(last) == (True, False)
    assert bounds(await movies(context, last=9, before=last.start_cursor)) == (False, True)
    await take_out(models.Movie, film_id(5), film_id(6))
    assert bounds(await movies(context, last=9, before=last.start_cursor)) == (False, False)
    # also where the page is empty
    await take_out(models.Movie, *map(film_id, range(1, 5)))
    assert bounds(await movies(context, last=9, before=last.start_cursor)) == (False, False)


async def test_what_a_filter_leaves_out_lies_nowhere(context: Context) -> None:
    # given a cursor of the whole list, which is of the same order
    whole = await movies(context, first=2)
    # then of the films before it none is a drama, and of those after it all
    assert bounds(await movies(context, DRAMA, first=2, after=whole.end_cursor)) == (False, True)
    assert bounds(await movies(context, DRAMA, last=2, before=whole.end_cursor)) == (False, True)
    assert bounds(await movies(context, DRAMA, first=9, after=whole.end_cursor)) == (False, False)


async def test_pages_of_genres_in_one_command_tell_the_same(context: Context) -> None:
    arguments = PageArguments(first=2)
    (first,) = await browse.movies_of_genres(context, [GENRE], arguments, order=BY_TITLE)
    assert bounds(first) == (False, True)
    after = PageArguments(first=2, after=first.end_cursor)
    (second,) = await browse.movies_of_genres(context, [GENRE], after, order=BY_TITLE)
    assert bounds(second) == (True, False)
    await take_out(models.Movie, film_id(3), film_id(4))
    fresh = context.for_event()
    (second,) = await browse.movies_of_genres(fresh, [GENRE], after, order=BY_TITLE)
    assert bounds(second) == (False, False)


async def test_pages_of_shows_tell_the_same(context: Context) -> None:
    first = await shows.shows(context, PageArguments(first=1))
    after = PageArguments(first=1, after=first.end_cursor)
    assert bounds(await shows.shows(context.for_event(), after)) == (True, True)
    await take_out(models.Show, first.nodes[0].id)
    assert bounds(await shows.shows(context.for_event(), after)) == (False, True)
    await take_out(models.Show, *map(show_id, range(1, 4)))
    assert bounds(await shows.shows(context.for_event(), after)) == (False, False)


async def test_a_cached_page_learns_what_lies_before_it(runtime: Runtime, context: Context) -> None:
    cached = Context(runtime)
    first = await movies(cached, first=2)
    second = await movies(cached, first=2, after=first.end_cursor)
    assert bounds(second) == bounds(await movies(cached, first=2, after=first.end_cursor))
    assert bounds(second) == (True, True)
