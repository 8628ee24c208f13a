"""Providers race under one deadline. Times are far apart: a slow machine keeps their order."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.breaker.breaker import CircuitBreakers
from services.providers.base import Source
from services.telemetry import metrics
from tests.support.chains import (
    TITLE,
    StubProvider,
    after,
    chain_of,
    fails,
    hangs,
    has_it,
    has_not,
    summarize_attempts,
)
from tests.support.processes import until


def hedges(key: str, outcome: str) -> float:
    return metrics.provider_hedges_total.labels(key, outcome)._value.get()


async def test_when_the_first_is_silent_the_next_is_called_too_and_wins() -> None:
    # given a provider that hangs and one that has it
    silent, quick = StubProvider("silent", hangs), StubProvider("quick", has_it)
    chain = chain_of(silent, quick, hedge_seconds=0.1)
    started, won = hedges("quick", "started"), hedges("quick", "won")
    # when the chain is asked
    begun = time.monotonic()
    result = await chain.find(TITLE)
    # then the answer does not wait for the first one's timeout
    assert 0.09 < time.monotonic() - begun < 8
    assert result.provider is quick.info
    assert summarize_attempts(result) == [
        ("silent", "CANCELLED", "OVERTAKEN", False),
        ("quick", "HIT", None, True),
    ]
    assert result.attempts[0].duration_ms >= 90
    # and the first one's call is ended
    await until(lambda: silent.cancelled_calls == 1)
    assert (hedges("quick", "started"), hedges("quick", "won")) == (started + 1, won + 1)


async def test_a_hedge_that_loses_is_cancelled() -> None:
    # given a first one that answers a while after the hedge began
    first, second = StubProvider("first", after(0.5)), StubProvider("second", hangs)
    result = await chain_of(first, second, hedge_seconds=0.05).find(TITLE)
    assert result.provider is first.info
    assert summarize_attempts(result) == [
        ("first", "HIT", None, False),
        ("second", "CANCELLED", None, True),
    ]
    await until(lambda: second.cancelled_calls == 1)


async def test_an_answer_in_time_is_not_hedged() -> None:
    first, second = StubProvider("first", after(0.05)), StubProvider("second", has_it)
    result = await chain_of(first, second, hedge_seconds=5).find(TITLE)
    assert summarize_attempts(result) == [("first", "HIT", None, False)]
    assert second.calls == 0


@pytest.mark.parametrize(
    ("deed", "outcome", "reason"),
    [(fails("HTTP_503"), "ERROR", "HTTP_503"), (has_not, "EMPTY", None)],
)
async def test_a_failure_starts_the_next_at_once_while_others_still_run(
    deed: object, outcome: str, reason: str | None
) -> None:
    # given a silent first one, a hedge that has nothing, and a third one
    silent, second, third = (
        StubProvider("silent", hangs),
        StubProvider("second", deed),
        StubProvider("third", has_it),
    )  # type: ignore[arg-type]
    chain = chain_of(silent, second, third, hedge_seconds=2)
    begun = time.monotonic()
    result = await chain.find(TITLE)
    # then the third did not wait for another two seconds of patience
    assert summarize_attempts(result) == [
        ("silent", "CANCELLED", "OVERTAKEN", False),
        ("second", outcome, reason, True),
        ("third", "HIT", None, False),
    ]
    assert 1.9 < time.monotonic() - begun < 3.9


async def test_its_own_p95_says_how_long_a_provider_is_waited_for() -> None:
    # given a provider that has answered 20 times at once
    first, second = StubProvider("first", has_it), StubProvider("second", has_it)
    chain = chain_of(first, second, hedge_seconds=9)
    for _ in range(20):
        await chain.find(TITLE)
    assert second.calls == 0
    # when it hangs
    first.does(hangs)
    begun = time.monotonic()
    result = await chain.find(TITLE)
    # then the next is asked long before the nine seconds of one that is not known
    assert result.provider is second.info
    assert result.attempts[1].hedged
    assert time.monotonic() - begun < 7


async def test_a_hedge_that_may_not_be_called_is_made_with_the_next_one() -> None:
    # given a second provider that asked to be left alone
    silent, third = StubProvider("silent", hangs), StubProvider("third", has_it)
    resting = StubProvider("resting", fails("HTTP_429", retry_after_seconds=60))
    breakers = CircuitBreakers()
    await chain_of(resting, breakers=breakers).find(TITLE)
    chain = chain_of(silent, resting, third, hedge_seconds=0.1, breakers=breakers)
    started = hedges("resting", "started")
    # when the first is silent
    result = await chain.find(TITLE)
    # then the third is the hedge
    assert summarize_attempts(result) == [
        ("silent", "CANCELLED", "OVERTAKEN", False),
        ("resting", "BREAKER_OPEN", "RETRY_AFTER", True),
        ("third", "HIT", None, True),
    ]
    assert hedges("resting", "started") == started


async def test_who_is_overtaken_again_and_again_goes_to_the_back() -> None:
    first, second = (
        StubProvider("first", hangs, priority=2),
        StubProvider("second", has_it, priority=3),
    )
    chain = chain_of(first, second, hedge_seconds=0.02)
    for _ in range(9):
        await chain.find(TITLE)
    assert first.calls == 9
    # then, at 8.5 / 13 of health, it ranks 3.06, behind the other's 3: it is not waited for
    result = await chain.find(TITLE)
    assert summarize_attempts(result) == [("second", "HIT", None, False)]


async def test_the_deadline_holds_even_for_a_provider_that_does_not_let_go() -> None:
    # given one that goes on when it is told to stop
    release = asyncio.Event()

    async def stays(_: StubProvider) -> list[Source]:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return []

    stubborn, never = StubProvider("stubborn", stays), StubProvider("never", has_it)
    chain = chain_of(stubborn, never, deadline_seconds=0.3)
    begun = time.monotonic()
    result = await chain.find(TITLE)
    # then the chain is back, and tells what it did not come to
    assert time.monotonic() - begun < 5
    assert summarize_attempts(result) == [
        ("stubborn", "TIMEOUT", None, False),
        ("never", "CANCELLED", "DEADLINE", False),
    ]
    release.set()
    await until(lambda: chain.active_calls("stubborn") == 0)


async def test_a_caller_who_leaves_ends_all_calls() -> None:
    # given two calls under way
    first, second = StubProvider("first", hangs), StubProvider("second", hangs)
    breakers = CircuitBreakers()
    chain = chain_of(first, second, hedge_seconds=0.02, breakers=breakers)
    finding = asyncio.create_task(chain.find(TITLE))
    await until(lambda: (first.calls, second.calls) == (1, 1))
    # when the caller goes away
    finding.cancel()
    await asyncio.gather(finding, return_exceptions=True)
    # then both are ended, and neither is to blame
    await until(lambda: (first.cancelled_calls, second.cancelled_calls) == (1, 1))
    await until(lambda: chain.active_calls("first") == chain.active_calls("second") == 0)
    assert [one.calls for one in await breakers.snapshots()] == [0, 0]
    assert chain.health("first") == (1.0, None)
