"""A session that began while MongoDB was away does not overwrite what nobody could read."""

from __future__ import annotations

import pymongo
import pytest

from resolvers.context import Context, Runtime
from resolvers.playback import progress, reports, sessions
from services.playback.keys import ProgressKeys
from services.redis.pool import Client
from tests.support.clock import Clock
from tests.support.playback_fixtures import PHONE, film, start_new_session, viewer_of
from tests.support.runtimes import with_changes
from workers.flush_progress import flush_progress


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ada(runtime: Runtime, clock: Clock) -> Context:
    return viewer_of(with_changes(runtime, clock=clock))


async def start_blind(ada: Context, redis: Client, clock: Clock) -> tuple[str, str]:
    """A film at 3000 that Redis has let go of, begun without MongoDB; its id, the session's."""
    assert ada.viewer is not None
    title = await film()
    session = await start_new_session(ada, title)
    await reports.report_progress(ada, session, 0, 3000)
    await flush_progress(ada.runtime, "worker-1")
    await redis.delete(ProgressKeys(8).progress(ada.viewer.user_id, title))
    clock.now += 7200
    with pymongo.timeout(0.000_001):
        started = await sessions.start_playback(viewer_of(ada.runtime), title, PHONE)
    assert (started.progress, started.session.position_seconds) == (None, 0)
    return title, started.session.id


async def read_position(ada: Context, title: str) -> float:
    live = (await progress.progress_of(viewer_of(ada.runtime), [title]))[title]
    assert live is not None
    return live.position_seconds


async def test_a_session_begun_without_mongodb_does_not_overwrite_what_it_has_not_seen(
    ada: Context, redis: Client, clock: Clock
) -> None:
    title, session = await start_blind(ada, redis, clock)
    # when it plays for longer than a session that just passes by
    for sequence in range(10):
        clock.now += 10
        result = await reports.report_progress(ada, session, sequence, 10.0 * sequence + 2)
        # then what is stored counts on
        assert result.progress is not None and result.progress.position_seconds == 3000
    assert await read_position(ada, title) == 3000


async def test_a_session_begun_without_mongodb_counts_once_it_has_caught_up(
    ada: Context, redis: Client, clock: Clock
) -> None:
    title, session = await start_blind(ada, redis, clock)
    clock.now += 100
    await reports.report_progress(ada, session, 0, 100)
    # when it comes beyond what is stored
    clock.now += 3000
    await reports.report_progress(ada, session, 1, 3001)
    assert await read_position(ada, title) == 3001
    # then it goes on as any other
    clock.now += 10
    await reports.report_progress(ada, session, 2, 2990)
    assert await read_position(ada, title) == 2990


async def test_a_viewer_who_seeks_in_a_session_begun_without_mongodb_is_obeyed(
    ada: Context, redis: Client, clock: Clock
) -> None:
    title, session = await start_blind(ada, redis, clock)
    clock.now += 100
    await reports.report_progress(ada, session, 0, 60, seeked=True)
    assert await read_position(ada, title) == 60


async def test_a_session_begun_without_mongodb_is_whole_where_redis_knows_the_title(
    ada: Context, redis: Client, clock: Clock
) -> None:
    # given a title that Redis still has
    title = await film()
    session = await start_new_session(ada, title)
    await reports.report_progress(ada, session, 0, 3000)
    clock.now += 7200
    # when it begins without MongoDB, from the start
    with pymongo.timeout(0.000_001):
        started = await sessions.start_playback(
            viewer_of(ada.runtime), title, PHONE, start_at_seconds=0
        )
    assert started.progress is not None
    # then it takes over after a minute as any other
    clock.now += 92
    await reports.report_progress(ada, started.session.id, 0, 92)
    assert await read_position(ada, title) == 92
