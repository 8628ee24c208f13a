"""Reports while Redis is away, silent or full: stored in MongoDB, or refused; never a false yes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pymongo
import pytest

import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.ops import health_and_metrics
from resolvers.playback import progress, reports, sessions
from services.errors import SessionNotFound, UpstreamUnavailable, ValidationFailed
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.playback_fixtures import (
    RUNTIME_SECONDS,
    film,
    read_stored_progress,
    start_film,
    start_new_session,
    viewer_of,
)
from tests.support.processes import until
from tests.support.relay import Relay
from tests.support.runtimes import playback_on
from workers.adopt_progress import adopt_progress, look_for_repairs
from workers.flush_progress import flush_progress

TIMEOUT_MS = 400  # of the way to Redis, which some tests silence


@pytest.fixture
async def behind(runtime: Runtime, settings: Settings, relay: Relay) -> AsyncIterator[Runtime]:
    """A process whose way to Redis can be cut or silenced."""
    async with reaching(runtime, settings, relay.uri) as behind:
        yield behind


@asynccontextmanager
async def reaching(runtime: Runtime, settings: Settings, uri: str) -> AsyncIterator[Runtime]:
    own = settings.model_copy(
        update={"redis_url": uri, "redis_timeout_ms": TIMEOUT_MS, "mongodb_timeout_ms": 20_000}
    )
    redis = pool.connect(own)
    try:
        yield replace(
            runtime, settings=own, state_redis=redis, playback=playback_on(runtime, own, redis)
        )
    finally:
        await redis.aclose()


@pytest.fixture
def ada(behind: Runtime) -> Context:
    return viewer_of(behind)


async def report(context: Context, session: str, sequence: int, seconds: float) -> bool:
    """Whether it was applied; fails if it was not stored."""
    applied = await reports.report_progress(context, session, sequence, seconds)
    assert applied.progress is not None
    assert not applied.applied or applied.progress.position_seconds == seconds
    return applied.applied


async def positions() -> list[object]:
    return [row["position_seconds"] for row in await read_stored_progress()]


async def flush_and_read(runtime: Runtime) -> list[object]:
    """The positions in MongoDB once what Redis has is flushed."""
    await flush_progress(runtime, "worker-1")
    return await positions()


async def read(context: Context, title: str) -> models.LiveProgress:
    """As another operation sees it."""
    progress_by_title = await progress.progress_of(
        Context(context.runtime, context.viewer), [title]
    )
    live = progress_by_title[title]
    assert live is not None
    return live


async def in_redis(runtime: Runtime, context: Context, title: str) -> float | None:
    """The position that Redis has, asked past the process whose way may be cut."""
    entries = await runtime.playback.progress.read_many(context.viewer_id or "", [title])
    entry = entries.get(title)
    return entry.state.position_seconds if entry is not None else None


async def repairs() -> int:
    return len(await models.list_open_repairs(100))


@contextmanager
def mongodb_out_of_time() -> Iterator[None]:
    with pymongo.timeout(0.000_001):
        yield


async def back(context: Context, relay: Relay) -> None:
    """Redis is there again, and this process may ask it."""
    relay.mend()
    await asyncio.sleep(1.1)  # a report that failed keeps others away from Redis for a second


async def test_without_redis_a_report_is_in_mongodb_before_it_is_acknowledged(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given a session that runs
    title, session = await start_film(ada)
    # when Redis is away
    relay.cut()
    applied = await reports.report_progress(ada, session, 0, 10.0)
    # then the report is stored, says so, and waits to be told to Redis
    assert applied.applied
    assert applied.progress is not None
    assert (applied.progress.position_seconds, applied.progress.durable) == (10.0, True)
    assert await positions() == [10.0]
    assert await in_redis(runtime, ada, title) is None
    assert await repairs() == 1
    # and sent again it changes nothing
    before = await read_stored_progress()
    assert not await report(ada, session, 0, 10.0)
    assert await read_stored_progress() == before


async def test_without_redis_the_duration_a_player_once_reported_is_known(
    ada: Context, relay: Relay
) -> None:
    # given a player that told that the film is longer than its runtime, before Redis went away
    session, longer = await start_new_session(ada, await film()), RUNTIME_SECONDS * 2.0
    await reports.report_progress(ada, session, 0, 10.0, duration_seconds=longer)
    await flush_progress(ada.runtime)
    relay.cut()
    # then a place behind the runtime counts, and one far behind the length is refused
    assert await report(ada, session, 1, RUNTIME_SECONDS * 1.5)
    before = await read_stored_progress()
    with pytest.raises(ValidationFailed) as raised:
        await report(ada, session, 2, RUNTIME_SECONDS * 2.5)
    assert raised.value.path == ["positionSeconds"]
    assert await read_stored_progress() == before


async def test_redis_learns_what_was_written_past_it(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given two reports of which Redis knows the first, not flushed yet
    title, session = await start_film(ada)
    await report(ada, session, 0, 10.0)
    relay.cut()
    await report(ada, session, 1, 20.0)
    # when Redis is back
    await back(ada, relay)
    # then the second is read at once, though Redis still has the first
    assert await in_redis(runtime, ada, title) == 10.0
    assert (await read(ada, title)).position_seconds == 20.0
    # and what is flushed late takes nothing back
    assert await flush_and_read(runtime) == [20.0]
    # and when it is adopted, Redis has it, nothing is open, and reads ask Redis alone
    assert await adopt_progress(ada.runtime) == 1
    assert await in_redis(runtime, ada, title) == 20.0
    assert await repairs() == 0
    assert not ada.progress_repairs.is_set
    assert await flush_and_read(runtime) == [20.0]
    assert (await read(ada, title)).durable
    # and the session goes on
    assert await report(ada, session, 2, 30.0)
    assert await in_redis(runtime, ada, title) == 30.0


async def test_a_report_whose_answer_was_lost_counts_once(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given a report near the end that Redis takes, but whose answer is swallowed
    title, session = await start_film(ada)
    await report(ada, session, 0, 5000.0)
    relay.is_mute = True
    assert await report(ada, session, 1, 5900.0)
    assert await in_redis(runtime, ada, title) == 5900.0
    assert await positions() == [5900.0]
    # when it is sent again, and another after it
    assert not await report(ada, session, 1, 5900.0)
    assert await report(ada, session, 2, 5910.0)
    # and all comes together
    await back(ada, relay)
    assert await flush_and_read(runtime) == [5910.0]
    await adopt_progress(ada.runtime)
    await flush_progress(runtime, "worker-1")
    # then the last is what all have, and it was watched once
    (row,) = await read_stored_progress()
    assert (row["position_seconds"], row["watch_count"]) == (5910.0, 1)
    assert await in_redis(runtime, ada, title) == 5910.0


async def test_reports_that_redis_took_in_the_same_millisecond_are_older(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given more reports in one moment than it has milliseconds
    now = ada.runtime.clock()
    still = Context(replace(ada.runtime, clock=lambda: now), ada.viewer)
    title, session = await start_film(still)
    for sequence in range(8):
        await report(still, session, sequence, 10.0 + sequence)
    # when the next of that moment goes past Redis
    relay.cut()
    await report(still, session, 8, 18.0)
    # then it is the newest, wherever they meet
    relay.mend()
    assert await flush_and_read(runtime) == [18.0]
    assert await adopt_progress(runtime) == 1
    assert await in_redis(runtime, ada, title) == 18.0


async def test_what_redis_takes_after_it_came_back_is_not_undone_by_adoption(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given a report past Redis, and a later one that Redis takes before it learns of the first
    title, session = await start_film(ada)
    relay.cut()
    await report(ada, session, 0, 10.0)
    await back(ada, relay)
    await report(ada, session, 1, 20.0)
    # when the first is adopted
    await adopt_progress(ada.runtime)
    # then the later one stays, in Redis and in MongoDB
    assert await in_redis(runtime, ada, title) == 20.0
    assert await flush_and_read(runtime) == [20.0]
    assert await repairs() == 0


async def test_a_report_sent_again_after_later_ones_takes_nothing_back(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given reports past Redis, whose answers never came
    title, session = await start_film(ada)
    await report(ada, session, 0, 10.0)
    relay.cut()
    for sequence in (1, 2, 3):
        await report(ada, session, sequence, 10.0 + sequence)
    # when Redis is back and takes the first of them once more
    await back(ada, relay)
    assert await report(ada, session, 1, 11.0)
    # then the last stays read and stored, and Redis gets it
    assert (await read(ada, title)).position_seconds == 13.0
    assert await flush_and_read(runtime) == [13.0]
    await adopt_progress(ada.runtime)
    assert await in_redis(runtime, ada, title) == 13.0
    assert await flush_and_read(runtime) == [13.0]
    assert not await report(ada, session, 3, 13.0)


async def test_a_report_sent_again_past_redis_takes_nothing_back(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given reports that Redis took, not flushed yet
    title, session = await start_film(ada)
    await report(ada, session, 0, 10.0)
    await flush_progress(runtime, "worker-1")
    for sequence in (1, 2, 3):
        await report(ada, session, sequence, 10.0 + sequence)
    # when the first of them comes once more while Redis is away
    relay.cut()
    assert await report(ada, session, 1, 11.0)
    # then the last is read as soon as Redis is back, and comes to be stored
    await back(ada, relay)
    assert (await read(ada, title)).position_seconds == 13.0
    await flush_progress(runtime, "worker-1")
    assert await adopt_progress(ada.runtime) == 1
    assert await in_redis(runtime, ada, title) == 13.0
    assert await flush_and_read(runtime) == [13.0]


async def test_without_both_stores_a_report_is_refused_and_changes_nothing(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given progress in both
    title, session = await start_film(ada)
    await report(ada, session, 0, 10.0)
    await flush_progress(runtime, "worker-1")
    before = await read_stored_progress()
    # when neither answers in time
    relay.cut()
    with mongodb_out_of_time(), pytest.raises(UpstreamUnavailable) as caught:
        await reports.report_progress(ada, session, 1, 20.0)
    # then the player is told to come back, and nothing has changed
    assert caught.value.retry_after_seconds == 1
    assert await read_stored_progress() == before
    assert await in_redis(runtime, ada, title) == 10.0
    assert await repairs() == 0
    # and sent again later it is taken
    await back(ada, relay)
    assert await report(ada, session, 1, 20.0)


async def test_a_shard_at_its_bound_is_written_past(runtime: Runtime, ada: Context) -> None:
    # given a stream that holds one entry, and has it
    small = ada.runtime.settings.model_copy(update={"progress_shard_entries": 1})
    tight = replace(ada.runtime, playback=playback_on(ada.runtime, small, ada.runtime.state_redis))
    ada = viewer_of(tight)
    title, session = await start_film(ada)
    await report(ada, session, 0, 10.0)
    # when more comes
    assert await report(ada, session, 1, 20.0)
    # then it is in MongoDB, read at once, and adopted only when there is room
    assert await positions() == [20.0]
    assert (await read(ada, title)).position_seconds == 20.0
    assert await adopt_progress(tight) == 0
    assert await repairs() == 1
    await flush_progress(runtime, "worker-1")
    assert await adopt_progress(tight) == 1
    assert await in_redis(runtime, ada, title) == 20.0
    assert await positions() == [20.0]
    # and without MongoDB the player is told to wait
    with mongodb_out_of_time(), pytest.raises(UpstreamUnavailable) as caught:
        await reports.report_progress(ada, session, 2, 30.0)
    assert caught.value.retry_after_seconds == 10


async def test_a_redis_out_of_memory_is_written_past_and_drains(
    runtime: Runtime, redis: Client, ada: Context
) -> None:
    # given a report in the stream, and a Redis that takes no more
    await flush_progress(runtime, "worker-1")
    title, session = await start_film(ada)
    await report(ada, session, 0, 10.0)
    await redis.config_set("maxmemory", 1)
    try:
        # when more comes
        assert await report(ada, session, 1, 20.0)
        # then it is in MongoDB, and read
        assert await positions() == [20.0]
        assert (await read(ada, title)).position_seconds == 20.0
        # and the stream is emptied all the same
        assert await flush_progress(runtime, "worker-1") == 1
        assert (await runtime.playback.stream.backlog()).entries == 0
        assert await adopt_progress(ada.runtime) == 0
    finally:
        await redis.config_set("maxmemory", 0)
        await until(redis.guard.allows_writes)  # it is believed to be full for a moment
    assert await adopt_progress(ada.runtime) == 1
    assert await in_redis(runtime, ada, title) == 20.0


async def test_many_at_once_past_redis_leave_the_last(ada: Context, relay: Relay) -> None:
    _, session = await start_film(ada)
    relay.cut()
    # when reports of one session race
    outcomes = await asyncio.gather(
        *(reports.report_progress(ada, session, n, 10.0 + n) for n in range(8)),
        return_exceptions=True,
    )
    # then each is answered or refused, and what is stored is not below what any was told
    states = [one.progress for one in outcomes if isinstance(one, reports.ReportResult)]
    refused = [one for one in outcomes if isinstance(one, Exception)]
    assert {type(one) for one in refused} <= {UpstreamUnavailable}
    (position,) = await positions()
    assert position == max(one.position_seconds for one in states if one is not None)
    assert await repairs() == 1


async def test_a_session_opened_without_redis_goes_on_when_it_is_back(
    runtime: Runtime, ada: Context, relay: Relay
) -> None:
    # given a session that MongoDB alone knows
    title = await film()
    relay.cut()
    session = await start_new_session(ada, title)
    await report(ada, session, 0, 10.0)
    # when Redis is back, before and after it learned of the progress
    await back(ada, relay)
    assert await report(ada, session, 1, 20.0)
    await adopt_progress(ada.runtime)
    assert await report(ada, session, 2, 30.0)
    # then it has them, and a late repeat is not taken
    assert await in_redis(runtime, ada, title) == 30.0
    assert not await report(ada, session, 1, 20.0)
    assert await flush_and_read(runtime) == [30.0]


async def test_a_last_position_is_stored_without_redis(ada: Context, relay: Relay) -> None:
    _, session = await start_film(ada)
    relay.cut()
    stopped = await sessions.stop_playback(ada, session, 77.0)
    assert stopped.applied
    assert await positions() == [77.0]


async def test_past_redis_too_others_sessions_are_not_found(ada: Context, relay: Relay) -> None:
    # given another viewer's session
    session = await start_new_session(ada, await film())
    bob = viewer_of(ada.runtime, "bob")
    relay.cut()
    # when bob reports to it
    with pytest.raises(SessionNotFound):
        await reports.report_progress(bob, session, 0, 10.0)
    # then nothing is stored; and of an unknown one nobody can say that there is none
    with pytest.raises(UpstreamUnavailable):
        await reports.report_progress(bob, ids.new("session"), 0, 10.0)
    assert await read_stored_progress() == []
    assert await repairs() == 0


async def test_a_repair_written_to_since_it_was_read_stays_open(runtime: Runtime) -> None:
    # given a repair that a worker read
    await models.open_repair("user_1", "movie_1")
    (seen,) = await models.list_open_repairs(10)
    # when it is written to before the worker is done
    await models.open_repair("user_1", "movie_1")
    await models.close_repairs([seen])
    # then it stays, until that is seen too
    (again,) = await models.list_open_repairs(10)
    assert again.version == seen.version + 1
    await models.close_repairs([again])
    assert await models.list_open_repairs(10) == []


async def test_an_api_process_learns_of_repairs_that_others_opened(runtime: Runtime) -> None:
    own = replace(runtime, playback=playback_on(runtime, runtime.settings, runtime.redis))
    assert not own.playback.repairs.is_set
    # when another process wrote past Redis
    await models.open_repair("user_1", "movie_1")
    await look_for_repairs(own)
    assert own.playback.repairs.is_set
    # then it is known until it is adopted; a look that began before another opening ends nothing
    await adopt_progress(own)
    assert not own.playback.repairs.is_set
    snapshot = own.playback.repairs.snapshot
    own.playback.repairs.set()
    own.playback.repairs.update(snapshot, is_set=False)
    assert own.playback.repairs.is_set


async def test_health_tells_of_a_state_redis_of_its_own(ada: Context, relay: Relay) -> None:
    health = await health_and_metrics.health(ada)
    assert [one.name for one in health.checks] == ["database", "cache", "state"]
    assert health.status is health_and_metrics.HealthStatus.HEALTHY
    relay.cut()
    ada.runtime.ops.health_cache.forget(health_and_metrics.HEALTH_KEY)
    health = await health_and_metrics.health(ada)
    away = [
        one.name
        for one in health.checks
        if one.status is not health_and_metrics.HealthStatus.HEALTHY
    ]
    assert (health.status, away) == (health_and_metrics.HealthStatus.DEGRADED, ["state"])
