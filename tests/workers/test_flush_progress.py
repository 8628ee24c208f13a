from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pymongo
import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.playback import progress
from resolvers.playback import reports as progress_reports
from services.errors import UpstreamUnavailable
from services.playback.keys import ProgressKeys
from services.playback.state import FLUSHED_SECONDS
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry import metrics
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.playback_fixtures import film, read_stored_progress, start_new_session, viewer_of
from tests.support.processes import until
from tests.support.relay import Relay
from tests.support.runtimes import playback_on, with_changes
from workers.drop_dead_workers import drop_dead_workers
from workers.flush_progress import finish_flushing, flush_progress, write_batch

KEYS = ProgressKeys(8)


async def watch(
    context: Context, title: str, reports: int, begin: float = 10.0
) -> models.LiveProgress:
    """A session of so many reports; returns what was acknowledged last."""
    session = await start_new_session(context, title)
    for sequence in range(reports):
        applied = await progress_reports.report_progress(
            context, session, sequence, begin + sequence
        )
    assert applied.progress is not None
    return applied.progress


def second_by_second(runtime: Runtime) -> Runtime:
    """A runtime whose clock moves on: no more is watched than time went by."""
    return with_changes(runtime, clock=Clock(time.time(), step_seconds=1))


async def backlog(runtime: Runtime) -> int:
    return (await runtime.playback.stream.backlog()).entries


@contextmanager
def mongodb_out_of_time() -> Iterator[None]:
    with pymongo.timeout(0.000_001):
        yield


