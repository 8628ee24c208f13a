"""Memory kept right by Redis: who changes a key elsewhere is heard, and so is silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.cache.cache import Cache
from services.cache.tracking import CacheTracking
from services.redis import pool
from services.redis.cache_keys import tracked_prefix
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support import swallowed_cancellation
from tests.support.caching import (
    CODEC,
    KIND,
    connect_relayed,
    mark_changed,
    read_memory,
    read_redis,
    remember,
    store_values,
    track_cache,
)
from tests.support.processes import until
from tests.support.relay import start_relay

NOTICE_SECONDS = 2.0
SLACK_SECONDS = 1.5  # of a busy machine


@pytest.fixture
async def cache(redis: Client, settings: Settings) -> AsyncIterator[Cache]:
    """Tracked, and the only one of its process."""
    cache = Cache(redis)
    async with track_cache(cache, settings):
        assert cache.uses_memory
        yield cache


@pytest.fixture
async def other(redis: Client, settings: Settings) -> AsyncIterator[Client]:
    """Another process's connection."""
    client = pool.connect(settings)
    yield client
    await client.aclose()


async def hold(cache: Cache, redis: Client, *keys: str) -> None:
    """Keys in Redis and in memory."""
    await store_values(Cache(redis), dict.fromkeys(keys, "old"))
    await remember(cache, *keys)


async def listeners(redis: Client) -> list[int]:
    """Ids of the connections that changes are told to."""
    clients = await redis.client_list(_type="pubsub")
    return [int(client["id"]) for client in clients]


@pytest.mark.parametrize("how", ["replaced", "made stale", "forgotten"])
async def test_a_key_that_changes_elsewhere_leaves_memory(
    cache: Cache, redis: Client, other: Client, how: str
) -> None:
    await hold(cache, redis, "movie:1", "movie:2")
    if how == "replaced":
        entries = {"movie:1": cache.build_entry(KIND, "new")}
        await Cache(other).store(KIND, CODEC, entries, replaces=True)
    elif how == "made stale":
        assert await Cache(other).mark_stale(["movie:1"]) == 1
    else:
        await Cache(other).invalidate(["movie:1"])
    # then it, and it alone
    await until(lambda: "movie:1" not in read_memory(cache, "movie:1"), 2)
    assert read_memory(cache, "movie:1", "movie:2") == {"movie:2": "old"}


async def test_a_pattern_that_is_dropped_elsewhere_leaves_memory(
    cache: Cache, redis: Client, other: Client
) -> None:
    await hold(cache, redis, "movie:1", "movie:2")
    assert await Cache(other).invalidate_pattern("movie:*") == 2
    await until(lambda: read_memory(cache, "movie:1", "movie:2") == {}, 2)


async def test_values_that_are_stored_anew_are_no_change(
    cache: Cache, redis: Client, other: Client
) -> None:
    changes = cache.changes
    # when this process and another fill what was missing, and a value expires
    for by, key in ((cache, "movie:1"), (Cache(other), "movie:2")):
        token, _ = await by.acquire([key])
        await by.fill(KIND, CODEC, {key: by.build_entry(KIND, "film")}, token, by.changes)
        for _ in range(2):
            await store_values(by, {key + "0": "film"})
    await other.pexpireat("movie:2", 1)
    # then nobody is told, whereas of a change everybody is, after what came before it
    await mark_changed(other, "movie:3")
    await until(lambda: cache.changes > changes, 2)
    assert cache.changes == changes + 1
    assert read_memory(cache, "movie:1", "movie:10") == {"movie:1": "film", "movie:10": "film"}


async def test_a_change_of_no_cached_key_is_not_received(
    cache: Cache, redis: Client, other: Client
) -> None:
    await hold(cache, redis, "movie:1")
    changes = cache.changes
    await other.set("user:1:session", b"state")
    await other.xadd("metrics:live", {"a": b"b"})
    await mark_changed(other, "movie:2")
    await until(lambda: cache.changes > changes, 2)
    assert cache.changes == changes + 1


async def test_a_flush_empties_memory(cache: Cache, redis: Client, other: Client) -> None:
    await hold(cache, redis, "movie:1", "movie:2")
    await other.flushdb()
    await until(lambda: read_memory(cache, "movie:1", "movie:2") == {}, 2)
    assert cache.trusts_memory


