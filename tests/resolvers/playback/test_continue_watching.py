from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.playback import marks
from resolvers.playback.continue_watching import continue_watching
from services.errors import InvalidCursor, Unauthenticated, ValidationFailed
from tests.conftest import CountCommands
from tests.support.playback_fixtures import build_offline_report, viewer_of
from tests.support.titles import film, film_id, show_id, store, whole_show
from workers.flush_progress import flush_progress

NOW = 1_800_000_000.25


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    """Nine films and two shows, of three and two episodes and of one."""
    films = [film(number, runtime_seconds=6000) for number in range(1, 10)]
    await store([*films, *whole_show(1, [3, 2]), *whole_show(2, [1])])
    return viewer_of(replace(runtime, clock=lambda: NOW))


def place(season_number: int, number: int, of: int = 1) -> str:
    return f"episode_{of}.{season_number}.{number}"


async def listed(context: Context, **arguments: Any) -> list[str]:
    """As a fresh operation reads it, and again when everything has reached the database."""
    runtime = context.runtime
    page = await continue_watching(Context(runtime, context.viewer), **arguments)
    await flush_progress(runtime, "worker-1")
    again = await continue_watching(Context(runtime, context.viewer), **arguments)
    assert [one.playable_id for one in again.nodes] == [one.playable_id for one in page.nodes]
    return [one.playable_id for one in page.nodes]


async def test_it_sees_what_changed_a_moment_ago(ada: Context) -> None:
    # given one film in the database, one moved since it came there, one on its way
    await build_offline_report(ada, film_id(1), 60, ago=90)
    await build_offline_report(ada, film_id(2), 60, ago=80)
    await flush_progress(ada.runtime, "worker-1")
    await build_offline_report(ada, film_id(2), 61, ago=20)
    await build_offline_report(ada, film_id(3), 62, ago=10)
    # when the list is read
    page = await continue_watching(viewer_of(ada.runtime))
    # then all are there, last watched first, each as it is now
    assert [(one.playable_id, one.position_seconds, one.durable) for one in page.nodes] == [
        (film_id(3), 62.0, False),
        (film_id(2), 61.0, False),
        (film_id(1), 60.0, True),
    ]
    assert (page.has_next_page, page.has_previous_page) == (False, False)


async def test_finished_and_unbegun_films_are_not_to_be_continued(ada: Context) -> None:
    # given a film finished, one opened at zero, and one finished since it came to the database
    await build_offline_report(ada, film_id(1), 5999, ago=50)
    await build_offline_report(ada, film_id(2), 0, ago=40)
    await build_offline_report(ada, film_id(3), 60, ago=30)
    assert await listed(ada) == [film_id(3)]
    await build_offline_report(ada, film_id(3), 5999, ago=20)
    assert await listed(ada) == []


async def test_a_show_has_one_place_that_of_its_newest_episode(ada: Context) -> None:
    # given two episodes of a show begun, and a film between them
    await build_offline_report(ada, place(1, 3), 60, ago=90)
    await build_offline_report(ada, film_id(1), 60, ago=80)
    await build_offline_report(ada, place(1, 2), 60, ago=70)
    # then the newer episode stands for the show
    assert await listed(ada) == [place(1, 2), film_id(1)]


async def test_a_completed_episode_is_followed_by_the_next(ada: Context) -> None:
    # given a show with an episode completed, then a film begun
    watched = await build_offline_report(ada, place(1, 3), 1790, ago=90)
    await build_offline_report(ada, film_id(1), 60, ago=80)
    # when the list is read
    page = await continue_watching(viewer_of(ada.runtime))
    # then the next episode is in the place of the completed one, with nothing stored of it
    assert [one.playable_id for one in page.nodes] == [film_id(1), place(2, 1)]
    coming = page.nodes[1]
    assert (coming.version, coming.position_seconds, coming.durable) == (0, 0.0, False)
    assert (coming.duration_seconds, coming.completed) == (1800.0, False)
    assert coming.last_watched_at == watched.last_watched_at
    assert coming.user_id == ada.viewer_id
    # and it is left out on request
    assert await listed(ada, include_next_up=False) == [film_id(1)]


