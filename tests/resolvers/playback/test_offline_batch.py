from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import progress
from resolvers.playback.offline_batch import (
    MAX_EVENTS,
    BatchResult,
    OfflineReport,
    report_progress_batch,
)
from services.errors import NotFound, Unauthenticated, UpstreamUnavailable, ValidationFailed
from services.redis.pool import Client
from tests.conftest import CountCommands
from tests.support.playback_fixtures import viewer_of
from tests.support.runtimes import playback_on
from tests.support.titles import film, film_id, store, whole_show
from workers.flush_progress import flush_progress

NOW = 1_800_000_000.25
AT = datetime.fromtimestamp(NOW, UTC)
FILM, OTHER = film_id(1), film_id(2)


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    films = [film(number, runtime_seconds=6000) for number in range(1, 4)]
    await store([*films, *whole_show(1, [1])])
    return viewer_of(replace(runtime, clock=lambda: NOW))


def event(event_id: str = "event-1", **fields: Any) -> OfflineReport:
    values: dict[str, Any] = {
        "playable_id": FILM,
        "device_key": "phone-1",
        "position_seconds": 600.0,
        "duration_seconds": None,
        "occurred_at": AT - timedelta(minutes=10),
        **fields,
    }
    return OfflineReport(event_id=event_id, **values)


async def send(context: Context, *events: OfflineReport, sent_at: datetime = AT) -> BatchResult:
    return await report_progress_batch(Context(context.runtime, context.viewer), events, sent_at)


async def state(context: Context, title: str = FILM) -> models.LiveProgress | None:
    reader = viewer_of(context.runtime)
    return (await progress.progress_of(reader, [title]))[title]


async def test_what_was_watched_offline_is_reported_later(ada: Context) -> None:
    batch = await send(ada, event())
    assert (batch.applied, batch.ignored) == (1, 0)
    (one,) = batch.progress
    assert (one.playable_id, one.position_seconds, one.duration_seconds) == (FILM, 600.0, 6000.0)
    assert (one.percent, one.completed, one.durable) == (10.0, False, False)
    assert one.last_watched_at == AT - timedelta(minutes=10)
    assert one.last_device == models.DeviceRecord(key="phone-1", kind=models.DeviceKind.OTHER)
    assert await state(ada) == one


async def test_each_event_counts_once(ada: Context) -> None:
    # given a batch whose answer was lost
    events = [event("one"), event("two", playable_id=OTHER, position_seconds=5900.0)]
    first = await send(ada, *events)
    # when it is sent again, and once more with a repeat inside
    again = await send(ada, *events)
    third = await send(ada, event("three"), event("three"))
    # then nothing is counted twice
    assert (first.applied, first.ignored) == (2, 0)
    assert (again.applied, again.ignored) == (0, 2)
    assert again.progress == first.progress
    assert third.applied + third.ignored == 2
    assert third.ignored >= 1
    watched = await state(ada, OTHER)
    assert watched is not None and (watched.watch_count, watched.version) == (1, 1)


async def test_of_many_events_the_latest_position_counts_in_any_order(ada: Context) -> None:
    places = [(30, 100.0), (10, 300.0), (20, 900.0)]  # minutes ago, position
    batch = await send(
        ada,
        *(
            event(f"event-{ago}", position_seconds=at, occurred_at=AT - timedelta(minutes=ago))
            for ago, at in places
        ),
    )
    assert (batch.applied, batch.ignored) == (3, 0)
    (one,) = batch.progress
    assert (one.position_seconds, one.furthest_seconds) == (300.0, 900.0)
    assert one.last_watched_at == AT - timedelta(minutes=10)


async def test_what_is_older_than_what_is_stored_moves_no_position(ada: Context) -> None:
    await send(ada, event(position_seconds=3000.0, occurred_at=AT - timedelta(minutes=1)))
    late = await send(ada, event("late", position_seconds=60.0))
    assert (late.applied, late.ignored) == (0, 1)
    assert [one.position_seconds for one in late.progress] == [3000.0]


@pytest.mark.parametrize("drift", [timedelta(hours=-3), timedelta(days=400), timedelta(days=-9000)])
async def test_times_of_a_device_whose_clock_is_wrong_are_put_right(
    ada: Context, drift: timedelta
) -> None:
    at = AT - timedelta(minutes=10)
    batch = await send(ada, event(occurred_at=at + drift), sent_at=AT + drift)
    assert [one.last_watched_at for one in batch.progress] == [at]


@pytest.mark.parametrize("sent_at", [datetime.max, datetime.min])
async def test_a_clock_at_the_end_of_time_is_put_right_too(ada: Context, sent_at: datetime) -> None:
    sent_at = sent_at.replace(tzinfo=UTC)
    batch = await send(ada, event(occurred_at=sent_at), sent_at=sent_at)
    assert [one.last_watched_at for one in batch.progress] == [AT]


