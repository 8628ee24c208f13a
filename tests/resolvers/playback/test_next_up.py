from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.playback import marks
from resolvers.playback.next_up import next_up_of_shows
from services.playback.buffer import UNFLUSHED_TITLES
from tests.conftest import CountCommands
from tests.support.playback_fixtures import build_offline_report, viewer_of
from tests.support.titles import episode, season, show, show_id, store, whole_show
from workers.flush_progress import flush_progress

NOW = 1_800_000_000.25
SHOW = show_id(1)


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    """A show of three and two episodes, with a special."""
    await store([*whole_show(1, [3, 2]), season(1, 0), episode(1, 0, 1, runtime_seconds=1800)])
    return viewer_of(replace(runtime, clock=lambda: NOW))


def place(season_number: int, number: int, of: int = 1) -> str:
    return f"episode_{of}.{season_number}.{number}"


async def complete(context: Context, episodes: Iterable[str], ago: float = 100) -> None:
    """Watched to their end, one after the other."""
    for later, one in enumerate(episodes):
        await build_offline_report(context, one, 1790, ago=ago - later)


async def next_up(context: Context, **arguments: Any) -> str | None:
    episodes = await next_up_of_shows(viewer_of(context.runtime), [SHOW], **arguments)
    one = episodes[SHOW]
    return one.id if one is not None else None


async def test_a_show_never_watched_has_nothing_next(ada: Context) -> None:
    assert await next_up(ada) is None
    assert await next_up(ada, rewatch=True) is None


async def test_the_first_episode_begun_is_next_while_none_is_completed(ada: Context) -> None:
    await build_offline_report(ada, place(1, 3), 60, ago=20)
    await build_offline_report(ada, place(1, 2), 60, ago=10)
    assert await next_up(ada) == place(1, 2)
    assert await next_up(ada, rewatch=True) == place(1, 2)


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        ([(1, 1)], (1, 2)),
        ([(1, 1), (1, 2), (1, 3)], (2, 1)),
        ([(1, 2), (1, 1)], (1, 3)),
        ([(2, 1)], (2, 2)),
        ([(2, 2)], None),
        ([(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)], None),
        ([(0, 1)], None),
        ([(1, 1), (0, 1)], (1, 2)),
    ],
)
async def test_next_is_the_episode_after_the_last_one_completed(
    ada: Context, watched: list[tuple[int, int]], expected: tuple[int, int] | None
) -> None:
    await complete(ada, [place(*one) for one in watched])
    next_place = place(*expected) if expected else None
    # the same before and after it reached the database
    for _ in range(2):
        assert await next_up(ada) == next_place
        await flush_progress(ada.runtime, "worker-1")


async def test_an_episode_under_way_after_the_last_completed_one_is_next(ada: Context) -> None:
    await complete(ada, [place(1, 1)])
    await build_offline_report(ada, place(1, 2), 600, ago=1)
    assert await next_up(ada) == place(1, 2)


async def test_rewatching_goes_on_after_what_was_watched_last(ada: Context) -> None:
    # given a show seen to its end, and begun again
    everything = [place(1, 1), place(1, 2), place(1, 3), place(2, 1), place(2, 2)]
    await complete(ada, everything)
    assert await next_up(ada, rewatch=True) == place(1, 1)
    await complete(ada, [place(1, 1)], ago=50)
    # then it goes on in this round, while there is nothing new
    assert await next_up(ada, rewatch=True) == place(1, 2)
    assert await next_up(ada) is None
    # and an episode under way is the one
    await build_offline_report(ada, place(1, 2), 60, ago=10)
    assert await next_up(ada, rewatch=True) == place(1, 2)


async def test_rewatching_a_show_marked_as_watched_begins_with_its_first(ada: Context) -> None:
    await marks.mark_watched(ada, SHOW)
    assert await next_up(ada) is None
    assert await next_up(ada, rewatch=True) == place(1, 1)


