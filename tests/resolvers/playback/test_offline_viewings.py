"""What was watched without a connection is in the history, whatever order it arrives in."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.playback import history
from resolvers.playback.offline_batch import OfflineReport, report_progress_batch
from tests.support.playback_fixtures import viewer_of
from tests.support.titles import film, film_id, store
from workers.flush_progress import flush_progress

NOW = 1_800_000_000.0
AT = datetime.fromtimestamp(NOW, UTC)
FILM = film_id(1)
LENGTH = 6000


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    await store([film(number, runtime_seconds=LENGTH) for number in range(1, 30)])
    return viewer_of(replace(runtime, clock=lambda: NOW))


def event(minutes_ago: float, position_seconds: float, **fields: Any) -> OfflineReport:
    values: dict[str, Any] = {
        "playable_id": FILM,
        "device_key": "phone-1",
        "event_id": f"event-{minutes_ago}",
        "duration_seconds": None,
        **fields,
    }
    at = AT - timedelta(minutes=minutes_ago)
    return OfflineReport(position_seconds=position_seconds, occurred_at=at, **values)


async def send(context: Context, *events: OfflineReport) -> None:
    await report_progress_batch(Context(context.runtime, context.viewer), events, AT)


async def viewings(context: Context) -> list[models.ViewingRecord]:
    """The history, the earliest first, once it is flushed."""
    await flush_progress(context.runtime, "worker-1")
    page = await history.history(Context(context.runtime, context.viewer))
    return list(reversed(page.nodes))


async def test_offline_events_become_a_viewing(ada: Context) -> None:
    # given an evening in a train: a film to its end, told in any order
    await send(ada, event(100, 600), event(0, 6000), event(50, 3000))
    (one,) = await viewings(ada)
    # then it is in the history, begun as long ago as the way to the first place takes
    assert (one.playable_id, one.completed, one.watched_seconds) == (FILM, True, 6000)
    assert (one.started_at, one.last_seen_at) == (AT - timedelta(minutes=110), AT)
    assert one.ended_at == AT
    assert one.device == models.DeviceRecord(key="phone-1", kind=models.DeviceKind.OTHER)
    # and is a view of the film
    stored = await models.Movie.get_pymongo_collection().find_one({"_id": FILM})
    assert stored is not None and stored["views"] == 1


async def test_a_batch_that_is_sent_again_is_no_second_viewing(ada: Context) -> None:
    await send(ada, event(30, 600), event(20, 1200))
    await send(ada, event(30, 600), event(20, 1200))
    # when it comes once more with an event that is new
    before = await viewings(ada)
    await send(ada, event(30, 600), event(20, 1200), event(10, 1800))
    # then the viewing goes on
    (after,) = await viewings(ada)
    assert [one.id for one in before] == [after.id]
    assert after.last_seen_at == AT - timedelta(minutes=10)


async def test_it_goes_on_where_the_film_was_left(ada: Context) -> None:
    await send(ada, event(600, 3000))
    await viewings(ada)
    # when the rest is watched hours later
    await send(ada, event(10, 4200))
    _, second = await viewings(ada)
    assert (second.watched_seconds, second.completed) == (1200, False)
    assert second.started_at == AT - timedelta(minutes=30)


async def test_pauses_devices_and_titles_are_viewings_of_their_own(ada: Context) -> None:
    await send(
        ada,
        event(300, 600),
        event(100, 1200),  # more than an hour of silence
        event(90, 600, device_key="tablet", event_id="tablet"),
        event(80, 600, playable_id=film_id(2), event_id="other"),
        event(20, 5000),  # it was watched all the time
    )
    found = [(one.playable_id, one.device and one.device.key) for one in await viewings(ada)]
    assert sorted(found) == [
        (FILM, "phone-1"),
        (FILM, "phone-1"),
        (FILM, "tablet"),
        (film_id(2), "phone-1"),
    ]


async def test_no_more_is_watched_than_the_clock_allows(ada: Context) -> None:
    # given a place ten minutes on, and a jump of an hour within a minute
    await send(ada, event(2, 600), event(1, 4200))
    (one,) = await viewings(ada)
    assert one.watched_seconds == 600 + 2 * 60 + 5


async def test_a_glance_is_no_viewing(ada: Context) -> None:
    await send(ada, event(5, 3))
    assert await viewings(ada) == []


async def test_the_order_in_which_events_arrive_changes_nothing(ada: Context) -> None:
    # given a film watched to its end and begun again: half, nearly all, all, the beginning
    watched = [(40, 3000.0), (20, 5700.0), (10, 6000.0), (5, 300.0)]
    outcomes = set()
    # when each event arrives by itself, in every order
    for number, order in enumerate(itertools.permutations(watched), start=2):
        for minutes_ago, position in order:
            name = f"{number}-{minutes_ago}"
            await send(
                ada, event(minutes_ago, position, playable_id=film_id(number), event_id=name)
            )
    progress = await report_progress_batch(
        ada, [event(5, 300.0, playable_id=film_id(n), event_id=f"{n}-5") for n in range(2, 26)], AT
    )
    for one in progress.progress:
        outcomes.add((one.position_seconds, one.completed, one.watch_count, one.furthest_seconds))
    # then all end alike
    assert outcomes == {(300.0, False, 1, 6000.0)}
