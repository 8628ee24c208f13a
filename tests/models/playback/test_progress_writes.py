from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pymongo
import pytest
from msgspec.structs import FieldInfo
from pymongo.errors import BulkWriteError

import models
from models.mongo.reading import collect_refused_writes
from models.playback.documents import instant, progress_id
from resolvers.context import Runtime
from services.errors import UpstreamUnavailable
from services.playback.state import Base, BufferedProgress, ProgressState, pack_state
from tests.conftest import CountCommands
from tests.support.playback_fixtures import read_stored_progress

TV = '["tv",null,"TV"]'
AT = datetime(2026, 11, 22, 12, 0, 0, 123_000, tzinfo=UTC)


def progress(stamp: int, *, title: str = "movie_1", seconds: float = 10.0) -> models.LiveProgress:
    return models.LiveProgress(
        id=progress_id("user_1", title),
        user_id="user_1",
        playable_id=title,
        position_seconds=seconds,
        duration_seconds=100.0,
        percent=seconds,
        furthest_seconds=seconds,
        last_watched_at=AT,
        last_device=models.DeviceRecord(key="tv", name=None, kind=models.DeviceKind.TV),
        version=stamp % 100,
        stamp_ms=stamp,
        session_id="session_1",
        sequence=4,
        session_counted=True,
        claimed_ms=11,
        held_until_ms=12,
        dismissed_at_ms=13,
        reset_at_ms=14,
    )


async def test_a_written_record_reads_back_the_same(runtime: Runtime) -> None:
    assert (await models.write_progress([progress(3)])).written == 1
    records = await models.progress_by_playable("user_1", ["movie_1", "movie_2"])
    assert records == {"movie_1": progress(3)}


async def test_every_field_of_a_state_comes_back_from_the_database(runtime: Runtime) -> None:
    # given a state in which each field has a value that is not its default
    values = {
        field.name: _other_value(place, field)
        for place, field in enumerate(msgspec.structs.fields(ProgressState), 1)
    }
    state = ProgressState(**values | {"completed": 1, "session_counted": 1, "device_json": TV})
    # when it is written, and what was stored becomes a state again
    buffered = BufferedProgress("user_1", "movie_1", 7, True, state)
    await models.write_progress([models.live_progress(buffered)])
    stored = await models.progress_by_playable("user_1", ["movie_1"])
    # then it is the same, type by type
    base = models.progress_base(stored["movie_1"])
    assert base == Base(7, state)
    assert pack_state(base.state) == pack_state(state)


def _other_value(place: int, field: FieldInfo) -> float | str:
    return f"text {place}" if isinstance(field.default, str) else type(field.default)(place)


async def test_an_older_or_equal_stamp_changes_nothing(runtime: Runtime) -> None:
    # given progress with a stamp
    await models.write_progress([progress(5, seconds=50.0)])
    before = await read_stored_progress()
    # when it comes again, and an older one comes late
    again = await models.write_progress([progress(5, seconds=1.0)])
    late = await models.write_progress([progress(4, seconds=2.0)])
    # then both are counted as older
    assert (again.written, again.older) == (late.written, late.older) == (0, 1)
    assert await read_stored_progress() == before


async def test_a_higher_version_does_not_make_up_for_an_older_stamp(runtime: Runtime) -> None:
    # given version 0 of a later moment
    await models.write_progress([progress(200)])
    # when version 99 of an earlier one comes
    late = await models.write_progress([progress(199)])
    # then it stays
    assert (late.written, late.older) == (0, 1)
    assert [row["version"] for row in await read_stored_progress()] == [0]


async def test_what_was_stored_before_there_were_stamps_is_older(runtime: Runtime) -> None:
    # given a document without a stamp
    await models.write_progress([progress(5)])
    collection = models.ViewingProgress.get_pymongo_collection()
    await collection.update_one({}, {"$unset": {"stamp_ms": ""}})
    # when any state of now is written
    outcome = await models.write_progress([progress(6, seconds=60.0)])
    # then it replaces it
    assert (outcome.written, outcome.older) == (1, 0)
    assert [row["position_seconds"] for row in await read_stored_progress()] == [60.0]