async def test_the_next_episode_may_be_under_way(ada: Context) -> None:
    # given an episode begun, and then the one before it completed
    await build_offline_report(ada, place(1, 2), 600, ago=90)
    await build_offline_report(ada, place(1, 1), 1790, ago=80)
    page = await continue_watching(viewer_of(ada.runtime))
    assert [(one.playable_id, one.position_seconds) for one in page.nodes] == [(place(1, 2), 600)]


async def test_a_show_seen_to_its_end_has_no_place(ada: Context) -> None:
    await build_offline_report(ada, place(1, 1, of=2), 1790, ago=50)
    assert await listed(ada) == []
    # unless an episode of it is watched again
    await build_offline_report(ada, place(1, 1, of=2), 60, ago=40)
    assert await listed(ada) == [place(1, 1, of=2)]


async def test_what_is_dismissed_stays_away_until_it_is_watched_again(ada: Context) -> None:
    # given a film and two episodes begun
    await build_offline_report(ada, film_id(1), 60, ago=90)
    await build_offline_report(ada, place(1, 1), 60, ago=80)
    await build_offline_report(ada, place(1, 2), 60, ago=70)
    # when the film and the newer episode are dismissed
    before = await build_offline_report(ada, film_id(2), 60, ago=60)
    for title in (film_id(1), place(1, 2)):
        dismissed = await marks.dismiss(ada, title)
        assert dismissed.applied and dismissed.progress is not None
        assert dismissed.progress.position_seconds == 60.0
    # then they are away, the older episode does not come in its place, and the rest stays
    assert await listed(ada) == [before.playable_id]
    # and they come back when they are watched
    later = viewer_of(replace(ada.runtime, clock=lambda: NOW + 9))
    await build_offline_report(later, film_id(1), 90, ago=5)
    await build_offline_report(later, place(1, 2), 90)
    assert await listed(later) == [place(1, 2), film_id(1), film_id(2)]


async def test_a_next_episode_can_be_dismissed(ada: Context) -> None:
    await build_offline_report(ada, place(1, 1), 1790, ago=90)
    assert await listed(ada) == [place(1, 2)]
    dismissed = await marks.dismiss(ada, place(1, 2))
    assert dismissed.applied is True
    assert await listed(ada) == []
    # until it, or another of the show, is watched
    later = viewer_of(replace(ada.runtime, clock=lambda: NOW + 9))
    await build_offline_report(later, place(1, 2), 30)
    assert await listed(later) == [place(1, 2)]


async def test_what_is_marked_unwatched_is_not_continued(ada: Context) -> None:
    await build_offline_report(ada, film_id(1), 60, ago=50)
    await build_offline_report(ada, place(1, 1), 1790, ago=40)
    await build_offline_report(ada, place(1, 2), 60, ago=30)
    await marks.mark_unwatched(ada, film_id(1))
    await marks.mark_unwatched(ada, place(1, 2))
    # then the film is gone, and the show stands where its episode watched before is
    assert await listed(ada) == [place(1, 2)]
    page = await continue_watching(viewer_of(ada.runtime))
    assert page.nodes[0].position_seconds == 0.0


async def test_pages_follow_each_other_though_titles_move_meanwhile(ada: Context) -> None:
    # given seven films watched in turn and a show whose next episode stands between them
    for number in range(1, 8):
        await build_offline_report(ada, film_id(number), 60, ago=100 - 10 * number)
        if number == 3:
            await flush_progress(ada.runtime, "worker-1")
    await build_offline_report(ada, place(1, 1), 1790, ago=55)
    await build_offline_report(ada, place(1, 3), 60, ago=95)
    whole = await listed(ada)
    assert whole == [
        *(film_id(number) for number in (7, 6, 5)), place(1, 2),
        *(film_id(number) for number in (4, 3, 2, 1)),
    ]  # fmt: skip
    # when pages are read, and a film of the last one is watched again in between
    first = await continue_watching(ada, 3)
    later = viewer_of(replace(ada.runtime, clock=lambda: NOW + 60))
    await build_offline_report(later, film_id(1), 90)
    second = await continue_watching(later, 3, first.end_cursor)
    third = await continue_watching(later, 3, second.end_cursor)
    # then nothing comes twice, and nothing but the moved one is missing
    pages = [[one.playable_id for one in page.nodes] for page in (first, second, third)]
    assert pages == [whole[:3], whole[3:6], [whole[6]]]
    assert [page.has_next_page for page in (first, second, third)] == [True, True, False]
    assert [page.has_previous_page for page in (first, second, third)] == [False, True, True]


