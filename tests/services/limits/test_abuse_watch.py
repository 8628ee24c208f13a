"""The abuse watch: what makes a prefix suspicious, what follows, and who knows of it."""

from __future__ import annotations

import pytest
import structlog.testing

from services.limits.abuse_rules import (
    AbuseLevel,
    AbuseRules,
    AbuseSignals,
    LocalScore,
    PrefixStatus,
    Signal,
)
from services.limits.abuse_watch import AbuseWatch
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Environment, Settings
from services.telemetry.metrics import REGISTRY
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.relay import start_relay

BAD, NEIGHBOUR, OTHER = "203.0.113.9", "203.0.113.200", "198.51.100.7"
PREFIX = "203.0.113.0/24"
NOTHING = AbuseSignals()


@pytest.fixture
def enforcing(settings: Settings) -> Settings:
    return settings.model_copy(update={"abuse_mode": "enforce"})


@pytest.fixture
def watch(enforcing: Settings, redis: Client, clock: Clock) -> AbuseWatch:
    return AbuseWatch(enforcing, redis, clock)


def level(watch: AbuseWatch, address: str | None = BAD) -> AbuseLevel:
    status = watch.get_status(address)
    return AbuseLevel.NORMAL if status is None else watch.get_level(status)


def score(watch: AbuseWatch, address: str = BAD) -> float:
    status = watch.get_status(address)
    assert status is not None
    return status.score


async def wrong_passwords(watch: AbuseWatch, times: int, address: str = BAD) -> None:
    watch.record_signal(address, Signal.FAILED_SIGN_IN, times)
    await watch.sync()


def requests(watch: AbuseWatch, times: int, address: str = BAD) -> None:
    for _ in range(times):
        watch.record_request(address)


# ---- what is suspicious


async def test_viewers_are_not_suspicious(watch: AbuseWatch, clock: Clock) -> None:
    # given a minute of 40 requests a second, 20 different documents and a few mistakes
    for _ in range(60):
        requests(watch, 40)
        for n in range(20):
            watch.record_document(BAD, f"shape{n}")
        await watch.sync()
        clock.now += 1
    await wrong_passwords(watch, 3)
    # then nothing is held against them
    assert watch.get_status(BAD) is None


async def test_requests_beyond_the_rate_make_slow(watch: AbuseWatch) -> None:
    # when a thousand come at once: 5 are not told, 200 may come at once, the others are too many
    requests(watch, 1000)
    await watch.sync()
    # then
    assert score(watch) == pytest.approx((1000 - 5 - 200) * 0.2)
    assert level(watch) is AbuseLevel.SLOW


async def test_a_steady_flood_ends_in_a_block(watch: AbuseWatch, clock: Clock) -> None:
    seen = []
    for _ in range(10):
        requests(watch, 500)
        await watch.sync()
        if level(watch) not in seen:
            seen.append(level(watch))
        clock.now += 1
    assert seen == [
        AbuseLevel.NORMAL,
        AbuseLevel.SLOW,
        AbuseLevel.DOCUMENTS,
        AbuseLevel.BLOCKED,
    ] or seen == [
        AbuseLevel.SLOW,
        AbuseLevel.DOCUMENTS,
        AbuseLevel.BLOCKED,
    ]


@pytest.mark.parametrize(
    ("signal", "times", "points"),
    [
        (Signal.FAILED_SIGN_IN, 10, 100),
        (Signal.INVALID_REQUEST, 50, 100),
        (Signal.UNKNOWN_DOCUMENT, 50, 100),
        (Signal.COST_REFUSED, 20, 100),
        (Signal.RATE_LIMITED, 100, 100),
    ],
)
async def test_each_signal_has_its_points(
    watch: AbuseWatch, signal: Signal, times: int, points: float
) -> None:
    # given one too few
    watch.record_signal(BAD, signal, times - 1)
    await watch.sync()
    assert level(watch) is AbuseLevel.NORMAL
    # when
    watch.record_signal(BAD, signal)
    await watch.sync()
    # then
    assert (score(watch), level(watch)) == (points, AbuseLevel.SLOW)


