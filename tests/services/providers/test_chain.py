"""The chain's rules: who is asked, in which order, what counts against whom, what is retried."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from services.breaker.breaker import BreakerRules, BreakerState, CircuitBreakers
from services.errors import ProviderFailed
from services.providers.attempts import Override
from services.providers.base import Source
from services.providers.chain import breaker_name
from tests.support.chains import (
    TITLE,
    Deed,
    StubProvider,
    after,
    chain_of,
    fails,
    hangs,
    has_a_dead_one,
    has_it,
    has_not,
    summarize_attempts,
)
from tests.support.clock import Clock
from tests.support.processes import until


class Operators:
    """What operators changed, as the chain reads it."""

    def __init__(self) -> None:
        self.changed: dict[str, Override] = {}

    def __call__(self) -> Mapping[str, Override]:
        return self.changed


# Order


async def test_they_are_called_by_priority_and_equals_in_order() -> None:
    providers = [
        StubProvider("c", has_not, priority=3),
        StubProvider("a", has_not),
        StubProvider("b", has_not),
    ]
    result = await chain_of(*providers).find(TITLE)
    assert [key for key, *_ in summarize_attempts(result)] == ["a", "b", "c"]
    assert result.is_certain


async def test_one_that_fails_goes_behind_the_next_until_that_is_forgotten() -> None:
    bad, good = (
        StubProvider("bad", fails("HTTP_403"), priority=2),
        StubProvider("good", has_it, priority=3),
    )
    chain = chain_of(bad, good)
    orders = [[key for key, *_ in summarize_attempts(await chain.find(TITLE))] for _ in range(5)]
    assert orders == [["bad", "good"]] * 3 + [["good"]] * 2
    health = chain.health("bad")
    assert health is not None
    assert (round(health.score, 2), health.p95_ms) == (0.57, None)
    assert chain.health("nobody") is None


async def test_dead_sources_put_a_provider_behind_one_whose_sources_work() -> None:
    dead, live = (
        StubProvider("dead", has_a_dead_one, priority=2),
        StubProvider("live", has_it, priority=3),
    )
    chain = chain_of(dead, live)
    assert (await chain.find(TITLE)).provider is dead.info
    assert (await chain.find(TITLE)).provider is live.info


async def test_operators_change_order_and_selection_from_the_next_title_on() -> None:
    operators = Operators()
    chain = chain_of(
        StubProvider("a", has_not), StubProvider("b", has_not, priority=2), overrides=operators
    )
    assert [key for key, *_ in summarize_attempts(await chain.find(TITLE))] == ["a", "b"]
    operators.changed = {"a": Override(priority=5)}
    assert [key for key, *_ in summarize_attempts(await chain.find(TITLE))] == ["b", "a"]
    operators.changed = {"a": Override(enabled=False), "gone": Override(enabled=True)}
    assert summarize_attempts(await chain.find(TITLE)) == [
        ("a", "DISABLED", None, False),
        ("b", "EMPTY", None, False),
    ]


async def test_an_operator_turns_on_what_is_configured_off() -> None:
    off = StubProvider("off", has_it, enabled=False)
    operators = Operators()
    chain = chain_of(off, overrides=operators)
    assert (await chain.find(TITLE)).provider is None
    operators.changed = {"off": Override(enabled=True)}
    assert (await chain.find(TITLE)).provider is off.info


async def test_a_rollout_always_takes_the_same_viewers() -> None:
    new = StubProvider("new", has_it)
    operators = Operators()
    chain = chain_of(new, overrides=operators)

    async def those_in(percent: int) -> set[str]:
        operators.changed = {"new": Override(rollout_percent=percent)}
        viewers = [f"user_{number}" for number in range(300)]
        return {v for v in viewers if (await chain.find(TITLE, v)).provider is not None}

    tenth, third = await those_in(10), await those_in(33)
    assert 10 <= len(tenth) <= 50
    assert tenth == await those_in(10)
    assert tenth < third
    assert await those_in(0) == set()
    assert len(await those_in(100)) == 300
    # and who is not in is told why
    operators.changed = {"new": Override(rollout_percent=10)}
    assert summarize_attempts(await chain.find(TITLE)) == [("new", "DISABLED", "ROLLOUT", False)]


# Trying again


@pytest.mark.parametrize("reason", ["CONNECTION_FAILED", "HTTP_500", "HTTP_503"])
async def test_when_all_fail_what_may_be_over_is_tried_once_more(reason: str) -> None:
    flaky = StubProvider("flaky", fails(reason), has_it)
    empty = StubProvider("empty", has_not, priority=2)
    result = await chain_of(flaky, empty).find(TITLE)
    # one attempt is told, as it ended
    assert summarize_attempts(result) == [
        ("flaky", "HIT", None, False),
        ("empty", "EMPTY", None, False),
    ]
    assert result.provider is flaky.info
    assert (flaky.calls, empty.calls) == (2, 1)


@pytest.mark.parametrize(
    "deed", [fails("HTTP_429"), fails("HTTP_404"), fails("MALFORMED_JSON"), has_not]
)
async def test_what_would_not_change_is_not_tried_again(deed: Deed) -> None:
    provider = StubProvider("p", deed, has_it)
    assert (await chain_of(provider).find(TITLE)).provider is None
    assert provider.calls == 1


async def test_nothing_is_tried_again_when_another_one_has_it() -> None:
    flaky, good = StubProvider("flaky", fails("HTTP_500")), StubProvider("good", has_it, priority=2)
    await chain_of(flaky, good).find(TITLE)
    assert flaky.calls == 1


async def test_retries_stay_within_a_tenth_of_the_calls() -> None:
    down = StubProvider("down", fails("CONNECTION_FAILED"))
    chain = chain_of(down, breakers=Unshared(minimum_calls=10_000).breakers)
    for _ in range(60):
        await chain.find(TITLE)
    assert 60 < down.calls <= 60 + 1 + 6 + 1  # the first one, a tenth, and a tenth of those


async def test_retries_stay_inside_the_deadline() -> None:
    async def slowly_fails(_: StubProvider) -> list[Source]:
        await asyncio.sleep(0.2)
        raise ProviderFailed("HTTP_500")

    provider = StubProvider("p", slowly_fails)
    result = await chain_of(provider, deadline_seconds=0.1).find(TITLE)
    assert summarize_attempts(result) == [("p", "TIMEOUT", None, False)]
    assert provider.calls == 1


# Breakers and bulkheads


class Unshared:
    """Breakers without a Redis, with a clock of the test's own."""

    def __init__(self, **rules: int) -> None:
        self.clock = Clock()
        self.breakers = CircuitBreakers(rules=BreakerRules(**rules), clock=self.clock)

    async def counts(self, key: str) -> tuple[BreakerState, int, int, int]:
        snapshot = await self.breakers.snapshot(breaker_name(key))
        assert snapshot is not None
        return snapshot.state, snapshot.calls, snapshot.failures, snapshot.slow_calls