async def test_nothing_was_watched_in_the_future(ada: Context) -> None:
    # given an event a little after the batch was sent, as a clock that was set while it was packed
    batch = await send(ada, event(occurred_at=AT + timedelta(minutes=4)))
    assert [one.last_watched_at for one in batch.progress] == [AT]
    # when it is more than a little
    before = await state(ada)
    with pytest.raises(ValidationFailed) as raised:
        await send(ada, event("two"), event("three", occurred_at=AT + timedelta(minutes=6)))
    # then all is refused
    assert raised.value.path == ["events", "1", "occurredAt"]
    assert await state(ada) == before


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"position_seconds": math.nan}, "positionSeconds"),
        ({"position_seconds": math.inf}, "positionSeconds"),
        ({"position_seconds": -0.1}, "positionSeconds"),
        ({"position_seconds": 200_000.0}, "positionSeconds"),
        ({"position_seconds": 106.0, "duration_seconds": 100.0}, "positionSeconds"),
        ({"position_seconds": 6301.0}, "positionSeconds"),  # of a film of 6,000 s
        ({"duration_seconds": 0.0, "position_seconds": 0.0}, "durationSeconds"),
        ({"duration_seconds": math.nan}, "durationSeconds"),
        ({"duration_seconds": -1.0}, "durationSeconds"),
        ({"device_key": " "}, "deviceKey"),
        ({"device_key": "k" * 129}, "deviceKey"),
        ({"playable_id": "no id at all"}, "playableId"),
        ({"occurred_at": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)}, "occurredAt"),
        ({"occurred_at": datetime(1, 1, 1, tzinfo=UTC)}, "occurredAt"),
    ],
)
async def test_a_batch_with_an_impossible_event_is_refused_whole(
    ada: Context, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(ValidationFailed) as raised:
        await send(ada, event("good", playable_id=OTHER), event("bad", **fields))
    assert raised.value.path == ["events", "1", path]
    assert (await state(ada), await state(ada, OTHER)) == (None, None)
    # and without it, the good one still counts
    assert (await send(ada, event("good", playable_id=OTHER))).applied == 1


@pytest.mark.parametrize("event_id", ["", " ", "e" * 129])
async def test_an_event_needs_an_id_of_some_length(ada: Context, event_id: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        await send(ada, event(event_id))
    assert raised.value.path == ["events", "0", "eventId"]
    assert await state(ada) is None


@pytest.mark.parametrize("title", [film_id(9), "episode_9.9.9", ids.derive("show", "x")])
async def test_an_unknown_title_refuses_the_batch(ada: Context, title: str) -> None:
    with pytest.raises(NotFound) as raised:
        await send(ada, event("good"), event("bad", playable_id=title))
    assert raised.value.path == ["events", "1", "playableId"]
    assert await state(ada) is None


async def test_a_batch_is_bounded(ada: Context, count_commands: CountCommands) -> None:
    many = [event(f"event-{number}") for number in range(MAX_EVENTS + 1)]
    await count_commands.reset()
    with pytest.raises(ValidationFailed) as raised:
        await send(ada, *many)
    assert raised.value.path == ["events"]
    assert count_commands.mongo == []
    assert await state(ada) is None
    # one less is taken
    batch = await send(ada, *many[:-1])
    assert batch.applied + batch.ignored == MAX_EVENTS
    assert batch.applied >= 1


async def test_an_empty_batch_does_nothing(ada: Context) -> None:
    assert await send(ada) == BatchResult([], 0, 0)


async def test_any_batch_is_one_find_and_one_call(
    ada: Context, count_commands: CountCommands
) -> None:
    await send(ada, event("first"), event("other", playable_id=OTHER))  # the films are known
    for size in (1, 100):
        await count_commands.reset()
        await send(
            ada,
            *(
                event(f"{size}-{number}", playable_id=(FILM, OTHER)[number % 2])
                for number in range(size)
            ),
        )
        assert count_commands.mongo == ["viewing_progress.find"]
        assert (await count_commands.redis_commands())["evalsha"] == 1


async def test_it_counts_on_from_what_only_the_database_has(ada: Context, redis: Client) -> None:
    await send(ada, event(position_seconds=3000.0))
    await flush_progress(ada.runtime, "worker-1")
    await redis.flushdb()
    batch = await send(ada, event("two", position_seconds=60.0, occurred_at=AT))
    (one,) = batch.progress
    assert (one.version, one.position_seconds, one.furthest_seconds) == (2, 60.0, 3000.0)


async def test_a_batch_is_the_viewers_own(ada: Context, context: Context) -> None:
    bob = viewer_of(ada.runtime, "bob")
    await send(ada, event())
    before = await state(ada)
    theirs = await send(bob, event(position_seconds=60.0, occurred_at=AT))
    assert theirs.applied == 1  # the same event id, of another viewer
    assert await state(ada) == before
    with pytest.raises(Unauthenticated):
        await report_progress_batch(context, [event("x")], AT)


async def test_while_too_much_waits_a_batch_is_refused_and_may_be_sent_again(
    ada: Context,
) -> None:
    full = ada.runtime.settings.model_copy(update={"progress_shard_entries": 0})
    runtime = replace(ada.runtime, playback=playback_on(ada.runtime, full, ada.runtime.redis))
    with pytest.raises(UpstreamUnavailable):
        await send(viewer_of(runtime), event())
    assert await state(ada) is None
    assert (await send(ada, event())).applied == 1
