"""Sessions that run go on after Redis lost them: MongoDB has their records."""

from __future__ import annotations

import pytest

from resolvers.context import Context, Runtime
from resolvers.playback import history, reports, sessions
from services.errors import SessionNotFound
from services.redis.pool import Client
from tests.support.clock import Clock
from tests.support.playback_fixtures import film, start_new_session, viewer_of
from tests.support.runtimes import with_changes
from workers.flush_progress import flush_progress


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ada(runtime: Runtime, clock: Clock) -> Context:
    return viewer_of(with_changes(runtime, clock=clock))


async def play(ada: Context, clock: Clock, seconds: int) -> str:
    """A session that has reported every ten seconds, all of it flushed; its id."""
    session = await start_new_session(ada, await film())
    for sequence in range(seconds // 10):
        clock.now += 10
        await reports.report_progress(ada, session, sequence, 10.0 * (sequence + 1))
    await flush_progress(ada.runtime, "worker-1")
    return session


async def test_a_running_session_goes_on_after_redis_was_emptied(
    ada: Context, redis: Client, clock: Clock
) -> None:
    session = await play(ada, clock, 120)
    # when Redis is emptied
    await redis.flushdb()
    # then the session is still read
    resumed = await sessions.playback_session(ada, session)
    assert resumed is not None and resumed.position_seconds == 120
    # and a repeat is one, and the next report counts
    clock.now += 10
    assert not (await reports.report_progress(ada, session, 11, 5.0)).applied
    result = await reports.report_progress(ada, session, 12, 130.0)
    assert result.applied and result.progress is not None
    assert result.progress.position_seconds == 130
    assert [one.id for one in await sessions.now_playing(ada)] == [session]


async def test_the_history_of_a_lost_session_counts_on(
    ada: Context, redis: Client, clock: Clock
) -> None:
    session = await play(ada, clock, 120)
    (before,) = (await history.history(ada)).entries
    await redis.flushdb()
    clock.now += 10
    await reports.report_progress(ada, session, 12, 130.0)
    await flush_progress(ada.runtime, "worker-1")
    # then what was watched before is not lost
    (after,) = (await history.history(ada)).entries
    assert after.id == before.id
    assert before.watched_seconds <= after.watched_seconds <= before.watched_seconds + 10


async def test_a_session_that_ended_does_not_come_back(
    ada: Context, redis: Client, clock: Clock
) -> None:
    session = await play(ada, clock, 120)
    await sessions.stop_playback(ada, session, 120.0)
    await flush_progress(ada.runtime, "worker-1")
    await redis.flushdb()
    with pytest.raises(SessionNotFound):
        await reports.report_progress(ada, session, 20, 300.0)
    assert await sessions.playback_session(ada, session) is None


async def test_a_session_silent_for_an_hour_does_not_come_back(
    ada: Context, redis: Client, clock: Clock
) -> None:
    session = await play(ada, clock, 120)
    await redis.flushdb()
    clock.now += 3601
    with pytest.raises(SessionNotFound):
        await reports.report_progress(ada, session, 12, 130.0)
    assert await sessions.playback_session(ada, session) is None


async def test_a_session_played_for_hours_goes_on_after_redis_was_emptied(
    ada: Context, redis: Client, clock: Clock
) -> None:
    # given one that began long ago and reported a moment ago
    session = await start_new_session(ada, await film())
    for sequence in range(3):
        clock.now += 3000
        await reports.report_progress(ada, session, sequence, 1000.0 * (sequence + 1))
    await flush_progress(ada.runtime, "worker-1")
    await redis.flushdb()
    clock.now += 60
    assert (await reports.report_progress(ada, session, 3, 3060.0)).applied


async def test_a_lost_session_is_nobody_elses(
    ada: Context, redis: Client, clock: Clock, runtime: Runtime
) -> None:
    session = await play(ada, clock, 120)
    await redis.flushdb()
    bob = viewer_of(with_changes(runtime, clock=clock), "bob")
    with pytest.raises(SessionNotFound):
        await reports.report_progress(bob, session, 12, 130.0)
