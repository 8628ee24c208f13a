from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import marks, progress
from services.errors import NotFound, Unauthenticated, UpstreamUnavailable, ValidationFailed
from services.redis.pool import Client
from tests.conftest import CountCommands
from tests.support.playback_fixtures import build_offline_report, viewer_of
from tests.support.runtimes import playback_on
from tests.support.titles import episode, film, film_id, season, show, show_id, store, whole_show
from workers.flush_progress import flush_progress

NOW = 1_800_000_000.25
AT = datetime.fromtimestamp(NOW, UTC)
SHOW = show_id(1)


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    """A film, and a show of two and one episodes, with a special and one that comes later."""
    await store(
        [
            film(1, runtime_seconds=6000),
            *whole_show(1, [2, 1]),
            season(1, 0),
            episode(1, 0, 1, runtime_seconds=600),
            episode(1, 2, 2, air_date="2099-01-01"),
            show(2),
            season(2, 1),
        ]
    )
    return viewer_of(replace(runtime, clock=lambda: NOW))


def place(season_number: int, number: int) -> str:
    return f"episode_1.{season_number}.{number}"


EPISODES = [place(0, 1), place(1, 1), place(1, 2), place(2, 1), place(2, 2)]


async def states(context: Context) -> dict[str, Any]:
    """What a fresh operation reads of everything that has progress."""
    reader = viewer_of(context.runtime)
    progress_by_id = await progress.progress_of(reader, [film_id(1), *EPISODES])
    return {id_: one for id_, one in progress_by_id.items() if one is not None}


async def test_a_film_marked_is_watched_to_its_end(ada: Context) -> None:
    applied = await marks.mark_watched(ada, film_id(1))
    assert applied.applied is True
    one = applied.progress
    assert one is not None
    assert (one.position_seconds, one.completed, one.watch_count) == (6000.0, True, 1)
    assert (one.furthest_seconds, one.percent, one.last_watched_at) == (6000.0, 100.0, AT)
    assert await states(ada) == {film_id(1): one}
    # and in the database, once it is there
    await flush_progress(ada.runtime, "worker-1")
    stored = await models.progress_by_playable(ada.viewer_id or "", [film_id(1)])
    assert stored[film_id(1)].completed is True


async def test_marking_again_changes_nothing(ada: Context) -> None:
    await marks.mark_watched(ada, SHOW)
    await marks.mark_watched(ada, film_id(1))
    before = await states(ada)
    for id_ in (SHOW, "season_1.1", place(1, 1), film_id(1)):
        again = await marks.mark_watched(viewer_of(ada.runtime), id_)
        assert again.applied is False
        assert again.progress is not None and again.progress.completed is True
    assert await states(ada) == before


@pytest.mark.parametrize(
    ("marked", "episodes"),
    [
        (place(1, 1), [place(1, 1)]),
        (place(2, 2), [place(2, 2)]),
        ("season_1.1", [place(1, 1), place(1, 2)]),
        ("season_1.2", [place(2, 1)]),
        ("season_1.0", [place(0, 1)]),
        (SHOW, [place(1, 1), place(1, 2), place(2, 1)]),
    ],
)
async def test_a_mark_is_of_all_that_was_shown(
    ada: Context, marked: str, episodes: list[str]
) -> None:
    applied = await marks.mark_watched(ada, marked)
    progress_by_id = await states(ada)
    assert list(progress_by_id) == episodes
    assert {one.completed for one in progress_by_id.values()} == {True}
    assert applied.progress == progress_by_id[episodes[-1]]


async def test_what_was_completed_before_keeps_its_date_when_a_show_is_marked(
    ada: Context,
) -> None:
    seen = await build_offline_report(ada, place(1, 1), 1790, ago=500)
    await marks.mark_watched(ada, SHOW)
    progress_by_id = await states(ada)
    assert progress_by_id[place(1, 1)] == seen
    assert progress_by_id[place(1, 2)].last_watched_at == AT


async def test_a_mark_may_tell_when_it_was_watched(ada: Context) -> None:
    at = AT - timedelta(days=30)
    applied = await marks.mark_watched(ada, film_id(1), at)
    assert applied.progress is not None and applied.progress.last_watched_at == at
    # a clock a little ahead is no reason to refuse, and now is the latest it can be
    ahead = await marks.mark_watched(ada, place(1, 1), AT + timedelta(minutes=4))
    assert ahead.progress is not None and ahead.progress.last_watched_at == AT
    with pytest.raises(ValidationFailed) as raised:
        await marks.mark_watched(ada, place(1, 2), AT + timedelta(minutes=6))
    assert raised.value.path == ["watchedAt"]
    assert place(1, 2) not in await states(ada)


@pytest.mark.parametrize("seconds", [-0.001, -1, -315_619_200, -62_135_596_800])
async def test_a_mark_from_before_1970_is_refused(ada: Context, seconds: float) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    with pytest.raises(ValidationFailed, match="before 1970") as raised:
        await marks.mark_watched(ada, film_id(1), at)
    assert raised.value.path == ["watchedAt"]
    assert film_id(1) not in await states(ada)


async def test_a_mark_may_be_as_old_as_1970(ada: Context) -> None:
    at = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    applied = await marks.mark_watched(ada, film_id(1), at)
    assert applied.progress is not None and applied.progress.last_watched_at == at


