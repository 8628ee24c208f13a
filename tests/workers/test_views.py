"""Views: each viewing counts once, when enough was watched."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.playback.reports import report_progress
from services.playback.stream import Delivery
from tests.support.playback_fixtures import start_new_session, viewer_of
from tests.support.titles import episode, film, film_id, season, show, show_id, store
from workers.flush_progress import flush_progress, write_batch

NOW = 1_800_000_000.0
FILM, CLIP, EPISODE = film_id(1), film_id(2), "episode_1.1.1"


@pytest.fixture
async def here(runtime: Runtime) -> Runtime:
    """A film of 100 minutes, a clip of 10 and an episode, at a time that stands."""
    await store(
        [
            film(1, runtime_seconds=6000),
            film(2, runtime_seconds=600),
            show(1),
            season(1, 1),
            episode(1, 1, 1, runtime_seconds=1800),
        ]
    )
    return replace(runtime, clock=lambda: NOW)


async def watch(runtime: Runtime, title: str, seconds: float, name: str = "ada") -> None:
    """One viewing of so many seconds, reported twice a minute."""
    context = viewer_of(runtime, name)
    session = await start_new_session(context, title)
    sequence, position = 0, 0.0
    while position < seconds:
        position = min(position + 30, seconds)
        later = Context(replace(runtime, clock=lambda at=position: NOW + at), viewer=context.viewer)  # type: ignore[misc]
        await report_progress(later, session, sequence, position)
        sequence += 1


async def views(title: str) -> tuple[int, float]:
    document: Any = models.Show if title.startswith("show") else models.Movie
    row = await document.get_pymongo_collection().find_one({"_id": title})
    return row["views"], row.get("trend", 0.0)


@pytest.mark.parametrize(
    ("title", "seconds", "counted"),
    [
        (FILM, 30, 0),
        (FILM, 59, 0),
        (FILM, 60, 1),
        (FILM, 300, 1),
        (CLIP, 29, 0),
        (CLIP, 30, 1),
    ],
)
async def test_a_viewing_counts_after_a_minute_or_a_twentieth(
    here: Runtime, title: str, seconds: float, counted: int
) -> None:
    await watch(here, title, seconds)
    await flush_progress(here, "worker-1")
    assert (await views(title))[0] == counted


async def test_each_viewing_counts_once_however_often_it_is_reported(here: Runtime) -> None:
    # given a long viewing that is flushed on the way
    await watch(here, FILM, 90)
    await flush_progress(here, "worker-1")
    once = await views(FILM)
    # when the same viewer goes on in another session, and another viewer watches
    await watch(here, FILM, 200)
    await watch(here, FILM, 200, "bob")
    await flush_progress(here, "worker-1")
    # then each of the three counts
    assert once[0] == 1
    assert (await views(FILM))[0] == 3


async def test_entries_flushed_twice_late_or_out_of_order_count_once(here: Runtime) -> None:
    # given the entries of two viewings
    await watch(here, FILM, 120)
    await watch(here, FILM, 120, "bob")
    deliveries = await here.playback.stream.read("worker-1")
    assert len(deliveries) > 4
    # when they are written one by one backwards, then all, then by two workers at once
    for one in reversed(deliveries):
        await write_batch(here, [one])
    await write_batch(here, deliveries)
    await asyncio.gather(*(write_batch(here, list(deliveries)) for _ in range(4)))
    # then
    assert (await views(FILM))[0] == 2


async def test_many_workers_at_once_lose_and_double_no_view(here: Runtime) -> None:
    # given twelve viewers of one film
    for number in range(12):
        await watch(here, FILM, 60, f"viewer{number}")
    deliveries = await here.playback.stream.read("worker-1")
    # when six workers write overlapping parts of it
    parts: list[list[Delivery]] = [deliveries[at::3] for at in (0, 1, 2)] * 2
    await asyncio.gather(*(write_batch(here, part) for part in parts))
    # then
    assert (await views(FILM))[0] == 12


async def test_a_deleted_viewing_stays_counted_and_counts_no_more(here: Runtime) -> None:
    await watch(here, FILM, 90)
    deliveries = await here.playback.stream.read("worker-1")
    await write_batch(here, deliveries)
    ada = viewer_of(here).require(models.Role.USER).user_id
    await models.delete_viewings(ada, datetime.fromtimestamp(NOW + 100, UTC))
    await write_batch(here, deliveries)
    assert (await views(FILM))[0] == 1


async def test_a_view_of_an_episode_is_one_of_its_show(here: Runtime) -> None:
    await watch(here, EPISODE, 90)
    await flush_progress(here, "worker-1")
    assert (await views(show_id(1)))[0] == 1


async def test_counting_leaves_the_version_that_editors_expect(here: Runtime) -> None:
    before = await models.movie_to_edit(FILM, None)
    await watch(here, FILM, 90)
    await flush_progress(here, "worker-1")
    after = await models.movie_to_edit(FILM, None)
    assert before is not None and after is not None
    assert (after.version, after.views) == (before.version, 1)


async def test_a_trend_halves_in_a_week(here: Runtime) -> None:
    # given a view of one film now, and of another a week later
    await watch(here, FILM, 90)
    await watch(replace(here, clock=lambda: NOW), CLIP, 90)
    await flush_progress(here, "worker-1")
    now, same = (await views(FILM))[1], (await views(CLIP))[1]
    assert now == pytest.approx(same)
    later = models.ViewingRecord(
        id="viewing_later", playable_id=CLIP, user_id="user_1", completed=True, stamp_ms=1,
        started_at=datetime.fromtimestamp(NOW + 7 * 86_400, UTC), last_seen_at=datetime.now(UTC),
    )  # fmt: skip
    await models.write_viewings([later], timedelta(days=3650))
    await models.count_views([later])
    # then it weighs twice as much
    assert (await views(CLIP))[1] - same == pytest.approx(2 * now)