def test_what_redis_counts_on_from_is_all_that_is_stored() -> None:
    # given stored progress with a value in every field
    record = progress(1_800_000_000_123)
    # when it is made a base, and that shown again
    version, state = models.progress_base(record)
    shown = models.live_progress(BufferedProgress("user_1", "movie_1", version, True, state))
    # then nothing is lost
    assert shown == record


async def test_many_titles_cost_one_command(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    rows = [progress(1, title=f"movie_{n}") for n in range(50)]
    outcome = await models.write_progress(rows)
    assert outcome.written == 50
    assert count_commands.mongo == ["viewing_progress.update"]


async def test_racing_inserts_end_with_the_newest(runtime: Runtime) -> None:
    # given titles nobody has stored
    for round_ in range(5):
        title = f"movie_{round_}"
        # when ten writers insert ten versions of one at once
        outcomes = await asyncio.gather(
            *(models.write_progress([progress(n, title=title)]) for n in range(1, 11))
        )
        # then the newest is stored, and each writer knows what became of its own
        records = await models.progress_by_playable("user_1", [title])
        assert records[title].version == 10
        assert all(outcome.written + outcome.older == 1 for outcome in outcomes)
        assert not any(outcome.refused for outcome in outcomes)


async def test_what_the_database_refuses_is_named_and_the_rest_written(runtime: Runtime) -> None:
    # given a collection that takes no position above 90
    collection = models.ViewingProgress.get_pymongo_collection()
    validator = {"position_seconds": {"$lte": 90}}
    await collection.database.command("collMod", collection.name, validator=validator)
    try:
        # when one of two titles is beyond
        rows = [progress(1, seconds=95.0), progress(1, title="movie_2")]
        outcome = await models.write_progress(rows)
    finally:
        await collection.database.command("collMod", collection.name, validator={})
    # then the other is stored
    assert outcome.refused == {("user_1", "movie_1")}
    assert (outcome.written, outcome.older) == (1, 0)
    assert [row["playable_id"] for row in await read_stored_progress()] == ["movie_2"]


@pytest.mark.parametrize("code", [91, 10107, 11600, 14031])
def test_what_passes_is_no_refusal(code: int) -> None:
    # given a bulk of which MongoDB will never take one, and could not take another just now
    bad, unlucky = {"index": 0, "code": 121}, {"index": 3, "code": code}
    # then the first alone is refused, and with the second all is to be written again
    assert collect_refused_writes(BulkWriteError({"writeErrors": [bad]})) == {0: 121}
    with pytest.raises(BulkWriteError):
        collect_refused_writes(BulkWriteError({"writeErrors": [bad, unlucky]}))
    with pytest.raises(BulkWriteError):
        collect_refused_writes(BulkWriteError({"writeErrors": [bad], "writeConcernErrors": [{}]}))


async def test_a_database_out_of_time_is_an_error(runtime: Runtime) -> None:
    with pymongo.timeout(0.000_001), pytest.raises(UpstreamUnavailable):
        await models.write_progress([progress(1)])


async def test_watched_titles_come_last_watched_first(runtime: Runtime) -> None:
    # given one title per minute, and another viewer's
    rows = [progress(1, title=f"movie_{n}", seconds=n) for n in range(5)]
    times = [AT - timedelta(minutes=n) for n in range(5)]
    changed = [
        models.LiveProgress(
            **{
                **{name: getattr(row, name) for name in row.__struct_fields__},
                "last_watched_at": at,
                "user_id": "user_2" if row.playable_id == "movie_3" else "user_1",
            }
        )
        for row, at in zip(rows, times, strict=True)
    ]
    await models.write_progress(changed)
    # when they are read in two pages
    first = await models.watched_progress("user_1", before=None, limit=2)
    at_ms = models.milliseconds(first[-1].last_watched_at)
    following = await models.watched_progress("user_1", before=(at_ms, first[-1].id), limit=9)
    # then each comes once
    assert [row.playable_id for row in first] == ["movie_0", "movie_1"]
    assert [row.playable_id for row in following] == ["movie_2", "movie_4"]


def test_instants_survive_the_way_to_milliseconds_and_back() -> None:
    for at_ms in (0, 1, 999, 1_800_000_000_123, 4_102_444_799_999):
        assert models.milliseconds(instant(at_ms)) == at_ms