async def test_reports_are_coalesced_into_one_write_and_leave_the_stream(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    # given thirty reports of two viewers
    title = await film()
    ada, bob = (viewer_of(second_by_second(runtime), who) for who in ("ada", "bob"))
    latest = {(await watch(who, title, 15)).user_id: 24.0 for who in (ada, bob)}
    await count_commands.reset()
    # when they are flushed
    flushed = await flush_progress(runtime, "worker-1")
    # then one command wrote the newest of each, one the history, and nothing waits
    assert flushed == 30
    assert count_commands.mongo == ["viewing_progress.update", "viewings.update"]
    rows = await read_stored_progress()
    assert {row["user_id"]: row["position_seconds"] for row in rows} == latest
    assert {row["version"] for row in rows} == {15}
    assert await backlog(runtime) == 0


async def test_flushed_progress_is_durable_and_may_expire(runtime: Runtime, redis: Client) -> None:
    # given a report
    context, title = viewer_of(runtime), await film()
    acknowledged = await watch(context, title, 1)
    assert acknowledged.durable is False
    # when it is flushed
    await flush_progress(runtime, "worker-1")
    # then its reader sees that it is durable, and Redis may let go of it in a week
    live = await progress.progress_of(viewer_of(runtime), [title])
    assert live[title] is not None and live[title].durable is True
    key = KEYS.progress(acknowledged.user_id, title)
    assert FLUSHED_SECONDS - 5 < await redis.ttl(key) <= FLUSHED_SECONDS
    assert await runtime.playback.progress.list_unflushed(acknowledged.user_id) == []
    # and the next report keeps it again
    await watch(context, title, 1)
    assert await redis.ttl(key) == -1


async def test_a_report_between_write_and_confirmation_stays(
    runtime: Runtime, redis: Client
) -> None:
    # given a batch that was read
    context, title = viewer_of(runtime), await film()
    session = await start_new_session(context, title)
    await progress_reports.report_progress(context, session, 0, 10.0)
    deliveries = await runtime.playback.stream.read("worker-1")
    # when another report comes before it is confirmed
    await progress_reports.report_progress(context, session, 1, 20.0)
    await write_batch(runtime, deliveries)
    # then the newer state neither expires nor counts as durable, and is flushed in its turn
    (waiting,) = await runtime.playback.progress.list_unflushed(context.viewer_id or "")
    assert (waiting.version, waiting.durable) == (2, False)
    assert await redis.ttl(KEYS.progress(context.viewer_id or "", title)) == -1
    assert await flush_progress(runtime, "worker-1") == 1
    assert [row["position_seconds"] for row in await read_stored_progress()] == [20.0]


async def test_a_batch_written_twice_changes_nothing(runtime: Runtime) -> None:
    # given a batch that was written
    await watch(viewer_of(runtime), await film(), 3)
    deliveries = await runtime.playback.stream.read("worker-1")
    await write_batch(runtime, deliveries)
    before = await read_stored_progress()
    # when it is written again
    await write_batch(runtime, deliveries)
    # then nothing differs
    assert await read_stored_progress() == before
    assert await backlog(runtime) == 0


async def test_a_worker_that_dies_between_write_and_acknowledgement_is_taken_over(
    claiming_at_once: Runtime,
) -> None:
    # given a worker that wrote its batch and died before it said so
    acknowledged = await watch(viewer_of(claiming_at_once), await film(), 3)
    deliveries = await claiming_at_once.playback.stream.read("dead")
    await models.write_progress([models.live_progress(deliveries[-1].progress)])  # type: ignore[arg-type]
    assert await backlog(claiming_at_once) == 3
    # when another comes
    await asyncio.sleep(0.005)
    flushed = await flush_progress(claiming_at_once, "alive")
    # then it takes over all entries, and what is stored is what was acknowledged
    assert flushed == 3
    assert await backlog(claiming_at_once) == 0
    (row,) = await read_stored_progress()
    assert (row["version"], row["position_seconds"]) == (
        acknowledged.version,
        acknowledged.position_seconds,
    )


async def test_a_worker_that_wakes_late_takes_nothing_back(claiming_at_once: Runtime) -> None:
    # given a worker that froze with a batch in its hands
    context, title = viewer_of(claiming_at_once), await film()
    await watch(context, title, 2)
    frozen = await claiming_at_once.playback.stream.read("frozen")
    # when others flush that and newer reports, and then it wakes
    await watch(context, title, 5, begin=20.0)
    await asyncio.sleep(0.005)
    await flush_progress(claiming_at_once, "alive")
    newest = await read_stored_progress()
    await write_batch(claiming_at_once, frozen)
    # then nothing went back
    assert await read_stored_progress() == newest
    assert newest[0]["version"] == 7


async def test_two_racing_workers_flush_everything_once_reports_end(
    claiming_at_once: Runtime,
) -> None:
    # given viewers that report while two workers flush, claiming from each other all the time
    titles = [await film(f"film-{n}") for n in range(3)]
    stop = asyncio.Event()

    async def keep_flushing(name: str) -> None:
        while not stop.is_set():
            await flush_progress(claiming_at_once, name)
            await asyncio.sleep(0.001)

    flushers = [asyncio.create_task(keep_flushing(name)) for name in ("one", "two")]
    # when all have reported
    acknowledged = await asyncio.gather(
        *(
            watch(viewer_of(claiming_at_once, f"viewer-{v}"), title, 20)
            for v in range(8)
            for title in titles
        )
    )
    stop.set()
    await asyncio.gather(*flushers)
    await asyncio.sleep(0.005)
    await flush_progress(claiming_at_once, "one")
    # then what is stored is what was acknowledged last, for everybody
    rows = {(row["user_id"], row["playable_id"]): row for row in await read_stored_progress()}
    assert len(rows) == 24
    for last in acknowledged:
        row = rows[last.user_id, last.playable_id]
        assert (row["version"], row["position_seconds"]) == (last.version, last.position_seconds)
    assert await backlog(claiming_at_once) == 0


async def test_without_a_database_entries_stay_and_are_flushed_later(
    claiming_at_once: Runtime,
) -> None:
    # given a database that does not answer
    await watch(viewer_of(claiming_at_once), await film(), 4)
    with mongodb_out_of_time(), pytest.raises(UpstreamUnavailable):
        await flush_progress(claiming_at_once, "worker-1")
    assert await backlog(claiming_at_once) == 4
    assert await read_stored_progress() == []
    # when it is back
    await asyncio.sleep(0.005)
    flushed = await flush_progress(claiming_at_once, "worker-1")
    # then nothing is missing
    assert flushed == 4
    assert [row["version"] for row in await read_stored_progress()] == [4]


async def test_a_poison_entry_is_set_aside_after_five_tries_and_the_rest_flows(
    claiming_at_once: Runtime, redis: Client
) -> None:
    # given an entry nobody can read between two that are fine
    context, title = viewer_of(claiming_at_once), await film()
    shard = KEYS.shard(context.viewer_id or "")
    session = await start_new_session(context, title)
    await progress_reports.report_progress(context, session, 0, 10.0)
    await redis.xadd(KEYS.stream(shard), {"user": "user_x", "version": "many"})
    await progress_reports.report_progress(context, session, 1, 20.0)
    counted = metrics.progress_dead_letters_total._value.get()
    # when a worker comes once
    await flush_progress(claiming_at_once, "worker-1")
    # then the two are stored
    assert [row["version"] for row in await read_stored_progress()] == [2]
    # and when it has come four times more, the poison is set aside and counted
    for _ in range(4):
        await asyncio.sleep(0.005)
        await flush_progress(claiming_at_once, "worker-1")
    assert await backlog(claiming_at_once) == 0
    ((_, letter),) = await redis.xrange(KEYS.dead_letters(shard))
    assert letter[b"user"] == b"user_x"
    assert metrics.progress_dead_letters_total._value.get() == counted + 1


async def test_a_poison_entry_is_not_given_up_on_its_first_try(
    runtime: Runtime, redis: Client
) -> None:
    await redis.xadd(KEYS.stream(0), {"what": "ever"})
    await flush_progress(runtime, "worker-1")
    assert await backlog(runtime) == 1
    assert await redis.xlen(KEYS.dead_letters(0)) == 0


async def test_a_worker_that_ends_well_leaves_nothing_behind(
    runtime: Runtime, redis: Client
) -> None:
    # given reports and a worker at work
    context, title = viewer_of(runtime), await film()
    await watch(context, title, 1)
    await flush_progress(runtime, "worker-1")
    await watch(context, title, 1)
    # when it ends
    await finish_flushing(runtime, "worker-1")
    # then the last reports are stored and its name is gone
    assert [row["version"] for row in await read_stored_progress()] == [2]
    for shard in KEYS.shards:
        assert await redis.xinfo_consumers(KEYS.stream(shard), "flush") == []


async def test_a_worker_with_entries_in_its_hands_is_not_forgotten(
    runtime: Runtime, redis: Client
) -> None:
    # given a worker that died with an entry in its hands
    context = viewer_of(runtime)
    await watch(context, await film(), 1)
    await runtime.playback.stream.read("dead")
    # when the names of the dead are dropped
    await runtime.playback.stream.drop_dead_consumers(idle_seconds=0)
    await drop_dead_workers(runtime.playback.stream)
    # then it stays where the entry is, so that others can claim it
    named = [await redis.xinfo_consumers(KEYS.stream(shard), "flush") for shard in KEYS.shards]
    assert [len(names) for names in named if names] == [1]
    assert named[KEYS.shard(context.viewer_id or "")][0]["name"] == b"dead"


async def test_backlog_and_lag_are_measured(runtime: Runtime) -> None:
    await watch(viewer_of(runtime), await film(), 3)
    waiting = await runtime.playback.stream.backlog()
    assert waiting.entries == 3
    assert 0 <= waiting.oldest_seconds < 5
    await flush_progress(runtime, "worker-1")
    assert metrics.progress_backlog_entries._value.get() == 0
    assert metrics.progress_lag_seconds._value.get() == 0


async def test_a_redis_that_came_back_empty_is_served_again(
    runtime: Runtime, redis: Client
) -> None:
    await flush_progress(runtime, "worker-1")
    await redis.flushdb()
    await watch(viewer_of(runtime), await film(), 1)
    assert await flush_progress(runtime, "worker-1") == 1


async def test_what_a_worker_held_while_mongodb_was_away_is_durable_with_its_next_run(
    runtime: Runtime,
) -> None:
    # given a worker that read reports of two viewers and could not write them
    title = await film()
    ada, bob = viewer_of(runtime), viewer_of(runtime, "bob")
    for who in (ada, bob):
        await watch(who, title, 3)
    with mongodb_out_of_time(), pytest.raises(UpstreamUnavailable):
        await flush_progress(runtime, "worker-1")
    # when MongoDB is back, and another report came meanwhile
    await watch(ada, title, 1, begin=100)
    await flush_progress(runtime, "worker-1")
    # then all is stored at once, long before another worker may claim it
    assert sorted(row["position_seconds"] for row in await read_stored_progress()) == [12.0, 100.0]
    assert await backlog(runtime) == 0


async def test_what_a_worker_held_is_written_when_it_ends(runtime: Runtime) -> None:
    context, title = viewer_of(runtime), await film()
    await watch(context, title, 3)
    with mongodb_out_of_time(), pytest.raises(UpstreamUnavailable):
        await flush_progress(runtime, "worker-1")
    # when it is told to end
    await finish_flushing(runtime, "worker-1")
    # then nothing waits for another one
    assert [row["position_seconds"] for row in await read_stored_progress()] == [12.0]
    assert await backlog(runtime) == 0


async def test_what_redis_sent_in_vain_is_read_again_at_once(
    runtime: Runtime, settings: Settings, relay: Relay
) -> None:
    # given a worker whose Redis takes commands and whose answers are lost
    title = await film()
    await watch(viewer_of(runtime), title, 3)
    through = pool.connect(
        settings.model_copy(update={"redis_url": relay.uri, "redis_timeout_ms": 300})
    )
    cut_off = with_changes(runtime, playback=playback_on(runtime, settings, through))
    await flush_progress(cut_off, "worker-1")
    await watch(viewer_of(runtime), title, 1, begin=100)
    relay.is_mute = True
    with pytest.raises(UpstreamUnavailable):
        await flush_progress(cut_off, "worker-1")
    # when it hears again
    relay.cut()
    relay.mend()
    await until(lambda: _flushes(cut_off))
    # then what was lost on the way is stored
    assert [row["position_seconds"] for row in await read_stored_progress()] == [100.0]
    await through.aclose()


async def _flushes(runtime: Runtime) -> bool:
    with suppress(UpstreamUnavailable):
        return bool(await flush_progress(runtime, "worker-1"))
    return False


async def test_reading_again_gives_an_entry_that_cannot_be_written_one_try_a_run(
    runtime: Runtime, redis: Client
) -> None:
    # given an entry that nobody can decode, and a worker that could not write
    context, title = viewer_of(runtime), await film()
    last = await watch(context, title, 1)
    shard = KEYS.shard(last.user_id)
    await redis.xadd(KEYS.stream(shard), {"user": last.user_id, "playable": title})
    with mongodb_out_of_time(), pytest.raises(UpstreamUnavailable):
        await flush_progress(runtime, "worker-1")
    # when it writes again
    await flush_progress(runtime, "worker-1")
    # then the bad one is not given up within one run
    (pending,) = await redis.xpending_range(KEYS.stream(shard), "flush", "-", "+", 10)
    assert pending["times_delivered"] == 2
    assert await runtime.playback.dead_letters.count() == 0


async def test_a_shard_without_a_group_delays_no_other(runtime: Runtime, redis: Client) -> None:
    # given groups of all shards but one, as after a change of their number
    context, title = viewer_of(runtime), await film()
    await flush_progress(runtime, "worker-1")
    last = await watch(context, title, 3)
    other = (KEYS.shard(last.user_id) + 1) % 8
    await redis.delete(KEYS.stream(other))
    # then one run stores what waits
    await flush_progress(runtime, "worker-1")
    assert await backlog(runtime) == 0


async def test_a_viewing_expires_when_its_days_in_the_history_are_over(runtime: Runtime) -> None:
    # given a viewing that is stored
    await watch(viewer_of(second_by_second(runtime)), await film(), 10)
    await flush_progress(runtime, "worker-1")
    # then MongoDB drops it so many days after it was last seen
    collection = models.Viewing.get_pymongo_collection()
    (row,) = await collection.find().to_list(None)
    days = timedelta(days=runtime.settings.history_days)
    assert row["expires_at"] == row["last_seen_at"] + days
    assert (await collection.index_information())["expires"]["expireAfterSeconds"] == 0
