"""Providers whose answers nobody checks: behind the checked ones, and briefly in their place."""

from __future__ import annotations

import time

import pytest

from services.providers.attempts import Override
from services.providers.base import ProviderInfo
from services.providers.overrides import apply_overrides
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


def page(priority: int) -> StubProvider:
    return StubProvider("page", has_it, priority=priority, is_checked=False)


async def test_bad_health_lets_no_unchecked_provider_overtake() -> None:
    # given a checked provider whose calls failed, again and again
    checked = StubProvider("checked", fails("HTTP_503"), priority=2)
    unchecked = page(3)
    chain = chain_of(checked, unchecked)
    for _ in range(15):  # as many as open no breaker
        await chain.find(TITLE)
    health = chain.health("checked")
    assert health is not None and health.score < 0.3
    # when it has the title again
    checked.does(has_it)
    # then it is called first
    assert (await chain.find(TITLE)).provider is checked.info


@pytest.mark.parametrize(
    ("priorities", "called"),
    [
        ({"one": 1, "page": 2, "two": 3}, ["one", "page"]),
        ({"one": 2, "page": 2, "two": 2}, ["one", "two", "page"]),
        ({"one": 5, "page": 5, "two": 1}, ["two", "one", "page"]),
        ({"one": 2, "page": 1, "two": 3}, ["page"]),
    ],
)
async def test_an_unchecked_provider_is_behind_the_checked_ones_of_its_priority(
    priorities: dict[str, int], called: list[str]
) -> None:
    # given an unchecked provider that is named first, and checked ones without the title
    providers = [page(2), StubProvider("one", has_not), StubProvider("two", has_not)]
    overrides = {key: Override(priority=priority) for key, priority in priorities.items()}
    result = await chain_of(*providers, overrides=lambda: overrides).find(TITLE)
    # then operators' order holds, and among equals it is the last
    assert [attempt.provider_key for attempt in result.attempts] == called
    infos = [provider.info for provider in providers]
    listed = [info.key for info in apply_overrides(infos, overrides)]
    assert listed[: len(called)] == called


async def test_an_unchecked_provider_is_no_hedge() -> None:
    # given a checked provider that is slower than a hedge would wait for
    slow = StubProvider("slow", after(0.3), priority=2)
    unchecked = page(3)
    result = await chain_of(slow, unchecked, hedge_seconds=0.05).find(TITLE)
    # then its answer counts
    assert result.provider is slow.info
    assert unchecked.calls == 0


async def test_an_unchecked_provider_answers_before_the_deadline_if_no_other_does() -> None:
    # given checked providers that are silent
    silent, also = StubProvider("silent", hangs, priority=1), StubProvider("also", hangs)
    chain = chain_of(silent, also, page(9), deadline_seconds=1, hedge_seconds=0.05)
    begun = time.monotonic()
    result = await chain.find(TITLE)
    # then viewers get its page, marked as one in their place
    assert 0.9 < time.monotonic() - begun < 8
    assert result.provider is not None and result.provider.key == "page"
    assert result.is_stopgap
    assert [attempt.provider_key for attempt in result.attempts] == ["silent", "also", "page"]


async def test_an_unchecked_answer_is_no_stopgap_where_all_others_have_nothing() -> None:
    none = StubProvider("none", has_not, priority=1)
    result = await chain_of(none, page(2)).find(TITLE)
    assert result.provider is not None and not result.is_stopgap
    assert summarize_attempts(result) == [
        ("none", "EMPTY", None, False),
        ("page", "HIT", None, False),
    ]


def test_equals_are_listed_with_the_unchecked_last() -> None:
    infos = [ProviderInfo("page", "Page", 2, is_checked=False), ProviderInfo("acme", "Acme", 2)]
    assert [info.key for info in apply_overrides(infos, {})] == ["acme", "page"]