async def test_what_is_not_shown_yet_is_not_next(runtime: Runtime) -> None:
    # given a show whose second episode comes tomorrow
    await store(
        [
            show(1),
            season(1, 1),
            episode(1, 1, 1, air_date="2027-01-14", runtime_seconds=1800),
            episode(1, 1, 2, air_date="2027-01-16", runtime_seconds=1800),
        ]
    )
    ada = viewer_of(replace(runtime, clock=lambda: NOW))  # 2027-01-15
    await complete(ada, [place(1, 1)])
    # then it is next from tomorrow on
    assert await next_up(ada) is None
    assert await next_up(viewer_of(replace(runtime, clock=lambda: NOW + 86_400))) == place(1, 2)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2027-01-01", None, None], None),
        (["2027-01-01", None, "2027-01-08"], (1, 2)),
        ([None, None, "2027-01-08"], (1, 2)),
        (["2027-01-01", None, "2027-02-01"], None),
        ([None, None, "2027-02-01"], (1, 2)),
        ([None, None, None], (1, 2)),
    ],
)
async def test_an_episode_without_a_date_is_next_only_if_it_was_shown(
    runtime: Runtime, dates: list[str | None], expected: tuple[int, int] | None
) -> None:
    # given a show of which the first episode is watched, at 2027-01-15
    episodes = [
        episode(1, 1, number, air_date=date, runtime_seconds=1800)
        for number, date in enumerate(dates, 1)
    ]
    await store([show(1), season(1, 1), *episodes])
    ada = viewer_of(replace(runtime, clock=lambda: NOW))
    await complete(ada, [place(1, 1)])
    # then
    assert await next_up(ada) == (place(*expected) if expected else None)


async def test_unwatched_and_dismissed_episodes_do_not_count(ada: Context) -> None:
    await complete(ada, [place(1, 1), place(1, 2)])
    await marks.mark_unwatched(ada, place(1, 2))
    await marks.dismiss(ada, place(2, 1))
    assert await next_up(ada) == place(1, 2)


async def test_others_and_anonymous_clients_get_nothing(
    ada: Context, context: Context, count_commands: CountCommands
) -> None:
    await complete(ada, [place(1, 1)])
    bob = viewer_of(ada.runtime, "bob")
    assert await next_up_of_shows(bob, [SHOW]) == {SHOW: None}
    await count_commands.reset()
    assert await next_up_of_shows(context, [SHOW]) == {SHOW: None}
    assert count_commands.mongo == []


async def test_many_shows_cost_the_same_as_one(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    # given twelve shows, each with its first episode completed
    await store(part for number in range(1, 13) for part in whole_show(number, [3, 2]))
    ada = viewer_of(replace(runtime, clock=lambda: NOW))
    await complete(ada, [place(1, 1, of=number) for number in range(1, 13)])
    costs = []
    for size in (1, 12):
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        await complete(ada, [place(1, 1, of=number) for number in range(1, 13)])
        await count_commands.reset()
        # when so many are asked for, with cold caches
        shows = [show_id(number) for number in range(1, size + 1)]
        episodes = await next_up_of_shows(viewer_of(ada.runtime), shows)
        costs.append(count_commands.mongo)
        # then each has its second
        assert [one and one.id for one in episodes.values()] == [
            place(1, 2, of=number) for number in range(1, size + 1)
        ]
    assert costs == [["episodes.find", "viewing_progress.find", "episodes.find"]] * 2


async def test_a_long_show_marked_a_moment_ago_is_seen_whole(runtime: Runtime) -> None:
    # given more episodes on their way to the database than one look at Redis shows
    long = whole_show(1, [UNFLUSHED_TITLES + 50])
    await store(long)
    ada = viewer_of(replace(runtime, clock=lambda: NOW))
    await marks.mark_watched(ada, SHOW)
    # then none of them is next
    assert await next_up(ada) is None
    await marks.mark_unwatched(ada, place(1, UNFLUSHED_TITLES + 50))
    assert await next_up(ada) == place(1, UNFLUSHED_TITLES + 50)
    assert await models.ViewingProgress.count() == 0
