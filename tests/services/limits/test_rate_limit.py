"""The rate limiter: exact between processes, cheap for who asks often, and honest about cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.limits.rate_limit import Admission, QuotaKey, RateLimiter
from services.limits.sliding_window import SlidingWindows
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry.metrics import REGISTRY
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.processes import until

Change = Callable[..., Settings]


@pytest.fixture
def limited(settings: Settings, redis: Client) -> Change:
    """On an empty Redis."""

    def change(**changes: object) -> Settings:
        return settings.model_copy(update={"rate_limit_mode": "enforce", **changes})

    return change


@asynccontextmanager
async def process(settings: Settings, clock: Clock) -> AsyncIterator[RateLimiter]:
    """A limiter with connections of its own."""
    client = pool.connect(settings)
    limiter = RateLimiter(settings, SlidingWindows(client, clock), clock)
    try:
        yield limiter
    finally:
        await limiter.aclose()
        await client.aclose()


async def points_counted(redis: Client, key: QuotaKey) -> int:
    """In both parts of time; nothing for what is not there."""
    stored = await redis.get(key.redis_key)
    return sum(int(one) for one in stored.split()[3:]) if stored else 0


async def counted(redis: Client, key: QuotaKey) -> int:
    stored = await redis.get(key.redis_key)
    return sum(int(one) for one in stored.split()[1:3]) if stored else 0


def metric(tier: str, outcome: str) -> float:
    labels = {"tier": tier, "outcome": outcome}
    return REGISTRY.get_sample_value("rate_limited_total", labels) or 0.0


async def test_two_processes_let_exactly_the_limit_through(
    limited: Change, clock: Clock, redis: Client
) -> None:
    # given two processes and a limit of 100
    async with process(limited(), clock) as one, process(limited(), clock) as other:
        key = one.user_key("FREE", "u1")
        # when 200 requests come at once
        decisions = await asyncio.gather(
            *(limiter.admit(key, 10) for _ in range(100) for limiter in (one, other))
        )
    assert sum(admission.is_allowed for admission in decisions) == 100
    assert await counted(redis, key) == 100


async def test_two_processes_let_exactly_the_limit_through_one_after_another(
    limited: Change, clock: Clock, redis: Client
) -> None:
    """Then each holds some ahead, which must neither be lost nor used twice."""
    async with process(limited(), clock) as one, process(limited(), clock) as other:
        key = one.user_key("FREE", "u1")

        async def ask(limiter: RateLimiter) -> int:
            admitted = 0
            for _ in range(100):
                admitted += (await limiter.admit(key, 10)).is_allowed
                await asyncio.sleep(0)
            return admitted

        assert sum(await asyncio.gather(ask(one), ask(other))) == 100
        assert await counted(redis, key) == 100


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 1500), st.integers(1, 60)), max_size=80)
)
async def test_never_more_than_the_limits_pass(
    limited: Change, redis: Client, steps: list[tuple[bool, int, int]]
) -> None:
    await redis.flushdb()
    clock = Clock()
    few = limited(rate_limit_max_requests=40, rate_limit_max_cost=900)
    passed: list[tuple[float, int]] = []
    async with process(few, clock) as one, process(few, clock) as other:
        for is_first, wait_ms, points in steps:
            clock.now += wait_ms / 1000
            limiter = one if is_first else other
            admission = await limiter.admit(one.user_key("FREE", "u1"), points)
            if admission.is_allowed:
                passed.append((clock.now, points))
            # then of the part of time that runs, no more passed than may
            part = [cost for at, cost in passed if at // 60 == clock.now // 60]
            assert len(part) <= 40
            assert sum(part) <= 900


async def test_a_stranger_waits_for_redis_and_who_asks_often_does_not(
    limited: Change, clock: Clock, count_commands: CountCommands
) -> None:
    async with process(limited(rate_limit_max_requests=10_000), clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        # given somebody unknown
        assert limiter.admit_now(key, 1) is None
        await limiter.admit(key, 1)
        await count_commands.reset()
        # when 1,000 operations come within a second
        for _ in range(1000):
            assert (await limiter.admit(key, 1)).is_allowed
        # then Redis was asked a few times
        assert (await count_commands.redis_commands())["evalsha"] <= 12


async def test_what_is_held_and_not_used_is_free_again_after_a_second(
    limited: Change, clock: Clock, redis: Client
) -> None:
    async with process(limited(), clock) as limiter:
        # given three operations in a row, for which more was counted ahead
        key = limiter.user_key("FREE", "u1")
        for _ in range(3):
            admission = await limiter.admit(key, 10)
        assert await counted(redis, key) > 3
        # then key asks is told of what is held as free
        assert (admission.remaining_requests, admission.remaining_points) == (97, 50_000 - 30)
        # when a second passes
        clock.now += 1.1

        async def is_returned() -> bool:
            return await counted(redis, key) == 3

        await until(is_returned, 10)
        assert await points_counted(redis, key) == 30


async def test_closing_gives_back_what_is_held(
    limited: Change, clock: Clock, redis: Client
) -> None:
    async with process(limited(), clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        for _ in range(4):
            await limiter.admit(key, 10)
    assert (await counted(redis, key), await points_counted(redis, key)) == (4, 40)


async def test_closing_waits_for_what_is_being_returned(
    limited: Change, clock: Clock, redis: Client
) -> None:
    async with process(limited(), clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        for _ in range(5):
            await limiter.admit(key, 10)
        held = await points_counted(redis, key)
        # given a Redis that takes a moment for what is being returned
        await redis.client_pause(500, all=False)
        clock.now += 2
        await asyncio.sleep(0.2)  # the sweeper has sent it
        # when the process ends
        await limiter.aclose()
    # then nothing of it is lost
    assert held > 50
    assert (await counted(redis, key), await points_counted(redis, key)) == (5, 50)


async def test_what_is_held_goes_back_to_the_minute_it_was_counted_in(
    limited: Change, clock: Clock, redis: Client
) -> None:
    async with process(limited(), clock) as limiter:
        # given some held at the end of a minute
        clock.now += 59.5
        key = limiter.user_key("FREE", "u1")
        for _ in range(5):
            await limiter.admit(key, 10)
        minute, prefetched = int(clock.now // 60), await counted(redis, key) - 5
        assert prefetched > 0
        # when Redis is asked in the next one, for more points than are held
        clock.now += 0.7
        await limiter.admit(key, 1000)

        async def is_returned() -> bool:
            return (await redis.get(key.redis_key)).split()[2] == b"5"

        await until(is_returned, 10)
    # then each minute has what ran in it
    assert await redis.get(key.redis_key) == b"%d 1 5 1000 50" % (minute + 1)


@pytest.mark.parametrize(
    ("actual", "charged"), [(0, 0), (30, 30), (100, 100), (5000, 5000), (-5, 0)]
)
async def test_what_an_operation_cost_is_charged_more_or_less_than_was_reserved(
    limited: Change, clock: Clock, redis: Client, actual: int, charged: int
) -> None:
    async with process(limited(), clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        admission = await limiter.admit(key, 100)
        assert await points_counted(redis, key) == 100
        # when it cost something else, told twice
        assert limiter.settle(admission, actual) == charged
        limiter.settle(admission, 0)
    assert await points_counted(redis, key) == charged
    assert await counted(redis, key) == 1


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    operations=st.lists(
        st.tuples(st.integers(0, 40_000), st.integers(1, 200), st.integers(-10, 400)), max_size=30
    )
)
async def test_refunds_leave_what_the_operations_cost(
    limited: Change, redis: Client, operations: list[tuple[int, int, int]]
) -> None:
    await redis.flushdb()
    clock = Clock()
    async with process(limited(), clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        allowed: list[tuple[Admission, int]] = []
        for wait_ms, points, actual in operations:
            clock.now += wait_ms / 1000
            admission = await limiter.admit(key, points)
            if admission.is_allowed:
                allowed.append((admission, max(actual, 0)))
                limiter.settle(admission, actual)
    # then of the two parts of time that are kept, at least what ran is counted
    parts = (int(clock.now // 60), int(clock.now // 60) - 1)
    stored = await redis.get(key.redis_key)
    if stored is None:
        return
    newest = int(stored.split()[0])
    charged = sum(cost for one, cost in allowed if one.result.bucket in (newest, newest - 1))
    assert newest <= parts[0]
    assert await points_counted(redis, key) == charged


async def test_a_refused_one_is_not_counted_and_is_refused_here_for_a_while(
    limited: Change, clock: Clock, redis: Client, count_commands: CountCommands
) -> None:
    before = metric("FREE", "refused")
    async with process(limited(rate_limit_max_requests=3), clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        for _ in range(3):
            await limiter.admit(key, 1)
        refused = await limiter.admit(key, 1)
        # then it says why and for how long
        assert (refused.is_allowed, refused.remaining_requests) == (False, 0)
        assert 60 <= refused.retry_after_seconds <= 120
        # and those that follow cost Redis nothing
        await count_commands.reset()
        assert not (await limiter.admit(key, 1)).is_allowed
        assert limiter.refuse_now(key) is not None
        assert "evalsha" not in await count_commands.redis_commands()
        # and Redis is asked again after a second
        clock.now += 1.1
        assert limiter.refuse_now(key) is None
        assert not (await limiter.admit(key, 1)).is_allowed
    assert await counted(redis, key) == 3
    assert metric("FREE", "refused") == before + 3 + 1


async def test_too_costly_a_one_is_refused_and_a_cheaper_one_passes(
    limited: Change, clock: Clock
) -> None:
    async with process(limited(rate_limit_max_cost=100), clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        assert (await limiter.admit(key, 80)).is_allowed
        assert not (await limiter.admit(key, 30)).is_allowed
        assert limiter.refuse_now(key) is None
        assert (await limiter.admit(key, 20)).is_allowed


async def test_tiers_and_addresses_have_windows_of_their_own(limited: Change, clock: Clock) -> None:
    async with process(limited(rate_limit_anonymous_max_requests=5), clock) as limiter:
        limits = {
            tier: (await limiter.admit(limiter.user_key(tier, "u1"), 1)).remaining_requests + 1
            for tier in ("FREE", "PREMIUM", "API")
        }
        assert limits == {"FREE": 100, "PREMIUM": 1000, "API": 10_000}
        # and two addresses of one household count together, IPv4 in both its spellings too
        for pair in (("2001:db8::1", "2001:db8::ffff:2"), ("192.0.2.1", "::ffff:192.0.2.1")):
            remaining = [
                (await limiter.admit(limiter.address_key(one), 1)).remaining_requests
                for one in (*pair, "192.0.2.200")
            ]
            assert remaining[:2] == [4, 3]


async def test_log_mode_counts_and_lets_everybody_through(
    limited: Change, clock: Clock, redis: Client
) -> None:
    before = metric("FREE", "let_through")
    some = limited(rate_limit_mode="log", rate_limit_max_requests=3)
    async with process(some, clock) as limiter:
        key = limiter.user_key("FREE", "u1")
        decisions = [await limiter.admit(key, 1) for _ in range(5)]
    assert all(admission.is_allowed for admission in decisions)
    assert metric("FREE", "let_through") == before + 2
    assert await counted(redis, key) == 3


async def test_without_redis_each_process_holds_the_limit_for_itself(
    limited: Change, clock: Clock
) -> None:
    without_redis = limited(redis_url="redis://127.0.0.1:1/0", rate_limit_anonymous_max_requests=5)
    before = REGISTRY.get_sample_value("rate_limit_fallbacks_total") or 0.0
    async with process(without_redis, clock) as one, process(without_redis, clock) as other:
        for limiter in (one, other):
            decisions = [await limiter.admit(limiter.address_key("192.0.2.1"), 1) for _ in range(7)]
            assert [one.is_allowed for one in decisions] == [True] * 5 + [False] * 2
            limiter.settle(decisions[0], 0)
    assert (REGISTRY.get_sample_value("rate_limit_fallbacks_total") or 0.0) > before


async def test_who_is_known_is_bounded(
    limited: Change, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given 50,100 addresses (while Redis is away, which is quicker)
    without_redis = limited(redis_url="redis://127.0.0.1:1/0")
    async with process(without_redis, clock) as limiter:
        for number in range(50_100):
            await limiter.admit(limiter.user_key("FREE", str(number)), 1)
        # then the first ones are forgotten
        assert limiter.refuse_now(limiter.user_key("FREE", "0")) is None
        assert len(limiter._quotas) == 50_000
