"""Processes with different numbers of shards never hide progress from each other."""

from __future__ import annotations

import pytest

from resolvers.context import Runtime
from resolvers.playback import progress, reports
from resolvers.playback.opening import open_playback
from services.errors import StartupError
from services.playback.keys import ProgressKeys
from services.playback.layout import ProgressLayout
from services.redis import cache_keys
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.playback_fixtures import film, start_film, start_new_session, viewer_of
from tests.support.runtimes import playback_on, with_changes
from workers.flush_progress import flush_progress

EIGHT, TWELVE = 8, 12
KEYS = ProgressKeys(EIGHT)


async def end_all(redis: Client, shards: int) -> None:
    """All processes with this number of shards ended long ago."""
    await redis.hset(cache_keys.PROGRESS_LAYOUTS, str(shards), "1000")


async def test_processes_of_one_layout_start_beside_each_other(redis: Client) -> None:
    await ProgressLayout(redis, EIGHT).join()
    await ProgressLayout(redis, EIGHT).join()
    assert await redis.hkeys(cache_keys.PROGRESS_LAYOUTS) == [b"8"]


async def test_a_process_with_another_number_of_shards_does_not_start_in_a_rolling_restart(
    runtime: Runtime, settings: Settings, redis: Client
) -> None:
    # given processes that run
    await runtime.playback.layout.join()
    # when one is started with another number
    changed = settings.model_copy(update={"progress_shards": TWELVE})
    with pytest.raises(StartupError, match="PROGRESS_SHARDS is 12, but running processes use 8"):
        async with open_playback(changed, redis):
            pass
    # then the others are not disturbed
    await runtime.playback.layout.join()


async def test_a_new_layout_waits_until_the_old_one_is_flushed(
    runtime: Runtime, redis: Client
) -> None:
    # given processes that ended before all was flushed
    await runtime.playback.layout.join()
    context = viewer_of(runtime)
    _, session = await start_film(context)
    await reports.report_progress(context, session, 0, 10.0)
    await end_all(redis, EIGHT)
    # then no other layout may begin
    with pytest.raises(StartupError, match="progress waits in 8 shards"):
        await ProgressLayout(redis, TWELVE).join()
    # and it may once that is stored
    await flush_progress(runtime, "worker-1")
    await ProgressLayout(redis, TWELVE).join()
    assert await redis.hkeys(cache_keys.PROGRESS_LAYOUTS) == [b"12"]
    # so that those of the old one are now the others
    with pytest.raises(StartupError, match="running processes use 12"):
        await runtime.playback.layout.join()


async def test_a_layout_that_comes_back_does_not_bring_its_old_positions_along(
    runtime: Runtime, settings: Settings, redis: Client
) -> None:
    # given a film at 300 in one layout, and at 1500 in the one that followed
    await runtime.playback.layout.join()
    twelve = settings.model_copy(update={"progress_shards": TWELVE})
    later = with_changes(runtime, playback=playback_on(runtime, twelve, redis))
    title = await film()
    for process, seconds, before in ((runtime, 300.0, None), (later, 1500.0, EIGHT)):
        if before is not None:
            await end_all(redis, before)
        await process.playback.layout.join()
        session = await start_new_session(viewer_of(process), title)
        await reports.report_progress(viewer_of(process), session, 0, seconds)
        await flush_progress(process, "worker-1")
    # when the first comes back
    await end_all(redis, TWELVE)
    await runtime.playback.layout.join()
    # then the film is where it was last
    live = (await progress.progress_of(viewer_of(runtime), [title]))[title]
    assert live is not None and live.position_seconds == 1500


async def test_what_is_not_flushed_is_not_cleared_with_an_old_layout(
    runtime: Runtime, redis: Client
) -> None:
    # given a title whose entry became a dead letter: it waits in no stream
    await runtime.playback.layout.join()
    context = viewer_of(runtime)
    title, session = await start_film(context)
    await reports.report_progress(context, session, 0, 10.0)
    assert context.viewer is not None
    user_id = context.viewer.user_id
    await redis.delete(KEYS.stream(KEYS.shard(user_id)))
    await end_all(redis, EIGHT)
    # when another layout begins
    await ProgressLayout(redis, TWELVE).join()
    # then Redis still has it
    assert await redis.exists(KEYS.progress(user_id, title)) == 1