async def test_documents_beyond_the_free_ones_are_suspicious(
    watch: AbuseWatch, clock: Clock
) -> None:
    for n in range(70):
        watch.record_document(BAD, f"shape{n}")
    await watch.sync()
    assert score(watch) == 2 * (70 - 20)
    # when the same come again, they are not new
    for n in range(60, 70):
        watch.record_document(BAD, f"shape{n}")
    await watch.sync()
    assert score(watch) == 2 * (70 - 20)


async def test_a_document_seen_by_two_processes_is_one(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    # given two processes that each see the same 60 documents of one prefix
    one, two = (AbuseWatch(enforcing, redis, clock) for _ in range(2))
    for watch in (one, two):
        for n in range(60):
            watch.record_document(BAD, f"shape{n}")
        await watch.sync()
    # then forty are too many, not a hundred
    assert (await one.store.count(PREFIX, NOTHING, clock()))[1].score == 80
    assert level(two) is AbuseLevel.NORMAL


async def test_suspicion_halves_with_time(watch: AbuseWatch, clock: Clock) -> None:
    await wrong_passwords(watch, 15)
    assert level(watch) is AbuseLevel.SLOW
    # a level is left well below what led to it: at 80, not at 100
    clock.now += 54
    assert level(watch) is AbuseLevel.SLOW  # 80.4
    clock.now += 1
    assert level(watch) is AbuseLevel.NORMAL  # 79.5
    # and the next little thing does not bring it back
    await wrong_passwords(watch, 1)
    assert watch.get_status(BAD) is None


# ---- what follows


async def test_levels_follow_the_score(watch: AbuseWatch) -> None:
    seen = []
    for _ in range(8):
        await wrong_passwords(watch, 5)
        seen.append(level(watch))
    assert seen == [0, 1, 1, 2, 2, 2, 2, 3]


async def test_waiting_is_longer_the_worse_it_is(watch: AbuseWatch) -> None:
    waits = []
    for _ in range(3):
        await wrong_passwords(watch, 10)
        status = watch.get_status(BAD)
        assert status is not None
        waits.append(round(watch.get_delay_seconds(status), 3))
    assert waits == [0.2, 0.467, 0.733]
    # and never longer than a second
    worst = PrefixStatus(PREFIX, AbuseLevel.DOCUMENTS, score=1e9, at=watch._clock())
    assert watch.get_delay_seconds(worst) == 1.0


async def test_blocks_end_and_double(watch: AbuseWatch, clock: Clock) -> None:
    lengths = []
    for _ in range(3):
        await wrong_passwords(watch, 40)
        status = watch.get_status(BAD)
        assert status is not None
        assert watch.get_level(status) is AbuseLevel.BLOCKED
        lengths.append(watch.get_block_seconds(status))
        clock.now += lengths[-1] - 0.001
        assert level(watch) is AbuseLevel.BLOCKED
        clock.now += 0.001
        assert level(watch) < AbuseLevel.BLOCKED
    assert lengths == [60, 120, 240]


async def test_a_block_lasts_a_day_at_most(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    watch = AbuseWatch(enforcing, redis, clock)
    for _ in range(14):
        await wrong_passwords(watch, 40)
        status = watch.get_status(BAD)
        assert status is not None
        remaining = watch.get_block_seconds(status)
        clock.now += remaining
    assert remaining == 86_400


async def test_what_is_done_while_blocked_does_not_count(watch: AbuseWatch, clock: Clock) -> None:
    # given
    await wrong_passwords(watch, 40)
    # when a blocked client keeps on trying
    requests(watch, 5000)
    watch.record_signal(BAD, Signal.INVALID_REQUEST, 5000)
    await watch.sync()
    # then the block is no longer, and then over
    status = watch.get_status(BAD)
    assert status is not None
    assert watch.get_block_seconds(status) == 60
    clock.now += 60
    await wrong_passwords(watch, 1)
    assert level(watch) is AbuseLevel.NORMAL


async def test_neighbours_are_in_it_together_and_strangers_are_not(watch: AbuseWatch) -> None:
    await wrong_passwords(watch, 5)
    await wrong_passwords(watch, 5, NEIGHBOUR)
    assert level(watch) is level(watch, NEIGHBOUR) is AbuseLevel.SLOW
    assert level(watch, "::ffff:203.0.113.77") is AbuseLevel.SLOW
    assert level(watch, OTHER) is AbuseLevel.NORMAL
    # of IPv6, a /64
    await wrong_passwords(watch, 10, "2001:db8:1:2::1")
    assert level(watch, "2001:db8:1:2:ffff::9") is AbuseLevel.SLOW
    assert level(watch, "2001:db8:1:3::1") is AbuseLevel.NORMAL


# ---- who is not watched


@pytest.mark.parametrize("address", [None, "", "unknown", "127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_no_address_and_ourselves_are_not_watched(
    watch: AbuseWatch, address: str | None
) -> None:
    watch.record_signal(address, Signal.FAILED_SIGN_IN, 1000)
    watch.record_request(address)
    watch.record_document(address, "shape")
    await watch.sync()
    assert (level(watch, address), len(watch)) == (AbuseLevel.NORMAL, 0)


async def test_in_production_loopback_is_an_address_like_others(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    from_outside = enforcing.model_copy(update={"environment": Environment.PRODUCTION})
    watch = AbuseWatch(from_outside, redis, clock)
    await wrong_passwords(watch, 40, "127.0.0.1")
    assert level(watch, "127.0.0.1") is AbuseLevel.BLOCKED


async def test_exempt_networks_and_proxies_are_not_watched(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    exempt = {"abuse_exempt": "198.51.100.0/24", "trusted_proxies": "203.0.113.9"}
    watch = AbuseWatch(enforcing.model_copy(update=exempt), redis, clock)
    for address in (BAD, OTHER, NEIGHBOUR):
        await wrong_passwords(watch, 40, address)
    # then only the proxy's neighbour is blocked, and the proxy is not blocked with it
    assert [level(watch, one) for one in (BAD, OTHER, NEIGHBOUR)] == [0, 0, 3]
    assert (watch.is_exempt("198.51.100.0/24"), watch.is_exempt(PREFIX)) == (True, False)


async def test_switched_off_it_neither_counts_nor_asks(
    settings: Settings, redis: Client, clock: Clock, count_commands: CountCommands
) -> None:
    watch = AbuseWatch(settings.model_copy(update={"abuse_mode": "off"}), redis, clock)
    await watch.start()
    watch.record_signal(BAD, Signal.FAILED_SIGN_IN, 1000)
    requests(watch, 1000)
    assert (watch.get_status(BAD), len(watch)) == (None, 0)
    assert await count_commands.redis_commands() == {}
    await watch.aclose()


# ---- with other processes


async def test_processes_count_together_and_agree(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    one, two = (AbuseWatch(enforcing, redis, clock) for _ in range(2))
    await wrong_passwords(one, 5)
    await wrong_passwords(two, 5)
    await one.refresh()
    assert level(one) is level(two) is AbuseLevel.SLOW


async def test_a_turn_is_one_write_a_prefix_however_much_was_noted(
    watch: AbuseWatch, count_commands: CountCommands
) -> None:
    await watch.sync()
    await count_commands.reset()
    for address in (BAD, OTHER, NEIGHBOUR):
        watch.record_signal(address, Signal.INVALID_REQUEST)
        requests(watch, 500, address)
    await watch.sync()
    # then two prefixes were written
    commands = await count_commands.redis_commands()
    assert commands["evalsha"] == 2


async def test_few_requests_are_not_sent_to_redis(
    watch: AbuseWatch, clock: Clock, count_commands: CountCommands
) -> None:
    await watch.sync()
    await count_commands.reset()
    for _ in range(20):
        requests(watch, 5)
        await watch.sync()
        clock.now += 1
    commands = await count_commands.redis_commands()
    assert commands.get("hset", 0) == 0


async def test_each_change_is_logged_once(enforcing: Settings, redis: Client, clock: Clock) -> None:
    one, two = (AbuseWatch(enforcing, redis, clock) for _ in range(2))
    blocked = _sample("abuse_transitions_total", level="blocked")
    with structlog.testing.capture_logs() as logs:
        # when a prefix is blocked, and the block ends
        await wrong_passwords(one, 40)
        await two.refresh()
        clock.now += 61
        await two.refresh()
        await one.refresh()
    # then
    changes = [line for line in logs if line["event"] == "abuse_level_changed"]
    assert [(line["prefix"], line["before"], line["after"]) for line in changes] == [
        (PREFIX, "normal", "blocked"),
        (PREFIX, "blocked", "normal"),
    ]
    assert _sample("abuse_transitions_total", level="blocked") == blocked + 1


async def test_the_gauge_tells_how_many_stand_where(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    watch = AbuseWatch(enforcing, redis, clock)
    for times, net in ((10, 1), (10, 2), (20, 3), (40, 4)):
        await wrong_passwords(watch, times, f"198.18.{net}.1")
    await watch.refresh()
    samples = [_sample("abuse_prefixes", level=name) for name in ("slow", "documents", "blocked")]
    assert samples == [2, 1, 1]


# ---- operators


async def test_an_operators_block_holds_everywhere_until_it_ends(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    one, two = (AbuseWatch(enforcing, redis, clock) for _ in range(2))
    await one.store.block(PREFIX, clock() + 600, clock(), "scraping")
    for watch in (one, two):
        await watch.refresh()
        assert level(watch) is AbuseLevel.BLOCKED
    assert await two.store.get_reason(PREFIX) == "scraping"
    # noting does not end it
    await wrong_passwords(two, 1)
    clock.now += 599
    assert level(two) is AbuseLevel.BLOCKED
    clock.now += 1
    assert level(two) is AbuseLevel.NORMAL


async def test_a_lifted_prefix_starts_afresh(watch: AbuseWatch, clock: Clock) -> None:
    # given one that was blocked twice
    await wrong_passwords(watch, 40)
    clock.now += 60
    await wrong_passwords(watch, 40)
    # when
    assert await watch.store.lift(PREFIX) is True
    await watch.refresh()
    # then nothing is held against it, and there is nothing more to lift
    assert watch.get_status(BAD) is None
    assert await watch.store.lift(PREFIX) is False
    # and its next block is a first one
    await wrong_passwords(watch, 40)
    status = watch.get_status(BAD)
    assert status is not None
    assert watch.get_block_seconds(status) == 60


# ---- without Redis


async def test_without_redis_a_process_counts_alone(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    async with start_relay(str(enforcing.redis_url)) as relay:
        hurried = enforcing.model_copy(update={"redis_url": relay.uri, "redis_timeout_ms": 300})
        own = pool.connect(hurried)
        watch = AbuseWatch(hurried, own, clock)
        await wrong_passwords(watch, 10, OTHER)  # known before
        # when Redis goes away
        relay.cut()
        await own.connection_pool.disconnect()
        await wrong_passwords(watch, 20)
        # then
        assert level(watch) is AbuseLevel.DOCUMENTS
        assert level(watch, OTHER) is AbuseLevel.SLOW
        await wrong_passwords(watch, 20)
        assert level(watch) is AbuseLevel.BLOCKED
        clock.now += 60
        assert level(watch) < AbuseLevel.BLOCKED
        # and when it is back, what all know counts
        relay.mend()
        own.guard.record_connection()  # as the first new connection does
        await watch.sync()
        assert level(watch) is AbuseLevel.NORMAL
        await own.aclose()


def test_without_redis_a_flood_is_blocked_and_viewers_are_not(clock: Clock) -> None:
    # given an office at the free rate, and a flood of three times that
    rules = AbuseRules()
    office, flood = LocalScore(PREFIX), LocalScore(OTHER)
    levels = set()
    # when each goes on for two minutes
    for _ in range(240):
        clock.now += 0.5
        office.count(AbuseSignals(rules.requests_per_second // 2), clock(), rules)
        flood.count(AbuseSignals(rules.requests_per_second * 3 // 2), clock(), rules)
        levels.add(flood.get_level_at(clock(), rules))
    # then the flood was slowed and blocked, for a minute each time, and the office never
    assert (office.level, office.score) == (AbuseLevel.NORMAL, 0)
    assert {AbuseLevel.SLOW, AbuseLevel.BLOCKED} <= levels
    assert flood.until - clock() <= rules.block_seconds
    # and some time after the block nothing is held against it
    clock.now += 600
    assert flood.get_level_at(clock(), rules) is AbuseLevel.NORMAL


# ---- bounds


async def test_memory_is_bounded(watch: AbuseWatch) -> None:
    for n in range(12_000):
        watch.record_request(f"10.{n >> 8}.{n & 255}.1")
    assert len(watch) == 10_000


async def test_documents_of_a_prefix_are_bounded_in_redis(watch: AbuseWatch, redis: Client) -> None:
    for n in range(1000):
        watch.record_document(BAD, f"shape{n}")
        if n % 100 == 99:
            await watch.sync()
    keys = [key async for key in redis.scan_iter(match="*documents*")]
    assert [await redis.scard(key) for key in keys] == [256]


async def test_everything_in_redis_ends_but_the_capped_hash(
    watch: AbuseWatch, redis: Client
) -> None:
    watch.record_document(BAD, "shape")
    await wrong_passwords(watch, 40)
    lives = {key.decode(): await redis.ttl(key) async for key in redis.scan_iter(match="*abuse*")}
    assert lives.pop("abuse:standings:{abuse}") == -1
    assert len(lives) == 2
    assert all(0 < seconds <= 2 * 86_400 for seconds in lives.values())


def _sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_who_owns_a_48_fills_no_list_that_others_are_on(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    # given a watch, and an attacker with thousands of /64
    watch = AbuseWatch(enforcing, redis, clock)
    for n in range(5000):
        address = f"2001:db8:7:{n:x}::1"
        watch.record_request(address)
        watch.record_signal(address, Signal.FAILED_SIGN_IN)
        watch.record_document(address, f"{n:016x}")
    # then few of them are noted, and what all do adds up against their /48
    assert len(watch) <= 65
    await watch.sync()
    status = watch.get_status("2001:db8:7:ffff::1")
    assert status is not None
    assert status.prefix == "2001:db8:7::/48"
    assert watch.get_level(status) is AbuseLevel.BLOCKED

    # and another network of the same provider is judged by itself
    assert watch.get_status("2001:db8:8::1") is None
    watch.record_signal("2001:db8:8::1", Signal.FAILED_SIGN_IN, 40)
    await watch.sync()
    other = watch.get_status("2001:db8:8::1")
    assert other is not None
    assert other.prefix == "2001:db8:8::/64"


async def test_viewers_of_one_48_are_not_held_against_each_other(
    enforcing: Settings, redis: Client, clock: Clock
) -> None:
    # given a network of phones, each with a /64 and a mistake
    watch = AbuseWatch(enforcing, redis, clock)
    for n in range(200):
        for _ in range(20):
            watch.record_request(f"2001:db8:7:{n:x}::1")
        watch.record_signal(f"2001:db8:7:{n:x}::1", Signal.INVALID_REQUEST)
    await watch.sync()
    assert all(watch.get_status(f"2001:db8:7:{n:x}::1") is None for n in range(200))
