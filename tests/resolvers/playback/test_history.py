"""Viewings: written by the flush worker, listed newest first, deleted for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import history, progress, reports, sessions
from services.errors import InvalidCursor, NotFound, Unauthenticated, ValidationFailed
from services.redis.pool import Client
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.playback_fixtures import (
    PHONE,
    PHONE_RECORD,
    film,
    start_film,
    start_new_session,
    viewer_of,
)
from workers.flush_progress import flush_progress

START = datetime(2027, 1, 15, 20, 0, tzinfo=UTC)
VIEWER = ids.derive("user", "ada")
LIFETIME = timedelta(days=3650)


@pytest.fixture
def clock() -> Clock:
    return Clock(START.timestamp())


@pytest.fixture
def ada(runtime: Runtime, clock: Clock) -> Context:
    return viewer_of(replace(runtime, clock=clock))


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


async def watched(ada: Context, clock: Clock, title: str, until: int = 30) -> str:
    """A session that watched so many seconds, ten at a time, and was stopped; its id."""
    session = await start_new_session(ada, title)
    for sequence, position in enumerate(range(10, until + 1, 10)):
        clock.now += 10
        await reports.report_progress(ada, session, sequence, float(position))
    await sessions.stop_playback(ada, session)
    return session


async def flush(ada: Context) -> None:
    await flush_progress(ada.runtime, "worker-1")


async def listed(ada: Context, **arguments: Any) -> list[models.ViewingRecord]:
    return (await history.history(ada, **arguments)).nodes


async def stored_viewings() -> list[dict[str, Any]]:
    return await models.Viewing.get_pymongo_collection().find().to_list(None)


def viewing(number: int, user_id: str = VIEWER) -> models.ViewingRecord:
    """A stored viewing begun `number` minutes after START."""
    at = START + timedelta(minutes=number)
    return models.ViewingRecord(
        id=ids.derive("viewing", user_id, number),
        user_id=user_id,
        playable_id=ids.derive("movie", number),
        started_at=at,
        last_seen_at=at,
        watched_seconds=60.0,
        device=PHONE_RECORD,
        stamp_ms=models.milliseconds(at),
    )


async def test_a_session_becomes_one_viewing(ada: Context, clock: Clock) -> None:
    # given a film watched for thirty seconds, and stopped
    title = await film()
    await watched(ada, clock, title)
    assert await listed(ada) == []
    # when the worker has been there
    await flush(ada)
    # then it is in the history, once
    (viewing,) = await listed(ada)
    assert ids.kind_of(viewing.id) == "viewing"
    assert (viewing.user_id, viewing.playable_id) == (VIEWER, title)
    assert (viewing.started_at, viewing.ended_at) == (START, START + seconds(30.001))
    assert (viewing.watched_seconds, viewing.completed) == (30.0, False)
    assert viewing.device == PHONE_RECORD
    # and watching it again is another one, before it
    await watched(ada, clock, title, until=50)
    await flush(ada)
    assert [one.started_at for one in await listed(ada)] == [START + seconds(30), START]


async def test_a_viewing_grows_while_it_goes_on(ada: Context, clock: Clock) -> None:
    # given a film that plays
    session = await start_new_session(ada, await film())
    for sequence, position in enumerate((10.0, 20.0)):
        clock.now += 10
        await reports.report_progress(ada, session, sequence, position)
        # when the worker comes between the reports
        await flush(ada)
        # then it is told as it is
        (viewing,) = await listed(ada)
        assert (viewing.watched_seconds, viewing.ended_at) == (position, None)
    # and a player that fell silent ended when it was last heard of
    clock.now += 30.001
    (viewing,) = await listed(ada)
    assert viewing.ended_at == START + seconds(20)
    # but goes on if it comes back, to the end
    clock.now += 5900
    # pausing for so long, it is silent but not forgotten: the hour is not over
    await reports.report_progress(ada, await again(ada, session), 2, 5990.0, seeked=True)
    await flush(ada)
    newest, first = await listed(ada)
    assert (first.ended_at, newest.completed) == (START + seconds(20), True)


async def again(ada: Context, session: str) -> str:
    """A new session of the same film, as after an hour of silence."""
    record = await models.playback_session_record(session)
    assert record is not None
    return await start_new_session(ada, record.playable_id)


async def test_what_was_left_at_once_is_no_viewing(ada: Context, clock: Clock) -> None:
    # given a film left after four seconds, and one left after five
    titles = [await film("four"), await film("five")]
    for title, position in zip(titles, (4.0, 5.0), strict=True):
        session = await start_new_session(ada, title)
        clock.now += position
        await reports.report_progress(ada, session, 0, position)
        await sessions.stop_playback(ada, session)
    await flush(ada)
    # then only the second is remembered, but both have progress
    assert [one.playable_id for one in await listed(ada)] == [titles[1]]
    assert None not in (await progress.progress_of(viewer_of(ada.runtime), titles)).values()


async def test_jumps_are_not_watched(ada: Context, clock: Clock) -> None:
    session = await start_new_session(ada, await film())
    clock.now += 10
    await reports.report_progress(ada, session, 0, 10.0)
    clock.now += 10
    await reports.report_progress(ada, session, 1, 3000.0, seeked=True)
    clock.now += 10
    await reports.report_progress(ada, session, 2, 3010.0)
    await flush(ada)
    (viewing,) = await listed(ada)
    assert viewing.watched_seconds == 20.0


async def test_viewings_written_twice_or_out_of_order_stay_as_they_were_last(
    runtime: Runtime,
) -> None:
    old, new = viewing(1), viewing(1)
    new = models.ViewingRecord(
        **{name: getattr(new, name) for name in new.__struct_fields__}
        | {"watched_seconds": 90.0, "stamp_ms": new.stamp_ms + 10}
    )
    for batch in ([old], [new], [old], [new]):
        assert await models.write_viewings(batch, LIFETIME) == frozenset()
    (row,) = await stored_viewings()
    assert (row["watched_seconds"], row["stamp_ms"]) == (90.0, new.stamp_ms)


async def test_pages_follow_each_other_though_viewings_come_and_go(ada: Context) -> None:
    # given nine viewings, two of them of the same moment
    rows = [viewing(number) for number in range(8)]
    twin = viewing(99)
    rows.append(
        models.ViewingRecord(
            id=twin.id, user_id=VIEWER, playable_id=twin.playable_id,
            started_at=rows[4].started_at, last_seen_at=twin.last_seen_at, stamp_ms=1,
        )
    )  # fmt: skip
    await models.write_viewings([*rows, viewing(3, ids.derive("user", "bob"))], LIFETIME)
    expected = sorted(rows, key=lambda one: (one.started_at, one.id), reverse=True)
    # when pages of four are read, and meanwhile one is added and one deleted
    first = await history.history(ada, 4)
    await models.write_viewings([viewing(50)], LIFETIME)
    await history.delete_history(ada, viewing_id=expected[0].id)
    second = await history.history(ada, 4, first.end_cursor)
    third = await history.history(ada, 4, second.end_cursor)
    # then none comes twice and none is missing
    read = [one.id for page in (first, second, third) for one in page.nodes]
    assert read == [one.id for one in expected]
    assert [page.has_next_page for page in (first, second, third)] == [True, True, False]
    assert [page.has_previous_page for page in (first, second, third)] == [False, True, True]


async def test_a_time_range_holds_its_beginning_but_not_its_end(ada: Context) -> None:
    await models.write_viewings([viewing(number) for number in range(5)], LIFETIME)
    since, until = START + timedelta(minutes=1), START + timedelta(minutes=3)
    for arguments, minutes in (
        ({"since": since}, [4, 3, 2, 1]),
        ({"until": until}, [2, 1, 0]),
        ({"since": since, "until": until}, [2, 1]),
        ({"since": until, "until": since}, []),
    ):
        viewings = await listed(ada, **arguments)
        assert [(one.started_at - START).seconds // 60 for one in viewings] == minutes


async def test_a_page_costs_one_command(ada: Context, count_commands: CountCommands) -> None:
    await models.write_viewings([viewing(number) for number in range(60)], LIFETIME)
    await count_commands.reset()
    assert len((await history.history(ada, 50)).nodes) == 50
    assert count_commands.mongo == ["viewings.find"]


async def test_senseless_pages_are_refused(ada: Context) -> None:
    for first in (0, 101):
        with pytest.raises(ValidationFailed):
            await history.history(ada, first)
    other = await sessions.start_playback(ada, await film(), PHONE)
    for after in ("", "x", other.session.id):
        with pytest.raises(InvalidCursor):
            await history.history(ada, 5, after)


async def test_one_viewing_is_deleted_and_stays_away(ada: Context, clock: Clock) -> None:
    # given a film that plays and is in the history
    title, session = await start_film(ada)
    clock.now += 10
    await reports.report_progress(ada, session, 0, 10.0)
    await flush(ada)
    (viewing,) = await listed(ada)
    # when it is taken out, twice, and its player reports on
    for _ in range(2):
        await history.delete_history(ada, viewing_id=viewing.id)
    clock.now += 10
    await reports.report_progress(ada, session, 1, 20.0)
    await flush(ada)
    # then it is gone for good, with all it told, but the film goes on
    assert await listed(ada) == []
    assert await history.viewings_by_id(ada, [viewing.id]) == {}
    (row,) = await stored_viewings()
    assert set(row) == {
        "_id", "user_id", "stamp_ms", "deleted_at", "version", "schema_version", "created_at",
        "updated_at",
    }  # fmt: skip
    remaining = (await progress.progress_of(viewer_of(ada.runtime), [title]))[title]
    assert remaining is not None and remaining.position_seconds == 20.0


@pytest.mark.parametrize("way", ["playable_id", "before"])
async def test_what_is_on_its_way_is_deleted_as_well(ada: Context, clock: Clock, way: str) -> None:
    # given a film watched and written, then watched again, which no worker has seen
    title = await film()
    await watched(ada, clock, title)
    await flush(ada)
    await watched(ada, clock, title)
    # when the film, or all until now, is taken out
    at = datetime.fromtimestamp(clock.now, UTC)
    await history.delete_history(ada, **({"before": at} if way == "before" else {way: title}))
    await flush(ada)
    # then nothing comes back
    assert await listed(ada) == []
    # and what is watched from then on is remembered
    clock.now += 1
    await watched(ada, clock, title)
    await flush(ada)
    assert [one.playable_id for one in await listed(ada)] == [title]


async def test_deleting_takes_only_what_was_named(ada: Context) -> None:
    # given four viewings, two of one film, and Bob's
    bob = viewer_of(ada.runtime, "bob")
    theirs = viewing(0, bob.viewer_id or "")
    rows = [viewing(number) for number in range(4)]
    await models.write_viewings([*rows, theirs], LIFETIME)
    # when one film and what was before a minute is taken out
    await history.delete_history(ada, playable_id=rows[2].playable_id)
    await history.delete_history(ada, before=rows[1].started_at)
    # then the rest is there
    assert [one.id for one in await listed(ada)] == [rows[3].id, rows[1].id]
    assert [one.id for one in await listed(bob)] == [theirs.id]


async def test_old_sessions_are_forgotten_with_their_viewings(ada: Context) -> None:
    # given a session of three days ago and one of now
    title = await film()
    old, new = [
        models.StoredSessionRecord(
            id=ids.new("session"), user_id=VIEWER, playable_id=title, started_at=at
        )
        for at in (START - timedelta(days=3), START)
    ]
    await models.store_session(old)
    await models.store_session(new)
    await history.delete_history(ada, playable_id=title)
    assert await models.playback_session_record(old.id) is None
    assert await models.playback_session_record(new.id) is not None


async def test_a_viewing_is_its_viewers_own(ada: Context) -> None:
    # given Ada's viewing
    mine = viewing(1)
    await models.write_viewings([mine], LIFETIME)
    bob, nobody = viewer_of(ada.runtime, "bob"), Context(ada.runtime)
    # when others look at it or delete it
    for other in (bob, nobody):
        assert await history.viewings_by_id(other, [mine.id]) == {}
    assert await listed(bob) == []
    for call in (history.history(nobody), history.delete_history(nobody, viewing_id=mine.id)):
        with pytest.raises(Unauthenticated):
            await call
    for id_ in (mine.id, ids.new("viewing"), ids.new("movie")):
        with pytest.raises(NotFound) as raised:
            await history.delete_history(bob, viewing_id=id_)
        assert raised.value.path == ["viewingId"]
    for name, path in (("viewing_id", "viewingId"), ("playable_id", "playableId")):
        for id_ in ("x", "", "viewing_", "nothing_1"):
            with pytest.raises(ValidationFailed, match="not an id of this API") as refused:
                await history.delete_history(bob, **{name: id_})
            assert refused.value.path == [path]
    await history.delete_history(bob, playable_id=mine.playable_id)
    await history.delete_history(bob, before=START + timedelta(days=1))
    # then it is as it was
    assert set(await history.viewings_by_id(ada, [mine.id])) == {mine.id}


async def test_only_what_plays_can_be_taken_out_by_title(ada: Context) -> None:
    for id_ in (ids.new("person"), ids.new("show"), "x"):
        with pytest.raises(ValidationFailed):
            await history.delete_history(ada, playable_id=id_)


async def test_an_entry_whose_viewing_cannot_be_read_is_set_aside(
    ada: Context, clock: Clock, redis: Client
) -> None:
    # given a report, and a copy of it whose viewing is nonsense
    session = await start_new_session(ada, await film())
    clock.now += 10
    await reports.report_progress(ada, session, 0, 10.0)
    (stream,) = [key for key in await redis.keys("progress:stream:*") if await redis.xlen(key)]
    ((_, fields),) = await redis.xrange(stream)
    await redis.xadd(stream, fields | {b"viewing": b"\xc1nonsense"})
    # when the worker comes
    await flush(ada)
    # then the good one is written, and the other stays to be tried again
    assert [one.watched_seconds for one in await listed(ada)] == [10.0]
    assert await redis.xlen(stream) == 1