CLOSED, OPEN = BreakerState.CLOSED, BreakerState.OPEN


@pytest.mark.parametrize(
    ("deed", "failures"),
    [
        (has_it, 0),
        (has_not, 0),
        (fails("HTTP_403"), 1),
        (fails("HTTP_429"), 1),
        (fails("MALFORMED_JSON"), 1),
    ],
)
async def test_what_counts_as_a_failure(deed: Deed, failures: int) -> None:
    unshared = Unshared()
    await chain_of(StubProvider("p", deed), breakers=unshared.breakers).find(TITLE)
    assert await unshared.counts("p") == (CLOSED, 1, failures, 0)


async def test_a_timeout_is_a_failure_and_slow() -> None:
    unshared = Unshared()
    chain = chain_of(StubProvider("p", hangs), timeout_seconds=0.1, breakers=unshared.breakers)
    assert summarize_attempts(await chain.find(TITLE)) == [("p", "TIMEOUT", None, False)]
    assert await unshared.counts("p") == (CLOSED, 1, 1, 1)


async def test_one_that_got_too_little_time_is_not_to_blame() -> None:
    unshared = Unshared()
    providers = [StubProvider("a", after(0.3, has_not)), StubProvider("b", hangs, priority=2)]
    chain = chain_of(*providers, deadline_seconds=0.6, breakers=unshared.breakers)
    result = await chain.find(TITLE)
    assert [outcome for _, outcome, *_ in summarize_attempts(result)] == ["EMPTY", "TIMEOUT"]
    assert await unshared.counts("b") == (CLOSED, 0, 0, 0)