async def test_a_change_reaches_memory_in_milliseconds(
    cache: Cache, redis: Client, other: Client
) -> None:
    took = []
    for _ in range(30):
        await hold(cache, redis, "movie:1")
        started = time.perf_counter()
        await mark_changed(other, "movie:1")
        while read_memory(cache, "movie:1"):
            await asyncio.sleep(0)
        took.append(time.perf_counter() - started)
    assert sorted(took)[15] < 0.1


async def test_only_changes_of_keys_with_our_prefix_are_received(
    redis: Client, other: Client, settings: Settings
) -> None:
    cache = Cache(redis, prefix="ours:")
    async with track_cache(cache, settings, prefix="ours:"):
        changes = cache.changes
        await mark_changed(other, "movie:1")
        await mark_changed(other, "movie:1", "theirs:")
        await mark_changed(other, "movie:2", "ours:")
        await until(lambda: cache.changes > changes, 2)
        assert cache.changes == changes + 1


async def test_a_key_of_strange_bytes_disturbs_nothing(
    cache: Cache, redis: Client, other: Client
) -> None:
    changes = cache.changes
    await other.set(b"changed:movie:\xff\xfe", b"x")
    await until(lambda: cache.changes > changes, 2)
    await hold(cache, redis, "movie:1")
    await mark_changed(other, "movie:1")
    await until(lambda: read_memory(cache, "movie:1") == {}, 2)
    assert cache.trusts_memory


async def test_a_killed_connection_is_noticed_at_once_and_memory_emptied_before_it_is_trusted(
    redis: Client, other: Client, settings: Settings
) -> None:
    cache = Cache(redis)
    async with start_relay(settings.redis_url or "") as relay, track_cache(cache, settings, relay):
        await hold(cache, redis, "movie:1")
        # when it is cut, and the film changes while nobody tells us
        started = time.monotonic()
        relay.cut()
        await until(lambda: not cache.trusts_memory, 2)
        assert time.monotonic() - started < 1
        await other.set("movie:1", b"new")
        # then memory answers nothing, and takes nothing in
        assert read_memory(cache, "movie:1") == {}
        await cache.fetch(KIND, CODEC, ["movie:1"])
        assert read_memory(cache, "movie:1") == {}
        # and when it is back, it begins empty
        relay.mend()
        await until(lambda: cache.trusts_memory, 5)
        assert cache.peek_stale(["movie:1"]) == {}
        await hold(cache, redis, "movie:1")


async def test_redis_closing_the_connection_is_noticed(
    cache: Cache, redis: Client, other: Client
) -> None:
    await hold(cache, redis, "movie:1")
    lost = asyncio.create_task(until(lambda: not cache.trusts_memory, 2))
    await asyncio.sleep(0)
    for client_id in await listeners(other):
        await other.client_kill_filter(_id=str(client_id))
    await lost
    await until(lambda: cache.trusts_memory, 5)
    assert read_memory(cache, "movie:1") == {}
    # and changes are told again, on the new connection
    await hold(cache, redis, "movie:1")
    await mark_changed(other, "movie:1")
    await until(lambda: read_memory(cache, "movie:1") == {}, 2)


async def test_a_connection_that_fell_silent_is_noticed_within_two_seconds(
    redis: Client, other: Client, settings: Settings
) -> None:
    cache = Cache(redis)
    async with start_relay(settings.redis_url or "") as relay, track_cache(cache, settings, relay):
        await hold(cache, redis, "movie:1")
        started = time.monotonic()
        relay.is_silent = True
        await other.set("movie:1", b"new")
        await until(lambda: not cache.trusts_memory, NOTICE_SECONDS + SLACK_SECONDS)
        assert time.monotonic() - started > 1.3
        assert read_memory(cache, "movie:1") == {}
        # and when it speaks again, memory is trusted, and empty
        relay.mend()
        await until(lambda: cache.trusts_memory, 10)
        assert read_memory(cache, "movie:1") == {}


async def test_a_quiet_hour_is_no_silence(cache: Cache, redis: Client) -> None:
    await hold(cache, redis, "movie:1")
    changes = cache.changes
    ended = time.monotonic() + NOTICE_SECONDS + 0.3
    while time.monotonic() < ended:
        assert cache.trusts_memory
        await asyncio.sleep(0.01)
    assert (cache.changes, read_memory(cache, "movie:1")) == (changes, {"movie:1": "old"})


