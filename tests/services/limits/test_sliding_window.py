"""The sliding window: against another implementation, in Redis as in memory, and given back."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.storage import memory
from limits.strategies import SlidingWindowCounterRateLimiter

from services.limits.sliding_window import (
    POINTS,
    REQUESTS,
    LocalWindow,
    SlidingWindows,
    WindowLimits,
    WindowResult,
)
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.clock import Clock
from tests.support.thoroughness import share_of

MINUTE_MS = 60_000
START_MS = 1_800_000_000_000  # the beginning of a window, and what a clock shows first


def advance(clock: Clock, ms: int) -> None:
    """Move on to an instant at which no weighted count is a whole number by a hair.

    What remains of the window then shares no divisor with its length.
    """
    clock.now_ms += ms
    while (MINUTE_MS - clock.now_ms % MINUTE_MS) % 30 not in (1, 7, 11, 13, 17, 19, 23, 29):
        clock.now_ms += 1


def storage_on(clock: Clock) -> memory.MemoryStorage:
    """The oracle's storage from a copy of its module, which tells the time by our clock."""
    spec = find_spec(memory.__name__)
    assert spec is not None and spec.loader is not None
    copy = module_from_spec(spec)
    spec.loader.exec_module(copy)
    copy.time = clock
    return copy.MemoryStorage()  # type: ignore[no-any-return]


def in_redis(redis: Client, clock: Clock) -> SlidingWindows:
    return SlidingWindows(redis, clock)


STEPS = st.lists(
    st.tuples(st.integers(0, 45_000) | st.integers(0, 2_000), st.integers(1, 5)),
    min_size=1,
    max_size=60,
)


@settings(
    max_examples=share_of(40, are_new=True),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, limit=st.integers(1, 25))
async def test_it_lets_through_what_the_limits_package_does(
    redis: Client, steps: list[tuple[int, int]], limit: int
) -> None:
    # given the oracle's window on our clock, one in Redis and one in memory
    await redis.flushdb()
    clock, limits = Clock(), WindowLimits(MINUTE_MS, limit)
    oracle = SlidingWindowCounterRateLimiter(storage_on(clock))
    item = RateLimitItemPerMinute(limit)
    windows, window = in_redis(redis, clock), LocalWindow()
    for wait_ms, amount in steps:
        advance(clock, wait_ms)
        # when each is asked for the same
        expected = oracle.hit(item, "who", cost=amount)
        by_script = await windows.acquire("window", limits, amount)
        by_memory = window.acquire(limits, amount, 0, clock.now_ms)
        # then all say the same
        assert (not by_script.refused_by) is expected
        assert (not by_memory.refused_by) is expected
        remaining = oracle.get_window_stats(item, "who").remaining
        assert (by_script.remaining_requests, by_memory.remaining_requests) == (
            remaining,
            remaining,
        )


AMOUNTS = st.tuples(
    st.sampled_from(["take", "take", "back"]),
    st.integers(0, 70_000),
    st.integers(0, 4),
    st.integers(0, 40),
    st.integers(0, 3),
)


@settings(
    max_examples=share_of(60, are_new=True),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(AMOUNTS, max_size=40))
