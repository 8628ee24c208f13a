"""Pages of a viewer's own lists tell truly whether something lies before and after them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.paging import Page
from resolvers.playback import history, marks, watchlist
from resolvers.playback.continue_watching import continue_watching
from tests.support.clock import Clock
from tests.support.playback_fixtures import build_offline_report, viewer_of
from tests.support.titles import film, film_id, show, store, whole_show

NOW = 1_800_000_000.25
BEGUN = datetime.fromtimestamp(NOW, UTC)


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    """Nine films and a show of one episode."""
    films = [film(number, runtime_seconds=6000) for number in range(1, 10)]
    await store([*films, *whole_show(1, [1]), show(2)])
    return viewer_of(replace(runtime, clock=Clock(NOW, step_seconds=1)))


def bounds(page: Page[object]) -> tuple[bool, bool]:
    return page.has_previous_page, page.has_next_page


async def delete_films(runtime: Runtime, *numbers: int) -> None:
    ids = [film_id(number) for number in numbers]
    await models.Movie.get_pymongo_collection().delete_many({"_id": {"$in": ids}})
    await runtime.cache.invalidate(f"movie:{id_}" for id_ in ids)


async def test_a_watchlist_leaves_out_what_is_deleted_on_both_sides(ada: Context) -> None:
    async def page(after: str | None = None) -> Page[models.TitleRecord]:
        return await watchlist.watchlist(viewer_of(ada.runtime), 2, after)

    # given five films, the newest first: 5 4, 3 2, 1
    for number in range(1, 6):
        await watchlist.add_to_watchlist(ada, film_id(number))
    first = await page()
    second = await page(first.end_cursor)
    assert (bounds(first), bounds(second)) == ((False, True), (True, True))
    # when what lies before the second page is removed, or deleted from the catalogue
    await watchlist.remove_from_watchlist(ada, film_id(5))
    assert bounds(await page(first.end_cursor)) == (True, True)
    await delete_films(ada.runtime, 4)
    assert bounds(await page(first.end_cursor)) == (False, True)
    # and what lies after it
    await delete_films(ada.runtime, 1)
    assert bounds(await page(first.end_cursor)) == (False, False)
    # then a page is still full as long as there is something to fill it with
    await delete_films(ada.runtime, 3)
    last = await page()
    assert [title.id for title in last.nodes] == [film_id(2)]
    assert bounds(last) == (False, False)


async def test_a_full_list_of_deleted_titles_has_nothing_anywhere(ada: Context) -> None:
    # given a film with many deleted ones before and after it
    async def add(number: int, name: str) -> None:
        at = BEGUN + timedelta(seconds=number)
        await models.add_to_watchlist(ada.viewer_id or "", name, at, watchlist.MAX_TITLES)

    for number in range(60):
        await add(number, film_id(1) if number == 30 else f"movie_gone{number}")
    page = await watchlist.watchlist(ada, 1)
    assert [title.id for title in page.nodes] == [film_id(1)]
    assert bounds(page) == (False, False)
    behind = await watchlist.watchlist(viewer_of(ada.runtime), 1, page.end_cursor)
    assert (behind.nodes, bounds(behind)) == ([], (True, False))


async def test_a_history_tells_what_lies_before_within_its_bounds(ada: Context) -> None:
    user = ada.viewer_id or ""
    viewings = [
        models.ViewingRecord(
            id=f"viewing_{number}",
            user_id=user,
            playable_id=film_id(number),
            started_at=BEGUN + timedelta(minutes=number),
            last_seen_at=BEGUN + timedelta(minutes=number),
            stamp_ms=1,
        )
        for number in range(1, 6)
    ]
    await models.write_viewings(viewings, timedelta(days=3650))
    first = await history.history(ada, 2)
    assert bounds(first) == (False, True)
    assert bounds(await history.history(ada, 2, first.end_cursor)) == (True, True)
    # with an end before the cursor, nothing of the list lies there
    until = viewings[2].started_at + timedelta(seconds=1)
    assert bounds(await history.history(ada, 2, first.end_cursor, until=until)) == (False, True)
    since = viewings[1].started_at
    assert bounds(await history.history(ada, 2, first.end_cursor, since=since)) == (True, False)
    # and after a deletion neither
    for number in (4, 5):
        await history.delete_history(ada, viewing_id=f"viewing_{number}")
    assert bounds(await history.history(ada, 2, first.end_cursor)) == (False, True)


async def test_what_to_continue_tells_what_lies_before_a_page(ada: Context) -> None:
    async def page(after: str | None = None, **more: bool) -> Page[models.LiveProgress]:
        return await continue_watching(viewer_of(ada.runtime), 2, after, **more)

    # given four films begun, the last one watched first: 1 2, 3 4
    for number in range(1, 5):
        await build_offline_report(ada, film_id(number), 60, ago=10 * number)
    first = await page()
    assert bounds(await page(first.end_cursor)) == (True, False)
    # when one of the first page is dismissed and the other deleted
    await marks.dismiss(ada, film_id(2))
    assert bounds(await page(first.end_cursor)) == (True, False)
    await delete_films(ada.runtime, 1)
    assert bounds(await page(first.end_cursor)) == (False, False)


async def test_a_show_seen_to_its_end_lies_nowhere(ada: Context) -> None:
    await build_offline_report(ada, "episode_1.1.1", 1790, ago=10)
    await build_offline_report(ada, film_id(1), 60, ago=20)
    await build_offline_report(ada, film_id(2), 60, ago=30)
    page = await continue_watching(viewer_of(ada.runtime), 1)
    assert [one.playable_id for one in page.nodes] == [film_id(1)]
    # when the film before the second page is watched to its end as well
    await build_offline_report(ada, film_id(1), 5999, ago=15)
    second = await continue_watching(viewer_of(ada.runtime), 1, page.end_cursor)
    assert [one.playable_id for one in second.nodes] == [film_id(2)]
    assert bounds(second) == (False, False)
