from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import loaders
import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import watchlist
from services.errors import InvalidCursor, NotFound, Unauthenticated, ValidationFailed
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.playback_fixtures import viewer_of
from tests.support.titles import film, film_id, show, show_id, store

NOW = 1_800_000_000.25


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    await store([*(film(number) for number in range(1, 8)), show(1), show(2)])
    return viewer_of(replace(runtime, clock=Clock(NOW, step_seconds=1)))


async def entries() -> list[dict[str, Any]]:
    rows = models.WatchlistEntry.get_pymongo_collection().find().sort("added_at", 1)
    return await rows.to_list(None)


async def listed(context: Context, **arguments: Any) -> list[str]:
    return [title.id for title in (await watchlist.watchlist(context, **arguments)).nodes]


async def test_films_and_shows_are_listed_newest_first(ada: Context) -> None:
    for title in (film_id(1), show_id(1), film_id(2)):
        added = await watchlist.add_to_watchlist(ada, title)
        assert added.id == title
    assert await listed(ada) == [film_id(2), show_id(1), film_id(1)]


async def test_adding_again_changes_nothing(ada: Context) -> None:
    # given two titles, and their entries
    await watchlist.add_to_watchlist(ada, film_id(1))
    await watchlist.add_to_watchlist(ada, film_id(2))
    before = await entries()
    # when the first is added again, also many times at once
    await asyncio.gather(*(watchlist.add_to_watchlist(ada, film_id(1)) for _ in range(10)))
    # then it keeps its place
    assert await entries() == before
    assert await listed(ada) == [film_id(2), film_id(1)]


async def test_removing_takes_off_and_may_be_repeated(ada: Context) -> None:
    await watchlist.add_to_watchlist(ada, film_id(1))
    for _ in range(2):
        removed = await watchlist.remove_from_watchlist(ada, film_id(1))
        assert removed is not None and removed.id == film_id(1)
        assert await listed(ada) == []


@pytest.mark.parametrize("title", [film_id(999), "episode_1.1.1", ids.derive("person", "x")])
async def test_what_is_no_film_or_show_is_not_found(ada: Context, title: str) -> None:
    for change in (watchlist.add_to_watchlist, watchlist.remove_from_watchlist):
        with pytest.raises(NotFound) as raised:
            await change(ada, title)
        assert raised.value.path == ["id"]
    assert await entries() == []


async def test_a_text_that_is_no_id_is_refused(ada: Context) -> None:
    for change in (watchlist.add_to_watchlist, watchlist.remove_from_watchlist):
        with pytest.raises(ValidationFailed):
            await change(ada, "no id at all")
    assert await entries() == []


async def test_nobody_signed_in_has_no_list(ada: Context, context: Context) -> None:
    for call in (
        watchlist.add_to_watchlist(context, film_id(1)),
        watchlist.remove_from_watchlist(context, film_id(1)),
        watchlist.watchlist(context),
    ):
        with pytest.raises(Unauthenticated):
            await call
    assert await entries() == []


async def test_a_list_is_its_owners_alone(ada: Context) -> None:
    # given a title on Ada's list, and another on Bob's
    bob = viewer_of(ada.runtime, "bob")
    await watchlist.add_to_watchlist(ada, film_id(1))
    await watchlist.add_to_watchlist(bob, film_id(2))
    # when Bob removes Ada's title
    await watchlist.remove_from_watchlist(bob, film_id(1))
    # then each still sees the own one
    assert await listed(ada) == [film_id(1)]
    assert await listed(bob) == [film_id(2)]
    # and a cursor of Ada's list leads Bob into nothing of hers
    page = await watchlist.watchlist(ada, first=1)
    assert film_id(1) not in await listed(bob, after=page.end_cursor)


