"""Throttles: how many tries an account and an address get, and what they do not tell."""

from __future__ import annotations

import asyncio

import pytest

from services.errors import RateLimited
from services.limits.sliding_window import SlidingWindows
from services.limits.throttles import Throttle, Throttles
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from services.telemetry.metrics import REGISTRY
from tests.support.clock import Clock

HOME, AWAY = "192.0.2.1", "198.51.100.7"
ANN = "ann@example.com"


@pytest.fixture
def throttles(settings: Settings, redis: Client, clock: Clock) -> Throttles:
    on = settings.model_copy(update={"throttles": True})
    return Throttles(on, SlidingWindows(redis, clock))


async def tries(
    throttles: Throttles, times: int, name: Throttle, account: str | None, address: str | None
) -> int:
    """How many of them were let through."""
    passed = 0
    for _ in range(times):
        try:
            await throttles.check(name, account=account, address=address)
        except RateLimited:
            continue
        passed += 1
    return passed


async def test_one_account_gets_ten_tries_from_one_address(throttles: Throttles) -> None:
    assert await tries(throttles, 15, Throttle.LOGIN, ANN, HOME) == 10
    # when the eleventh is refused, it is said for how long
    with pytest.raises(RateLimited) as refused:
        await throttles.check(Throttle.LOGIN, account=ANN, address=HOME)
    assert refused.value.code.value == "RATE_LIMITED"
    assert refused.value.retry_after_seconds is not None
    assert 900 <= refused.value.retry_after_seconds <= 1800
    assert refused.value.message == "Too many tries: wait before the next one."
    # then the owner still gets in from elsewhere, and others from the same address
    assert await tries(throttles, 1, Throttle.LOGIN, ANN, AWAY) == 1
    assert await tries(throttles, 1, Throttle.LOGIN, "bob@example.com", HOME) == 1


async def test_tries_come_back_with_time(throttles: Throttles, clock: Clock) -> None:
    await tries(throttles, 10, Throttle.LOGIN, ANN, HOME)
    with pytest.raises(RateLimited) as refused:
        await throttles.check(Throttle.LOGIN, account=ANN, address=HOME)
    clock.now += refused.value.retry_after_seconds or 0
    assert await tries(throttles, 5, Throttle.LOGIN, ANN, HOME) == 1


async def test_a_thousand_tries_at_once_are_no_way_around(throttles: Throttles) -> None:
    at_once = await asyncio.gather(
        *(tries(throttles, 1, Throttle.LOGIN, ANN, HOME) for _ in range(1000))
    )
    assert sum(at_once) == 10


async def test_many_addresses_together_get_a_hundred_tries_at_one_account(
    throttles: Throttles,
) -> None:
    passed = [
        await tries(throttles, 10, Throttle.LOGIN, ANN, f"192.0.2.{number}") for number in range(12)
    ]
    assert passed == [10] * 10 + [0] * 2


async def test_one_address_gets_a_hundred_tries_at_all_accounts(throttles: Throttles) -> None:
    passed = [
        await tries(throttles, 5, Throttle.LOGIN, f"{number}@example.com", HOME)
        for number in range(22)
    ]
    assert passed == [5] * 20 + [0] * 2
    # and what it tries beyond that takes nothing from an account
    assert await tries(throttles, 120, Throttle.LOGIN, ANN, HOME) == 0
    assert await tries(throttles, 11, Throttle.LOGIN, ANN, AWAY) == 10


async def test_what_succeeds_does_not_count(throttles: Throttles) -> None:
    # given somebody who signs in often, and once mistypes
    for _ in range(30):
        await throttles.check(Throttle.LOGIN, account=ANN, address=HOME)
        await throttles.refund(Throttle.LOGIN, account=ANN, address=HOME)
    await throttles.check(Throttle.LOGIN, account=ANN, address=HOME)
    # then nine more tries are left
    assert await tries(throttles, 20, Throttle.LOGIN, ANN, HOME) == 9


async def test_capitals_and_blanks_make_no_other_account(throttles: Throttles) -> None:
    await tries(throttles, 10, Throttle.LOGIN, ANN, HOME)
    assert await tries(throttles, 1, Throttle.LOGIN, " Ann@EXAMPLE.com ", HOME) == 0


async def test_addresses_of_one_ipv6_household_count_together(throttles: Throttles) -> None:
    await tries(throttles, 10, Throttle.LOGIN, ANN, "2001:db8::1")
    assert await tries(throttles, 1, Throttle.LOGIN, ANN, "2001:db8::2") == 0
    assert await tries(throttles, 1, Throttle.LOGIN, ANN, "2001:db8:0:ff::1") == 0
    assert await tries(throttles, 1, Throttle.LOGIN, ANN, "2001:db8:0:100::1") == 1


async def test_mail_may_be_requested_three_times_an_hour_by_each_and_twenty_by_all(
    throttles: Throttles,
) -> None:
    passed = [
        await tries(throttles, 5, Throttle.MAIL, ANN, address)
        for address in (HOME, AWAY, *(f"203.0.113.{number}" for number in range(6)))
    ]
    assert passed == [3, 3, 3, 3, 3, 3, 2, 0]
    # and twenty times from one address, for whomever
    decisions = [
        await tries(throttles, 1, Throttle.MAIL, f"{number}@example.com", HOME)
        for number in range(22)
    ]
    assert sum(decisions) == 17


@pytest.mark.parametrize(("name", "most"), [(Throttle.REGISTER, 20), (Throttle.RESET, 100)])
async def test_an_address_registers_and_resets_so_often(
    throttles: Throttles, name: Throttle, most: int
) -> None:
    assert await tries(throttles, most + 5, name, None, HOME) == most
    assert await tries(throttles, 1, name, None, AWAY) == 1
    # and where no address is known there is nothing to count
    assert await tries(throttles, most + 5, name, None, None) == most + 5


async def test_redis_holds_no_address_of_a_person(throttles: Throttles, redis: Client) -> None:
    await tries(throttles, 1, Throttle.LOGIN, ANN, HOME)
    keys = sorted([key async for key in redis.scan_iter("throttle:*")])
    assert len(keys) == 3
    assert not [key for key in keys if b"ann" in key or b"example" in key]


async def test_refusals_are_counted(throttles: Throttles) -> None:
    def refusals() -> float:
        return REGISTRY.get_sample_value("throttled_total", {"what": "mail"}) or 0.0

    before = refusals()
    await tries(throttles, 5, Throttle.MAIL, ANN, HOME)
    assert refusals() == before + 2


async def test_without_redis_each_process_counts_for_itself(
    settings: Settings, clock: Clock
) -> None:
    without_redis = settings.model_copy(
        update={"throttles": True, "redis_url": "redis://127.0.0.1:1/0"}
    )
    client = pool.connect(without_redis)
    try:
        throttles = Throttles(without_redis, SlidingWindows(client, clock))
        assert await tries(throttles, 15, Throttle.LOGIN, ANN, HOME) == 10
    finally:
        await client.aclose()
