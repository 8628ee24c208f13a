"""A Redis that comes back older than what was acknowledged takes no position back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

import models
from resolvers.context import Context, Runtime
from resolvers.playback import marks, offline_batch, progress, reports, sessions
from services.redis.pool import Client
from tests.support.playback_fixtures import (
    PHONE,
    build_offline_report,
    film,
    read_stored_progress,
    start_new_session,
    viewer_of,
)
from tests.support.time_travel import Snapshot
from workers.flush_progress import flush_progress

TABLET = models.Device(key="tablet-1", name=None, kind=models.DeviceKind.MOBILE)


async def report_all(
    context: Context, session: str, positions: Sequence[float], first: int
) -> None:
    for sequence, position in enumerate(positions, first):
        await reports.report_progress(context, session, sequence, position)


async def go_back(runtime: Runtime, redis: Client, *, flush_before: bool) -> tuple[str, str]:
    """A film at 1500 in MongoDB and, once more, at 300 in Redis; its id and the session's."""
    context, title = viewer_of(runtime), await film()
    session = await start_new_session(context, title)
    await report_all(context, session, [100, 200, 300], 0)
    if flush_before:
        await flush_progress(runtime, "worker-1")
    snapshot = await Snapshot(redis).take()
    await report_all(context, session, [600, 900, 1200, 1500], 3)
    await flush_progress(runtime, "worker-1")
    assert await read_positions(runtime, title) == (1500, 1500)
    await snapshot.restore()
    return title, session


async def read_positions(runtime: Runtime, title: str) -> tuple[float, float]:
    """As a viewer reads it, and as MongoDB has it once all is flushed."""
    await flush_progress(runtime, "worker-2")
    live = (await progress.progress_of(viewer_of(runtime), [title]))[title]
    (stored,) = await read_stored_progress()
    assert live is not None
    return live.position_seconds, stored["position_seconds"]  # type: ignore[return-value]


@pytest.mark.parametrize("flush_before", [True, False])
async def test_a_durable_position_stays_when_redis_comes_back_older(
    runtime: Runtime, redis: Client, flush_before: bool
) -> None:
    title, _ = await go_back(runtime, redis, flush_before=flush_before)
    # when it is read before anything is flushed again
    live = (await progress.progress_of(viewer_of(runtime), [title]))[title]
    # then it is where MongoDB has it, and so it stays
    assert live is not None
    assert (live.position_seconds, live.durable) == (1500, True)
    assert await read_positions(runtime, title) == (1500, 1500)
    # and a new session begins there
    started = await sessions.start_playback(viewer_of(runtime), title, PHONE)
    assert started.session.position_seconds == 1500


@pytest.mark.parametrize("flush_before", [True, False])
async def test_a_report_from_before_the_loss_does_not_overwrite_what_is_stored(
    runtime: Runtime, redis: Client, flush_before: bool
) -> None:
    title, session = await go_back(runtime, redis, flush_before=flush_before)
    # when a report comes that Redis no longer knows to be a repeat
    applied = await reports.report_progress(viewer_of(runtime), session, 3, 310)
    # then MongoDB decides
    assert not applied.applied
    assert applied.progress is not None and applied.progress.position_seconds == 1500
    assert await read_positions(runtime, title) == (1500, 1500)


@pytest.mark.parametrize("flush_before", [True, False])
async def test_another_devices_first_report_does_not_overwrite_what_is_stored(
    runtime: Runtime, redis: Client, flush_before: bool
) -> None:
    title, _ = await go_back(runtime, redis, flush_before=flush_before)
    other = (await sessions.start_playback(viewer_of(runtime), title, TABLET)).session.id
    await reports.report_progress(viewer_of(runtime), other, 0, 310)
    assert await read_positions(runtime, title) == (1500, 1500)


async def test_the_session_goes_on_from_what_is_stored(runtime: Runtime, redis: Client) -> None:
    # given a Redis that went back, and its player that knows nothing of it
    title, session = await go_back(runtime, redis, flush_before=True)
    # when it reports on
    applied = await reports.report_progress(viewer_of(runtime), session, 7, 1510)
    # then that counts, and is counted above what was stored
    assert applied.applied
    assert applied.progress is not None and applied.progress.version == 8
    assert await read_positions(runtime, title) == (1510, 1510)


async def test_changes_without_a_session_go_on_from_what_is_stored(
    runtime: Runtime, redis: Client
) -> None:
    title, _ = await go_back(runtime, redis, flush_before=True)
    # when an offline event older than what is stored arrives, and a dismissal
    context = viewer_of(runtime)
    await build_offline_report(context, title, 310, ago=60)
    assert await read_positions(runtime, title) == (1500, 1500)
    await marks.dismiss(context, title)
    # then the position stays
    assert await read_positions(runtime, title) == (1500, 1500)
    (stored,) = await read_stored_progress()
    assert stored["dismissed_at_ms"]


async def test_after_one_comparison_redis_is_trusted_again(runtime: Runtime, redis: Client) -> None:
    # given a title that was compared by its first report
    title, session = await go_back(runtime, redis, flush_before=True)
    await reports.report_progress(viewer_of(runtime), session, 7, 1510)
    # when MongoDB has something that Redis did not see
    where = {"playable_id": title}
    await models.ViewingProgress.get_pymongo_collection().delete_many(where)
    # then it is not asked again
    applied = await reports.report_progress(viewer_of(runtime), session, 8, 1520)
    assert applied.progress is not None and applied.progress.version == 9


async def test_what_only_redis_had_is_still_flushed_after_it_came_back(
    runtime: Runtime, redis: Client
) -> None:
    # given a report that was not flushed, in a Redis that restarts without loss
    context, title = viewer_of(runtime), await film()
    session = await start_new_session(context, title)
    await report_all(context, session, [100, 200], 0)
    await (await Snapshot(redis).take()).restore()
    # then it is read, and goes to MongoDB
    live = (await progress.progress_of(viewer_of(runtime), [title]))[title]
    assert live is not None
    assert (live.position_seconds, live.durable) == (200, False)
    assert await read_positions(runtime, title) == (200, 200)


async def test_an_offline_batch_sent_again_after_the_loss_moves_nothing(
    runtime: Runtime, redis: Client
) -> None:
    # given a batch that Redis has forgotten, while MongoDB has its outcome
    context, title = viewer_of(runtime), await film()
    snapshot = await Snapshot(redis).take()
    now = datetime.fromtimestamp(runtime.clock(), UTC)
    event = offline_batch.OfflineReport(title, PHONE.key, "event-1", 700.0, None, now)
    await offline_batch.report_progress_batch(context, [event], now)
    await flush_progress(runtime, "worker-1")
    (before,) = await read_stored_progress()
    await snapshot.restore()
    # when it is sent again
    again = await offline_batch.report_progress_batch(viewer_of(runtime), [event], now)
    # then nothing that its viewer sees has changed
    (live,) = again.progress
    await flush_progress(runtime, "worker-1")
    (stored,) = await read_stored_progress()
    names = ("position_seconds", "furthest_seconds", "watch_count", "completed")
    assert {name: stored[name] for name in names} == {name: before[name] for name in names}
    assert live.position_seconds == 700