async def test_pages_hold_while_the_list_changes(ada: Context) -> None:
    # given seven titles, two of them of the very same moment
    still = replace(ada.runtime, clock=lambda: NOW)
    for number in range(1, 8):
        context = viewer_of(still) if number in (3, 4) else ada
        await watchlist.add_to_watchlist(context, film_id(number))
    whole = await listed(ada)
    assert sorted(whole) == [film_id(number) for number in range(1, 8)]
    # when it is paged, while what was seen goes and something new comes
    first = await watchlist.watchlist(ada, first=3)
    await watchlist.remove_from_watchlist(ada, whole[2])
    await watchlist.add_to_watchlist(ada, show_id(1))
    second = await watchlist.watchlist(ada, first=3, after=first.end_cursor)
    third = await watchlist.watchlist(ada, first=3, after=second.end_cursor)
    # then nothing comes twice and nothing is lost
    pages = [[title.id for title in page.nodes] for page in (first, second, third)]
    assert pages == [whole[:3], whole[3:6], whole[6:]]
    assert [page.has_next_page for page in (first, second, third)] == [True, True, False]
    assert [page.has_previous_page for page in (first, second, third)] == [False, True, True]


async def test_a_title_that_left_the_catalogue_does_not_stop_paging(ada: Context) -> None:
    # given three titles, and the newest is taken out of the catalogue
    for number in (1, 2, 3):
        await watchlist.add_to_watchlist(ada, film_id(number))
    await models.Movie.get_pymongo_collection().delete_one({"_id": film_id(3)})
    ada.runtime.cache.clear_memory()
    await ada.runtime.redis.flushdb()
    # when the list is read from the start, one by one
    reader = viewer_of(ada.runtime)
    first = await watchlist.watchlist(reader, first=1)
    second = await watchlist.watchlist(reader, first=1, after=first.end_cursor)
    # then every page has what is still there
    assert [title.id for title in first.nodes] == [film_id(2)]
    assert [title.id for title in second.nodes] == [film_id(1)]
    # and it can still be removed, once
    assert await watchlist.remove_from_watchlist(viewer_of(ada.runtime), film_id(3)) is None
    with pytest.raises(NotFound):
        await watchlist.remove_from_watchlist(viewer_of(ada.runtime), film_id(3))


async def test_a_foreign_cursor_is_refused(ada: Context) -> None:
    for cursor in ("", "x", "AAAA"):
        with pytest.raises(InvalidCursor):
            await watchlist.watchlist(ada, after=cursor)
    with pytest.raises(ValidationFailed):
        await watchlist.watchlist(ada, first=101)


async def test_a_full_list_refuses_one_more(ada: Context) -> None:
    # given a list with as much as it holds
    at = models.utc_now()
    await models.WatchlistEntry.insert_many(
        models.WatchlistEntry(
            id=f"{ada.viewer_id}:movie_x{number}",
            user_id=ada.viewer_id,
            title_id=f"movie_x{number}",
            added_at=at,
        )
        for number in range(watchlist.MAX_TITLES)
    )
    before = await entries()
    # when one more is added
    with pytest.raises(ValidationFailed) as raised:
        await watchlist.add_to_watchlist(ada, film_id(1))
    # then nothing changed
    assert raised.value.path == ["id"]
    assert await entries() == before
    assert await viewer_of(ada.runtime).load(loaders.OnWatchlistByTitleId, film_id(1)) is False
    # and what goes makes room
    await watchlist.remove_from_watchlist(ada, "movie_x0")
    await watchlist.add_to_watchlist(ada, film_id(1))
    assert (await listed(ada, first=1)) == [film_id(1)]


async def test_many_titles_ask_once_whether_they_are_listed(
    ada: Context, context: Context, count_commands: CountCommands
) -> None:
    await watchlist.add_to_watchlist(ada, film_id(1))
    reader = viewer_of(ada.runtime)
    await count_commands.reset()
    marks = await reader.load_many(loaders.OnWatchlistByTitleId, [film_id(1), show_id(1)])
    assert marks == {film_id(1): True, show_id(1): False}
    assert count_commands.mongo == ["watchlist.find"]
    # nobody's list costs nothing
    await count_commands.reset()
    assert await context.load(loaders.OnWatchlistByTitleId, film_id(1)) is None
    assert count_commands.mongo == []
