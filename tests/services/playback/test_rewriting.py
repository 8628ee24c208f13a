"""A MongoDB that was restored from a backup gets again what Redis has."""

from __future__ import annotations

import asyncio

import models
from resolvers.context import Runtime
from resolvers.playback import reports
from server.commands import progress
from services.playback.keys import ProgressKeys
from services.playback.rewriting import rewrite_progress
from services.redis.pool import Client
from tests.support.playback_fixtures import film, read_stored_progress, start_new_session, viewer_of
from workers.flush_progress import flush_progress

KEYS = ProgressKeys(8)
ENTRIES = 10_000


async def report_some(runtime: Runtime) -> None:
    """Ada's positions in two films, in MongoDB, durable."""
    ada = viewer_of(runtime)
    for name, at in (("dune", 50.0), ("brazil", 20.0)):
        await reports.report_progress(ada, await start_new_session(ada, await film(name)), 0, at)
    await flush_progress(runtime, "worker-1")


async def read_positions() -> list[float]:
    return sorted(row["position_seconds"] for row in await read_stored_progress())


async def test_what_a_restored_database_lacks_is_written_again(
    runtime: Runtime, redis: Client
) -> None:
    # given two positions that were durable, and a database restored without one of them
    await report_some(runtime)
    collection = models.ViewingProgress.get_pymongo_collection()
    await collection.delete_one({"position_seconds": 50.0})
    # and with an older and a later state of the other
    assert await read_positions() == [20.0]
    await collection.update_one({}, {"$set": {"position_seconds": 5.0, "stamp_ms": 1}})

    # when all is written again
    assert await progress.rewrite(runtime.settings) == 2
    await flush_progress(runtime, "worker-1")

    # then it is there, and durable: it may expire
    assert await read_positions() == [20.0, 50.0]
    for key in await redis.keys("user:*:progress:*"):
        assert await redis.ttl(key) > 0


async def test_a_later_state_of_the_database_stays(runtime: Runtime, redis: Client) -> None:
    await report_some(runtime)
    later = {"$set": {"position_seconds": 77.0}, "$inc": {"stamp_ms": 1000, "version": 1}}
    collection = models.ViewingProgress.get_pymongo_collection()
    await collection.update_one({"position_seconds": 50.0}, later)
    await progress.rewrite(runtime.settings)
    await flush_progress(runtime, "worker-1")
    assert await read_positions() == [20.0, 77.0]


async def test_a_full_stream_is_waited_for(runtime: Runtime, redis: Client) -> None:
    # given streams that take one entry at a time
    await report_some(runtime)
    await models.ViewingProgress.get_pymongo_collection().delete_many({})
    queueing = asyncio.create_task(rewrite_progress(redis, KEYS, 2, pause_seconds=0.01))
    # when workers flush meanwhile
    async with asyncio.timeout(10):
        while not queueing.done():
            await flush_progress(runtime, "worker-1")
            await asyncio.sleep(0.01)
    await flush_progress(runtime, "worker-1")
    # then all is queued in the end
    assert queueing.result() == 2
    assert await read_positions() == [20.0, 50.0]