async def test_an_empty_answer_is_a_failure_when_another_one_has_the_title() -> None:
    unshared = Unshared()
    lacking, has = StubProvider("lacking", has_not), StubProvider("has", has_it, priority=2)
    await chain_of(lacking, has, breakers=unshared.breakers).find(TITLE)
    assert await unshared.counts("lacking") == (CLOSED, 1, 1, 0)
    assert await unshared.counts("has") == (CLOSED, 1, 0, 0)


async def test_an_open_breaker_is_reported_and_its_provider_not_called() -> None:
    unshared = Unshared(minimum_calls=2)
    bad, good = StubProvider("bad", fails("HTTP_401")), StubProvider("good", has_it, priority=9)
    chain = chain_of(bad, good, breakers=unshared.breakers)
    for _ in range(2):
        await chain.find(TITLE)
    result = await chain.find(TITLE)
    assert summarize_attempts(result) == [
        ("bad", "BREAKER_OPEN", None, False),
        ("good", "HIT", None, False),
    ]
    assert bad.calls == 2
    # and an answer without it is no certain one
    good.does(has_not)
    assert not (await chain.find(TITLE)).is_certain


async def test_probes_of_the_chain_close_the_breaker() -> None:
    unshared = Unshared(minimum_calls=2)
    provider = StubProvider("p", fails("HTTP_401"))
    chain = chain_of(provider, breakers=unshared.breakers)
    for _ in range(2):
        await chain.find(TITLE)
    assert (await unshared.counts("p"))[0] is OPEN
    provider.does(has_it)
    unshared.clock.now += 60
    for _ in range(3):
        assert (await chain.find(TITLE)).provider is provider.info
    # the first one closes it, and the others are counted as calls of a closed breaker
    assert await unshared.counts("p") == (CLOSED, 2, 0, 0)


async def test_a_provider_of_ours_has_no_breaker() -> None:
    class Ours(StubProvider):
        calls_out = False

    breakers = CircuitBreakers()
    ours = Ours("ours", has_not)
    await chain_of(ours, StubProvider("out", has_it, priority=2), breakers=breakers).find(TITLE)
    assert [one.name for one in await breakers.snapshots()] == [breaker_name("out")]


async def test_a_retry_after_is_respected_and_bounded() -> None:
    unshared = Unshared()
    busy = StubProvider("busy", fails("HTTP_429", retry_after_seconds=10**9))
    chain = chain_of(busy, breakers=unshared.breakers)
    await chain.find(TITLE)
    assert summarize_attempts(await chain.find(TITLE)) == [
        ("busy", "BREAKER_OPEN", "RETRY_AFTER", False)
    ]
    unshared.clock.now += 301
    await chain.find(TITLE)
    assert busy.calls == 2


async def test_a_full_bulkhead_is_reported_and_the_next_one_called() -> None:
    # given a provider with as many calls as it may have
    slow, other = StubProvider("slow", hangs), StubProvider("other", has_it, priority=2)
    chain = chain_of(slow, other, max_calls=2)
    waiting = [asyncio.create_task(chain.find(TITLE)) for _ in range(2)]
    await until(lambda: slow.calls == 2)
    # when one more title is wanted
    result = await chain.find(TITLE)
    # then it is not asked, and it is not held against it
    assert summarize_attempts(result) == [
        ("slow", "BULKHEAD_FULL", None, False),
        ("other", "HIT", None, False),
    ]
    assert chain.health("slow") == (1.0, None)
    # and the room is free again when the calls have ended
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await until(lambda: chain.active_calls("slow") == 0)
    slow.does(has_it)
    assert (await chain.find(TITLE)).provider is slow.info
