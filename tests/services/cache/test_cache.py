"""The two tiers: what they hold and how long, who may fill them, what a change keeps out."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import pytest

from services.cache.cache import Cache, Codec, Entry, Lease
from services.cache.memory import MemoryTier
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.conftest import CountCommands
from tests.support.caching import (
    CODEC,
    KIND,
    connect_relayed,
    connect_through,
    read_memory,
    read_redis,
    store_values,
)
from tests.support.clock import Clock
from tests.support.processes import until
from tests.support.relay import start_relay


@pytest.fixture
def cache(redis: Client, clock: Clock) -> Cache:
    return Cache(redis, clock=clock)


def another(redis: Client, clock: Clock) -> Cache:
    """As another process has it."""
    return Cache(redis, clock=clock)


async def test_an_entry_is_fresh_then_stale_then_gone(
    cache: Cache, redis: Client, clock: Clock
) -> None:
    (entry,) = (await store_values(cache, {"movie:1": "old"})).values()
    clock.now = entry.fresh_until - 0.001
    entries = await cache.fetch(KIND, CODEC, ["movie:1", "movie:2"])
    assert entries == {"movie:1": entry}
    # when it is past its time, it is still to be had, and says so itself
    clock.now = entry.fresh_until
    assert read_memory(cache, "movie:1") == {}
    (stale,) = (await cache.fetch(KIND, CODEC, ["movie:1"])).values()
    assert stale.fresh_until <= clock.now < stale.stale_until
    # and Redis itself drops it when it may not even answer stale
    assert 1089 <= await redis.ttl("movie:1") <= 1100
    assert await redis.pexpireat("movie:1", 1)  # its time is over
    assert await cache.fetch(KIND, CODEC, ["movie:1"]) == {}


async def test_memory_has_all_keys_fresh_or_answers_for_none(cache: Cache, clock: Clock) -> None:
    # given two values and what is known to be missing
    await store_values(cache, {"movie:1": "one", "movie:2": "two", "movie:3": None})
    assert cache.peek_all(["movie:2", "movie:3", "movie:1"]) == ["two", None, "one"]
    assert cache.peek_all([]) == []
    # when one is not there, or not fresh, or no longer to be trusted, then none is answered
    assert cache.peek_all(["movie:1", "movie:4"]) is None
    clock.now += 59.9
    assert cache.peek_all(["movie:1", "movie:2"]) == ["one", "two"]
    assert cache.peek_all(["movie:1", "movie:3"]) is None
    cache.trusts_memory = False
    assert cache.peek_all(["movie:1"]) is None


async def test_memory_trusts_nothing_longer_than_a_minute(cache: Cache, clock: Clock) -> None:
    await store_values(cache, {"movie:1": "old"})
    clock.now += 59.9
    assert read_memory(cache, "movie:1") == {"movie:1": "old"}
    clock.now += 0.1
    assert read_memory(cache, "movie:1") == {}
    assert await read_redis(cache, "movie:1") == {"movie:1": "old"}


def test_lifetimes_are_spread_and_never_longer_than_configured(cache: Cache, clock: Clock) -> None:
    entries = [cache.build_entry(KIND, "film") for _ in range(1000)]
    lives = [entry.fresh_until - clock.now for entry in entries]
    assert 90 <= min(lives) < 92 < 98 < max(lives) <= 100
    assert {entry.stale_until - entry.fresh_until for entry in entries} == {1000.0}
    # and what does not exist is kept for half a minute and never answers stale
    missing = [cache.build_entry(KIND, None) for _ in range(1000)]
    assert all(27 <= entry.fresh_until - clock.now <= 30 for entry in missing)
    assert all(entry.stale_until == entry.fresh_until for entry in missing)


async def test_what_is_known_not_to_exist_is_cached(cache: Cache, redis: Client) -> None:
    await store_values(cache, {"movie:1": None})
    assert await read_redis(cache, "movie:1") == {"movie:1": None}
    assert 26 <= await redis.ttl("movie:1") <= 30


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"not of ours", b"\x94\x01\xcb\x00"])
async def test_bytes_of_another_version_are_a_miss(cache: Cache, redis: Client, raw: bytes) -> None:
    await store_values(cache, {"movie:1": "film"})
    changed_shape = replace(KIND, version=KIND.version + 1)
    assert await cache.fetch(changed_shape, CODEC, ["movie:1"]) == {}
    assert await cache.fetch(KIND, Codec[int](int), ["movie:1"]) == {}
    await redis.set("movie:1", raw)
    assert await cache.fetch(KIND, CODEC, ["movie:1"]) == {}


async def test_a_batch_is_one_mget_and_one_call_to_store(
    cache: Cache, count_commands: CountCommands
) -> None:
    keys = [f"movie:{number}" for number in range(300)]
    await store_values(cache, dict.fromkeys(keys, "film"))  # also loads the script
    await count_commands.reset()
    await store_values(cache, dict.fromkeys(keys, "film"))
    stored = await count_commands.redis_commands()
    assert stored["evalsha"] == 1
    await count_commands.reset()
    assert len(await read_redis(cache, *keys)) == 300
    assert await count_commands.redis_commands() == {"mget": 1}
    # and memory asks nobody
    await count_commands.reset()
    assert len(read_memory(cache, *keys)) == 300
    assert await count_commands.redis_commands() == {}


async def test_one_process_at_a_time_may_read_a_missing_thing(
    cache: Cache, redis: Client, clock: Clock
) -> None:
    token, mine = await cache.acquire(["movie:1", "movie:2"])
    _, theirs = await another(redis, clock).acquire(["movie:2", "movie:3"])
    assert mine == {"movie:1": Lease.OURS, "movie:2": Lease.OURS}
    assert theirs == {"movie:2": Lease.LOST, "movie:3": Lease.OURS}
    # and a process that died in the midst holds nobody up for longer than two seconds
    assert 1500 < await redis.pttl("lease:movie:1") <= 2000
    # when it is stored, the lease ends, and the next is told that a value is there
    entries = {"movie:1": cache.build_entry(KIND, "film")}
    await cache.fill(KIND, CODEC, entries, token, cache.changes)
    assert (await another(redis, clock).acquire(["movie:1"]))[1] == {"movie:1": Lease.FILLED}


async def test_the_next_reader_learns_that_an_entry_changed_moments_ago(
    cache: Cache, redis: Client, clock: Clock
) -> None:
    await cache.invalidate(["movie:1"])
    _, leases = await another(redis, clock).acquire(["movie:1", "movie:2"])
    assert leases == {"movie:1": Lease.CHANGED, "movie:2": Lease.OURS}
    assert 9_000 < await redis.pttl("changed:movie:1") <= 10_000


@pytest.mark.parametrize("who_changes", ["this process", "another process"])
async def test_what_changed_while_it_was_read_is_stored_nowhere(
    cache: Cache, redis: Client, clock: Clock, who_changes: str
) -> None:
    # given a reader that has read the old film, with nothing in Redis that could tell of a change
    token, leases = await cache.acquire(["movie:1"])
    assert leases == {"movie:1": Lease.OURS}
    since, old = cache.changes, {"movie:1": cache.build_entry(KIND, "old")}
    # when a writer changes it meanwhile
    writer = cache if who_changes == "this process" else another(redis, clock)
    await writer.invalidate(["movie:1"])
    # then the old one is kept out: of Redis, and of the reader's memory
    await cache.fill(KIND, CODEC, old, token, since)
    assert read_memory(cache, "movie:1") == {}
    assert await read_redis(cache, "movie:1") == {}
    # also when it was read without a lease, on the way to something else
    await cache.store(KIND, CODEC, old, since)
    assert read_memory(cache, "movie:1") == {}
    assert await read_redis(cache, "movie:1") == {}
    # and whoever reads it next may store it
    token, leases = await writer.acquire(["movie:1"])
    assert leases == {"movie:1": Lease.CHANGED}
    new = {"movie:1": writer.build_entry(KIND, "new")}
    await writer.fill(KIND, CODEC, new, token, writer.changes)
    assert await read_redis(cache, "movie:1") == {"movie:1": "new"}


async def test_a_lease_that_ran_out_stores_nothing(
    cache: Cache, redis: Client, clock: Clock
) -> None:
    # given a reader so slow that another one took over and stored
    token, _ = await cache.acquire(["movie:1"])
    assert await redis.pexpireat("lease:movie:1", 1)  # its time is over
    other = another(redis, clock)
    others_token, _ = await other.acquire(["movie:1"])
    await cache.fill(
        KIND, CODEC, {"movie:1": cache.build_entry(KIND, "slow")}, token, cache.changes
    )
    assert await read_redis(other, "movie:1") == {}
    entries = {"movie:1": other.build_entry(KIND, "quick")}
    await other.fill(KIND, CODEC, entries, others_token, other.changes)
    assert await read_redis(cache, "movie:1") == {"movie:1": "quick"}


async def test_for_ten_seconds_after_a_change_nothing_stale_is_stored(
    cache: Cache, redis: Client
) -> None:
    await cache.invalidate(["movie:1"])
    await store_values(cache, {"movie:1": "perhaps old", "movie:2": "film"})
    assert await read_redis(cache, "movie:1", "movie:2") == {"movie:2": "film"}
    assert read_memory(cache, "movie:1", "movie:2") == {"movie:2": "film"}
    # when the mark is gone by itself
    assert await redis.pexpireat("changed:movie:1", 1)  # its time is over
    await store_values(cache, {"movie:1": "new"})
    assert await read_redis(cache, "movie:1") == {"movie:1": "new"}


@pytest.mark.parametrize("pattern", ["of the key", "of everything", "of too many keys to remember"])
async def test_what_is_forgotten_on_its_way_here_is_not_remembered(
    cache: Cache, pattern: str
) -> None:
    # given an answer of Redis under way
    since, entries = cache.changes, {"movie:1": cache.build_entry(KIND, "old")}
    # when word of a change overtakes it
    if pattern == "of the key":
        cache.apply_invalidations([b"changed:movie:1"])
    elif pattern == "of everything":
        cache.apply_invalidations(None)
    else:
        cache.apply_invalidations([b"changed:movie:1"])
        for number in range(2, 10_100):
            cache.apply_invalidations([b"changed:movie:%d" % number])
    cache.remember(entries, since)
    # then it is not kept
    assert read_memory(cache, "movie:1") == {}
    # but what is read from now on is
    cache.remember(entries, cache.changes)
    assert read_memory(cache, "movie:1") == {"movie:1": "old"}


async def test_forgetting_drops_everywhere_and_says_how_many_there_were(
    cache: Cache, redis: Client, clock: Clock
) -> None:
    invalidated: list[list[str] | None] = []
    cache.on_invalidate(lambda keys: invalidated.append(None if keys is None else list(keys)))
    keys = [f"movie:{number}" for number in range(1200)]
    await store_values(cache, dict.fromkeys(keys, "film"))
    # when more are forgotten than go into one command, some twice, some that are not there
    assert await cache.invalidate([*keys, "movie:0", "movie:none"]) == 1200
    assert read_memory(cache, *keys) == {}
    assert await read_redis(another(redis, clock), *keys) == {}
    # then whoever made something of them heard it once
    assert invalidated == [[*keys, "movie:none"]]
    assert await cache.invalidate([]) == 0


async def test_invalidations_that_redis_missed_are_sent_later(
    redis: Client, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        cache, reader = Cache(through), Cache(redis)
        await store_values(cache, {"movie:1": "old", "movie:2": "film"})
        # given a network that is cut between us and Redis
        relay.cut()
        assert await cache.invalidate(["movie:1"]) == 0
        assert read_memory(cache, "movie:1") == {}
        assert cache.has_pending
        # when it is still cut, nothing gets lost
        await cache.flush_pending()
        assert cache.has_pending
        assert await read_redis(reader, "movie:1") == {"movie:1": "old"}
        # when it is there again, we do not read from it what we know to be old
        relay.mend()
        await until(lambda: cache.uses_redis, 3)
        assert await read_redis(cache, "movie:1", "movie:2") == {"movie:2": "film"}
        await cache.flush_pending()
        assert not cache.has_pending
        assert await read_redis(reader, "movie:1", "movie:2") == {"movie:2": "film"}
        assert (await reader.acquire(["movie:1"]))[1] == {"movie:1": Lease.CHANGED}


async def test_what_is_owed_is_bounded_and_then_all_that_is_cached_goes(
    redis: Client, settings: Settings
) -> None:
    async with connect_relayed(settings) as (relay, through):
        cache = Cache(through)
        await store_values(cache, {"movie:kept": "film"})
        await redis.set("user:1:session", "state, not cache")
        relay.cut()
        await cache.invalidate(f"movie:{number}" for number in range(10_001))
        relay.mend()
        await cache.flush_pending()
        assert not cache.has_pending
        assert [key async for key in redis.scan_iter("movie:*")] == []
        assert await redis.get("user:1:session") == b"state, not cache"


async def test_ageing_leaves_the_value_and_its_end_but_not_its_freshness(
    cache: Cache, redis: Client, clock: Clock
) -> None:
    entries = await store_values(cache, {"movie:1": "film", "movie:2": None})
    await redis.set("movie:strange", b"not of ours")
    await redis.expire("movie:1", 500)
    assert await cache.mark_stale(["movie:1", "movie:strange", "movie:none"]) == 1
    # then memory asks Redis, and finds it stale, with as long to live as before
    assert read_memory(cache, "movie:1") == {}
    (entry,) = (await cache.fetch(KIND, CODEC, ["movie:1"])).values()
    assert entry == entries["movie:1"]._replace(fresh_until=clock.now)
    assert 498 <= await redis.ttl("movie:1") <= 500
    assert await redis.get("movie:strange") == b"not of ours"
    assert await redis.exists("movie:none") == 0
    # and what is stale already does not become less so
    clock.now += 50
    assert await cache.mark_stale(["movie:1"]) == 1
    assert (await cache.fetch(KIND, CODEC, ["movie:1"]))["movie:1"] == entry


async def test_memory_is_bounded_and_keeps_what_came_last(redis: Client, clock: Clock) -> None:
    cache = Cache(redis, memory_entries=100, clock=clock)
    keys = [f"movie:{number}" for number in range(1000)]
    for key in keys:
        cache.remember(
            {key: cache.build_entry(KIND, "film"), "movie:often": cache.build_entry(KIND, "x")}, 0
        )
        assert len(read_memory(cache, *keys, "movie:often")) <= 100
    remembered = read_memory(cache, *keys)
    assert len(remembered) >= 70
    assert list(remembered) == keys[-len(remembered) :]
    # and what is read again and again stays, however long ago it came first
    assert read_memory(cache, "movie:often") == {"movie:often": "x"}


def test_memory_counts_bytes_and_drops_what_may_not_be_served_any_more(clock: Clock) -> None:
    # given room for 100 KB
    memory = MemoryTier(max_entries=10_000, max_bytes=100_000, clock=clock)
    for number in range(1_000):
        memory.put(f"movie:{number}", Entry("film", clock.now + 30, clock.now + 30, 1_000))
        assert memory.bytes <= 100_000
    # then it has the newest, as many as have room, and a long key counts
    assert 15 <= len(memory.entries) <= 22
    assert list(memory.entries)[-1] == "movie:999"
    memory.put("movie:" + "x" * 70_000, Entry("film", clock.now + 99, clock.now + 99, 10))
    assert len(memory.entries) <= 2
    # when the time of one is over, then it goes, though nobody asks for it
    memory.put("movie:1", Entry("film", clock.now + 30, clock.now + 30, 1_000))
    clock.now += 61
    memory.sweep()
    assert [key[:8] for key in memory.entries] == ["movie:xx"]
    clock.now += 61
    memory.sweep()
    assert (memory.entries, memory.bytes) == ({}, 0)


async def test_every_key_begins_with_the_prefix(redis: Client, clock: Clock) -> None:
    ours = Cache(redis, prefix="ours:", clock=clock)
    theirs = Cache(redis, prefix="theirs:", clock=clock)
    await ours.acquire(["movie:1"])
    await store_values(ours, {"movie:2": "film"})
    await ours.invalidate(["movie:3"])
    await ours.register_lists({"movie:list:all:x": (["movies:all"], b"x")})
    await ours.lists.read_changing(["movies:all"])
    assert {key async for key in redis.scan_iter()} == {
        b"ours:lease:ours:movie:1",
        b"ours:movie:2",
        b"ours:changed:ours:movie:3",
        b"ours:lists:movies:all",
        b"ours:listed:" + blake2b(b"x", digest_size=16).hexdigest().encode(),
        b"ours:changed:lists:movies:all",
    }
    # and neither sees or drops what is the other's
    assert await read_redis(theirs, "movie:2") == {}
    assert await theirs.invalidate(["movie:2"]) == 0
    assert await theirs.invalidate_pattern("*") == 1  # its own mark of change
    assert await read_redis(ours, "movie:2") == {"movie:2": "film"}
    # and word of a change comes with the prefix
    ours.apply_invalidations([b"ours:changed:ours:movie:2"])
    assert read_memory(ours, "movie:2") == {}


async def test_forgetting_all_of_a_kind_keeps_out_what_is_being_read(
    cache: Cache, redis: Client
) -> None:
    await store_values(cache, {"movie:1": "old", "person:1": "Ada"})
    token, _ = await cache.acquire(["movie:2"])
    since = cache.changes
    assert await cache.invalidate_pattern("movie:*") == 1
    await cache.fill(KIND, CODEC, {"movie:2": cache.build_entry(KIND, "old")}, token, since)
    assert await read_redis(cache, "movie:1", "movie:2", "person:1") == {"person:1": "Ada"}
    assert read_memory(cache, "movie:1", "movie:2") == {}


@pytest.mark.parametrize(
    ("tiers", "is_remembered"), [("memory", True), ("redis", False), ("none", False)]
)
async def test_each_tier_works_without_the_other(
    redis: Client, tiers: str, is_remembered: bool, count_commands: CountCommands
) -> None:
    cache = Cache(redis, tiers=tiers)
    await store_values(cache, {"movie:1": "film"})
    assert ("movie:1" in read_memory(cache, "movie:1")) is is_remembered
    assert ("movie:1" in await read_redis(cache, "movie:1")) is (tiers == "redis")
    assert cache.enabled is (tiers != "none")
    await cache.invalidate(["movie:1"])
    assert read_memory(cache, "movie:1") == await read_redis(cache, "movie:1") == {}


async def test_with_redis_away_everybody_may_read_and_nothing_is_stored(
    settings: Settings, redis: Client
) -> None:
    async with start_relay(settings.redis_url or "") as relay:
        relay.cut()
        async with connect_through(relay, settings) as through:
            cache = Cache(through)
            assert await read_redis(cache, "movie:1") == {}
            token, leases = await cache.acquire(["movie:1"])
            assert leases == {"movie:1": Lease.OURS}
            entries = {"movie:1": cache.build_entry(KIND, "film")}
            # nobody would tell of a change: not even memory keeps it
            await cache.fill(KIND, CODEC, entries, token, cache.changes)
            await cache.store(KIND, CODEC, entries)
            assert read_memory(cache, "movie:1") == {}
            assert await cache.mark_stale(["movie:1"]) == 0
            assert not (
                await cache.register_lists({"movie:list:all:x": (["movies:all"], b"")})
            ).may_store