async def test_titles_of_the_same_moment_are_paged_without_loss(ada: Context) -> None:
    for number in range(1, 8):
        await build_offline_report(ada, film_id(number), 60, ago=50)
    ids, after = [], None
    for _ in range(4):
        page = await continue_watching(ada, 2, after)
        ids += [one.playable_id for one in page.nodes]
        after = page.end_cursor
    assert sorted(ids) == [film_id(number) for number in range(1, 8)]
    assert page.has_next_page is False


async def test_it_reaches_behind_a_long_show_marked_at_once(ada: Context) -> None:
    # given a film begun, and then a show of many episodes marked
    await store(whole_show(3, [450]))
    await build_offline_report(ada, film_id(1), 60, ago=50)
    await marks.mark_watched(ada, show_id(3))
    # then the film is still there, before and after the marks reached the database
    assert await listed(ada) == [film_id(1)]


async def test_it_is_the_viewers_own(ada: Context, context: Context) -> None:
    await build_offline_report(ada, film_id(1), 60)
    page = await continue_watching(ada, 1)
    bob = viewer_of(ada.runtime, "bob")
    assert (await continue_watching(bob)).nodes == []
    assert (await continue_watching(bob, after=page.end_cursor)).nodes == []
    with pytest.raises(Unauthenticated):
        await continue_watching(context)


async def test_a_film_that_left_the_catalogue_is_still_listed(ada: Context) -> None:
    await build_offline_report(ada, film_id(1), 60)
    await models.Movie.get_pymongo_collection().delete_one({"_id": film_id(1)})
    assert await listed(ada) == [film_id(1)]


@pytest.mark.parametrize("first", [0, -1, 101])
async def test_a_page_has_a_size(ada: Context, first: int) -> None:
    with pytest.raises(ValidationFailed):
        await continue_watching(ada, first)


@pytest.mark.parametrize("after", ["", "x", "AAAAAAAAAAAAAAAAAAAA"])
async def test_a_forged_cursor_is_refused(ada: Context, after: str) -> None:
    with pytest.raises(InvalidCursor):
        await continue_watching(ada, 5, after)


async def test_any_number_of_titles_costs_the_same(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    # given thirty shows with an episode completed each
    await store(part for number in range(1, 31) for part in whole_show(number, [2]))
    ada = viewer_of(replace(runtime, clock=lambda: NOW))
    for number in range(1, 31):
        await build_offline_report(ada, place(1, 1, of=number), 1790, ago=100 - number)
    await flush_progress(runtime, "worker-1")
    costs = []
    for size in (1, 10, 30):
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        await count_commands.reset()
        page = await continue_watching(viewer_of(ada.runtime), size)
        assert [one.playable_id for one in page.nodes] == [
            place(1, 2, of=number) for number in range(30, 30 - size, -1)
        ]
        costs.append(count_commands.mongo)
    # then each page takes a find for what was watched, the episodes' shows, orders and progress,
    # and one for the shows that are there
    episodes = ["viewing_progress.find", "episodes.find", "episodes.find", "viewing_progress.find"]
    assert costs == [[*episodes, "shows.find"]] * 3


async def test_what_was_deleted_since_is_left_out_and_pages_stay_full(ada: Context) -> None:
    # given films and episodes begun
    for ago, title in enumerate([film_id(1), place(1, 1), film_id(2), place(1, 1, of=2)], 1):
        await build_offline_report(ada, title, 60, ago=ago)
    # when a film and a show are deleted, and an episode is gone
    await models.edit_movie(film_id(1), {"is_active": False}, None)
    shows = models.Show.get_pymongo_collection()
    await shows.update_one({"_id": show_id(2)}, {"$set": {"is_active": False}})
    await models.delete_documents(models.Episode, [place(1, 1)])
    await flush_progress(ada.runtime, "worker-1")
    await ada.runtime.redis.flushdb()
    ada.runtime.cache.clear_memory()
    # then
    page = await continue_watching(viewer_of(ada.runtime), first=1)
    assert [one.playable_id for one in page.nodes] == [film_id(2)]
    assert page.has_next_page is False