async def test_a_process_alone_counts_as_redis_would(redis: Client, steps: list[Any]) -> None:
    await redis.flushdb()
    clock, limits = Clock(), WindowLimits(MINUTE_MS, 10, 100)
    windows, window = in_redis(redis, clock), LocalWindow()
    buckets = [None, START_MS // MINUTE_MS]
    for what, wait_ms, requests, points, which in steps:
        advance(clock, wait_ms)
        if what == "take":
            by_script = await windows.acquire("window", limits, requests, points)
            by_memory = window.acquire(limits, requests, points, clock.now_ms)
            assert by_memory == by_script._replace(is_local=True)
            buckets.append(by_script.bucket)
        else:
            bucket = buckets[-1 - which % len(buckets)]
            result = None if bucket is None else result_of(bucket)
            await windows.release("window", limits, result, requests, points)
            window.release(limits, -1 if bucket is None else bucket, requests, points, clock.now_ms)


def result_of(bucket: int) -> WindowResult:
    return (
        LocalWindow(bucket)
        .acquire(WindowLimits(MINUTE_MS, 1), 0, 0, bucket * MINUTE_MS)
        ._replace(is_local=False)
    )


async def test_both_or_neither_are_taken(redis: Client) -> None:
    # given a window with room for 3 requests and 10 points
    windows, limits = in_redis(redis, Clock()), WindowLimits(MINUTE_MS, 3, 10)
    first = await windows.acquire("window", limits, 1, 8)
    assert (first.refused_by, first.remaining_requests, first.remaining_points) == (0, 2, 2)
    # when one asks for more points than are left
    refused = await windows.acquire("window", limits, 1, 3)
    # then neither is taken
    assert (refused.refused_by, refused.remaining_requests, refused.remaining_points) == (
        POINTS,
        2,
        2,
    )
    # and one of more requests leaves the points
    refused = await windows.acquire("window", limits, 3, 2)
    assert (refused.refused_by, refused.remaining_requests, refused.remaining_points) == (
        REQUESTS,
        2,
        2,
    )


@pytest.mark.parametrize("earlier", [0, 7, 10])
async def test_it_says_when_a_refused_one_fits(redis: Client, earlier: int) -> None:
    # given a full window, `earlier` of it from the minute before
    clock = Clock()
    windows, limits = in_redis(redis, clock), WindowLimits(MINUTE_MS, 10)
    if earlier:
        await windows.acquire("window", limits, earlier)
    advance(clock, MINUTE_MS + 100)
    while not (refused := await windows.acquire("window", limits)).refused_by:
        clock.now_ms += 1
    # when it is asked again a moment before the time it says, and at that time
    requested_ms = clock.now_ms
    clock.now_ms = requested_ms + refused.retry_ms - 2
    assert (await windows.acquire("window", limits)).refused_by == REQUESTS
    clock.now_ms = requested_ms + refused.retry_ms
    assert (await windows.acquire("window", limits)).refused_by == 0


async def test_more_than_the_limit_never_fits(redis: Client) -> None:
    windows, limits = in_redis(redis, Clock()), WindowLimits(MINUTE_MS, 3)
    refused = await windows.acquire("window", limits, 4)
    assert (refused.refused_by, refused.retry_ms, refused.full_ms) == (REQUESTS, 120_000, 0)


async def test_more_is_held_only_while_half_stays_free(redis: Client) -> None:
    windows, limits = in_redis(redis, Clock()), WindowLimits(MINUTE_MS, 20, 1000)
    prefetched = [
        (
            await windows.acquire("window", limits, 1, 1, prefetch_requests=4, prefetch_points=4)
        ).prefetched
        for _ in range(4)
    ]
    # then 5 and 5 go, which leaves 10; from then on only what is asked for
    assert prefetched == [1, 1, 0, 0]
    assert (await windows.acquire("window", limits, 0)).remaining_requests == 8


async def test_what_is_not_used_goes_back_to_where_it_was_counted(redis: Client) -> None:
    # given 4 taken in one minute and 2 in the next
    clock, limits = Clock(), WindowLimits(MINUTE_MS, 10, 100)
    windows = in_redis(redis, clock)
    first = await windows.acquire("window", limits, 4, 40)
    clock.now_ms += MINUTE_MS
    second = await windows.acquire("window", limits, 2, 20)
    assert (second.remaining_requests, second.remaining_points) == (4, 40)
    # when some of both go back
    await windows.release("window", limits, first, 1, 10)
    await windows.release("window", limits, second, 2, 5)
    # then each minute has less
    assert await redis.get("window") == b"30000001 0 3 15 30"
    # and neither can go below nothing
    await windows.release("window", limits, second, 5, 500)
    assert await redis.get("window") == b"30000001 0 3 0 30"
    # and what is long past stays as it is
    clock.now_ms += MINUTE_MS
    await windows.release("window", limits, first, 1, 1)
    assert await redis.get("window") == b"30000001 0 3 0 30"


async def test_a_window_is_gone_when_nothing_of_it_counts(redis: Client) -> None:
    clock = Clock(START_MS / 1000 + 10)
    result = await in_redis(redis, clock).acquire("window", WindowLimits(MINUTE_MS, 5))
    assert result.full_ms == 110_000
    assert 100_000 < await redis.pttl("window") <= 110_000


async def test_without_a_clock_redis_tells_the_time(redis: Client) -> None:
    seconds, _ = await redis.time()
    result = await SlidingWindows(redis).acquire("window", WindowLimits(MINUTE_MS, 5))
    assert 0 <= result.bucket - seconds // 60 <= 1


async def test_a_clock_that_goes_back_over_the_edge_forgets_nothing(redis: Client) -> None:
    clock, limits = Clock(), WindowLimits(MINUTE_MS, 5)
    windows = in_redis(redis, clock)
    await windows.acquire("window", limits, 5)
    clock.now_ms -= 20
    assert (await windows.acquire("window", limits)).refused_by == REQUESTS


async def test_without_redis_the_process_counts_alone(settings: Settings) -> None:
    without_redis = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    client = pool.connect(without_redis)
    windows, limits = SlidingWindows(client), WindowLimits(MINUTE_MS, 3, 100)
    try:
        # when five are taken
        results = [await windows.acquire("window", limits, 1, 1) for _ in range(5)]
    finally:
        await client.aclose()
    # then the limit holds in this process
    assert [one.refused_by for one in results] == [0, 0, 0, REQUESTS, REQUESTS]
    assert all(one.is_local for one in results)
    # and what is given back is free again
    await windows.release("window", limits, results[0], 1, 1)
    assert (await windows.acquire("window", limits, 1)).refused_by == 0