@pytest.mark.parametrize(
    "id_", [film_id(9), "episode_9.9.9", "season_9.9", show_id(9), show_id(2), "season_2.1",
            ids.derive("person", "x")],
)  # fmt: skip
async def test_what_there_is_nothing_to_watch_of_is_not_found(ada: Context, id_: str) -> None:
    with pytest.raises(NotFound) as raised:
        await marks.mark_watched(ada, id_)
    assert raised.value.path == ["id"]
    assert await states(ada) == {}


async def test_unwatched_forgets_the_position_and_keeps_the_count(ada: Context) -> None:
    await marks.mark_watched(ada, film_id(1))
    applied = await marks.mark_unwatched(ada, film_id(1))
    assert applied.applied is True
    one = applied.progress
    assert one is not None
    assert (one.position_seconds, one.completed, one.furthest_seconds) == (0.0, False, 0.0)
    assert one.watch_count == 1
    assert await states(ada) == {film_id(1): one}
    again = await marks.mark_unwatched(ada, film_id(1))
    assert (again.progress, again.applied) == (one, False)


async def test_unwatched_holds_for_seasons_and_shows(ada: Context) -> None:
    await marks.mark_watched(ada, SHOW)
    await marks.mark_unwatched(ada, "season_1.1")
    progress_by_id = await states(ada)
    assert [progress_by_id[one].completed for one in EPISODES[1:4]] == [False, False, True]
    applied = await marks.mark_unwatched(ada, SHOW)
    assert applied.applied is True
    assert {one.completed for one in (await states(ada)).values()} == {False}


async def test_unwatched_of_what_was_never_watched_changes_nothing(ada: Context) -> None:
    for id_ in (film_id(1), SHOW, "season_1.1"):
        applied = await marks.mark_unwatched(ada, id_)
        assert (applied.progress, applied.applied) == (None, False)
    for id_ in (film_id(9), show_id(9)):
        with pytest.raises(NotFound):
            await marks.mark_unwatched(ada, id_)
    assert await states(ada) == {}


async def test_dismissing_moves_no_position_and_may_be_repeated(ada: Context) -> None:
    before = await build_offline_report(ada, film_id(1), 600)
    first = await marks.dismiss(ada, film_id(1))
    again = await marks.dismiss(ada, film_id(1))
    assert (first.applied, again.applied) == (True, False)
    one = first.progress
    assert one is not None and again.progress == one
    assert one.dismissed_at_ms == int(NOW * 1000)
    assert (one.position_seconds, one.last_watched_at) == (600.0, before.last_watched_at)


async def test_dismissing_what_is_in_no_list_changes_nothing(ada: Context) -> None:
    applied = await marks.dismiss(ada, film_id(1))
    assert (applied.progress, applied.applied) == (None, False)
    for id_ in (film_id(9), SHOW, "season_1.1"):
        with pytest.raises(NotFound):
            await marks.dismiss(ada, id_)
    assert await states(ada) == {}


async def test_marks_are_the_viewers_own(ada: Context, context: Context) -> None:
    bob = viewer_of(ada.runtime, "bob")
    before = await build_offline_report(ada, film_id(1), 600)
    await marks.mark_watched(bob, film_id(1))
    await marks.mark_unwatched(bob, film_id(1))
    await marks.dismiss(bob, film_id(1))
    assert await states(ada) == {film_id(1): before}
    for call in (
        marks.mark_watched(context, film_id(1)),
        marks.mark_unwatched(context, film_id(1)),
        marks.dismiss(context, film_id(1)),
    ):
        with pytest.raises(Unauthenticated):
            await call
    assert await states(ada) == {film_id(1): before}


async def test_a_mark_counts_on_from_what_only_the_database_has(
    ada: Context, redis: Client
) -> None:
    # given a film seen three times, that Redis let go of
    stored = await build_offline_report(ada, film_id(1), 600)
    await flush_progress(ada.runtime, "worker-1")
    await redis.flushdb()
    # when it is marked
    applied = await marks.mark_watched(viewer_of(ada.runtime), film_id(1))
    # then its version follows, and the database takes it
    assert applied.progress is not None and applied.progress.version == stored.version + 1
    await flush_progress(ada.runtime, "worker-1")
    (row,) = (await models.progress_by_playable(ada.viewer_id or "", [film_id(1)])).values()
    assert (row.version, row.completed) == (stored.version + 1, True)


async def test_a_long_season_costs_as_much_as_a_short_one(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    await store(whole_show(1, [2, 400]))
    clocked = replace(runtime, clock=lambda: NOW)
    await marks.mark_watched(viewer_of(clocked, "bob"), SHOW)  # scripts, shared caches
    costs = []
    for name in ("season_1.1", "season_1.2"):
        await count_commands.reset()
        await marks.mark_watched(viewer_of(clocked), name)
        costs.append((count_commands.mongo, (await count_commands.redis_commands())["evalsha"]))
    assert costs[0] == costs[1]
    assert costs[0][0] == ["seasons.find", "viewing_progress.find"]


async def test_while_too_much_waits_a_mark_is_refused_and_nothing_changed(ada: Context) -> None:
    # given a shard that takes no entry more
    full = ada.runtime.settings.model_copy(update={"progress_shard_entries": 0})
    playback = playback_on(ada.runtime, full, ada.runtime.redis)
    runtime = replace(ada.runtime, playback=playback)
    # when titles are marked and dismissed
    for change in (marks.mark_watched, marks.dismiss):
        with pytest.raises(UpstreamUnavailable):
            await change(viewer_of(runtime), place(1, 1))
    # then nothing is half done
    assert await states(ada) == {}