async def test_without_redis_at_the_start_memory_is_trusted_once_it_is_there(
    redis: Client, settings: Settings
) -> None:
    async with start_relay(settings.redis_url or "") as relay:
        relay.cut()
        cache = Cache(redis)
        async with track_cache(cache, settings, relay):
            assert not cache.trusts_memory
            await store_values(cache, {"movie:1": "film"})
            assert read_memory(cache, "movie:1") == {}
            relay.mend()
            await until(lambda: cache.trusts_memory, 5)


async def test_pending_invalidations_are_sent_once_redis_is_back(
    redis: Client, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        cache = Cache(through)
        async with track_cache(cache, settings, relay):
            await store_values(cache, {"movie:1": "old", "movie:2": "film"})
            relay.cut()
            await cache.invalidate(["movie:1"])
            assert cache.has_pending
            # when Redis is back, then nobody has to ask for it
            relay.mend()
            await until(lambda: not cache.has_pending, 5)
            assert await read_redis(Cache(redis), "movie:1", "movie:2") == {"movie:2": "film"}


async def test_an_invalidation_that_one_command_lost_is_sent_though_the_connection_never_broke(
    redis: Client, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        cache = Cache(through)
        async with track_cache(cache, settings):  # straight
            await store_values(cache, {"movie:1": "old"})
            relay.cut()
            await cache.invalidate(["movie:1"])
            relay.mend()
            await until(lambda: not cache.has_pending, 5)
            assert await read_redis(Cache(redis), "movie:1") == {}
            assert cache.trusts_memory


async def test_closing_ends_a_listening_that_cannot_be_cancelled(
    redis: Client, settings: Settings
) -> None:
    # given a connection whose library swallows being cancelled
    cache = Cache(redis)
    async with swallowed_cancellation.connect(settings) as deaf:
        tracking = CacheTracking(deaf, cache, tracked_prefix(""))
        await tracking.start(wait_seconds=10)
        assert tracking.is_listening
        # when the tracking is closed, it ends all the same
        async with asyncio.timeout(15):
            await tracking.aclose()
    assert not cache.trusts_memory


# a Redis that comes back older


async def go_back(redis: Client, snapshot: dict[bytes, bytes]) -> None:
    """Redis as it was, as started again from a snapshot: no connection outlives it."""
    await redis.flushdb()
    for key, value in snapshot.items():
        await redis.restore(key, 0, value, replace=True)
    await redis.execute_command("DEBUG", "CHANGE-REPL-ID")
    await redis.client_kill_filter(_type="pubsub")


async def take_snapshot(redis: Client) -> dict[bytes, bytes]:
    return {key: await redis.dump(key) for key in await redis.keys("*")}


async def test_a_redis_that_comes_back_older_serves_nothing_of_before(
    cache: Cache, redis: Client
) -> None:
    # given a snapshot of Redis, and a change after it
    await store_values(cache, {"movie:1": "old", "movie:2": "as ever"})
    snapshot = await take_snapshot(redis)
    await cache.invalidate(["movie:1"])
    assert await read_redis(cache, "movie:1") == {}

    # when Redis comes back as it was in the snapshot
    await go_back(redis, snapshot)

    # then nothing of it is served, not even at first
    async with asyncio.timeout(10):
        while cache.trusts_redis:  # its end has not been noticed
            await asyncio.sleep(0)
        while not cache.trusts_redis:
            assert await read_redis(cache, "movie:1", "movie:2") == {}
            await asyncio.sleep(0.005)
    assert await read_redis(cache, "movie:1", "movie:2") == {}
    # and what is stored from now on is
    await store_values(cache, {"movie:1": "new"})
    assert await read_redis(cache, "movie:1") == {"movie:1": "new"}


async def test_a_connection_that_ends_costs_no_entry(cache: Cache, redis: Client) -> None:
    await store_values(cache, {"movie:1": "here"})
    await redis.client_kill_filter(_type="pubsub")
    await until(lambda: not cache.trusts_redis, 2)
    await until(lambda: cache.trusts_redis, 5)
    assert await read_redis(cache, "movie:1") == {"movie:1": "here"}
