from __future__ import annotations

import pytest

from services.providers.health import ProviderHealth
from services.providers.retry_budget import RetryBudget
from tests.support.clock import Clock


@pytest.fixture
def health(clock: Clock) -> ProviderHealth:
    return ProviderHealth(timeout_seconds=1.0, clock=clock)


def test_one_that_was_never_called_is_healthy(health: ProviderHealth) -> None:
    assert health.score == 1.0
    assert health.p95_seconds is None
    assert health.rank(3) == 3


@pytest.mark.parametrize(
    ("answers", "p95"),
    [([0.3], 0.3), ([0.1, 0.2], 0.2), ([n / 100 for n in range(1, 101)], 0.95)],
)
def test_p95_is_by_nearest_rank(health: ProviderHealth, answers: list[float], p95: float) -> None:
    for seconds in answers:
        health.record_answer(seconds)
    assert health.p95_seconds == p95


def test_patience_is_p95_and_half_of_it_once_twenty_answers_are_known(
    health: ProviderHealth,
) -> None:
    for _ in range(19):
        health.record_answer(0.2)
    assert health.hedge_delay_seconds(0.5) == 0.5
    health.record_answer(0.2)
    assert health.hedge_delay_seconds(0.5) == pytest.approx(0.3)


def test_patience_has_a_floor(health: ProviderHealth) -> None:
    for _ in range(20):
        health.record_answer(0.001)
    assert health.hedge_delay_seconds(0.5) == 0.05


@pytest.mark.parametrize(
    ("good", "failed", "overtaken", "score"),
    [(16, 0, 0, 1.0), (0, 1, 0, 0.8), (0, 4, 0, 0.5), (12, 4, 0, 0.8), (0, 0, 4, 0.75)],
)
def test_success_is_weighed_with_four_good_tries(
    health: ProviderHealth, good: int, failed: int, overtaken: int, score: float
) -> None:
    for _ in range(good):
        health.record_answer(0.1)
    for _ in range(failed):
        health.record_failure()
    for _ in range(overtaken):
        health.record_overtaken()
    assert health.score == pytest.approx(score)


@pytest.mark.parametrize(("seconds", "score"), [(0.5, 1.0), (0.75, 0.75), (1.0, 0.5), (2.0, 0.5)])
def test_slow_answers_lower_the_score(health: ProviderHealth, seconds: float, score: float) -> None:
    health.record_answer(seconds)
    assert health.score == pytest.approx(score)


def test_sources_that_do_not_work_lower_the_score(health: ProviderHealth) -> None:
    health.record_answer(0.1, live_share=1.0)
    health.record_answer(0.1, live_share=0.0)
    health.record_answer(0.1)  # had no sources: says nothing
    assert health.score == pytest.approx(0.75)


def test_an_answer_without_what_others_had_is_a_failure_with_a_latency(
    health: ProviderHealth,
) -> None:
    health.record_answer(0.2, good=False)
    assert health.score == pytest.approx(0.8)
    assert health.p95_seconds == 0.2


def test_priority_decides_between_healthy_ones_and_health_between_the_rest(
    health: ProviderHealth,
) -> None:
    health.record_failure()  # 0.8: still healthy
    assert health.rank(2) == 2
    health.record_failure()  # 4 / 6
    assert health.rank(2) == pytest.approx(3.0)
    assert health.rank(0) == pytest.approx(1.5)  # 0 ranks as 1


def test_what_is_two_minutes_old_no_longer_counts(health: ProviderHealth, clock: Clock) -> None:
    for _ in range(10):
        health.record_failure()
    assert health.score < 0.3
    clock.now += 121
    assert health.score == 1.0


def test_only_the_last_two_hundred_calls_count(health: ProviderHealth) -> None:
    for _ in range(1000):
        health.record_failure()
    for _ in range(200):
        health.record_answer(0.1)
    assert health.score == 1.0


def test_a_budget_allows_one_retry_in_ten_calls() -> None:
    budget = RetryBudget()
    made = 0
    for _ in range(100):
        budget.record_call()
        made += budget.spend_token()
    assert made == 11  # and the one that every process starts with


def test_a_budget_is_not_saved_up_without_end() -> None:
    budget = RetryBudget()
    for _ in range(10_000):
        budget.record_call()
    assert sum(budget.spend_token() for _ in range(100)) == 10
