"""Chain of providers: calls one after another until one has the title, under one deadline.

Order: priority / health score (health.py), as operators set it; a slow one is hedged (hedging.py).
One that nobody checks keeps its health whatever it answers, so it never overtakes a checked one.
When all have failed, those whose fault may be over are called once more, if their retry budget
allows. A provider's fault is never raised: it is an Attempt with a coded reason.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from services.breaker.breaker import CircuitBreakers
from services.providers.attempts import Attempt, AttemptOutcome, ChainResult, Override, Overrides
from services.providers.base import Provider, TitleRef, rank_sources
from services.providers.hedging import Candidate, HedgedRequest
from services.providers.rollout import is_in_rollout
from services.providers.runner import SLOW_SHARE, ProviderCall, ProviderLimits, ProviderRunner

__all__ = [
    "Attempt",
    "AttemptOutcome",
    "Chain",
    "ChainResult",
    "Health",
    "Override",
    "Overrides",
    "breaker_name",
]

_RETRY_PAUSE_SECONDS = 0.1
_ROLLOUT = "ROLLOUT"  # it is on, but not for this viewer
_UNCHANGED = Override()

V = TypeVar("V")


class Health(NamedTuple):
    """Health of a provider in this process; `score` 0 to 1."""

    score: float
    p95_ms: int | None


class Chain:
    """Providers in order, one object per process; equal ranks keep the order of `providers`.

    A call may take `timeout_seconds`, all calls for one title `deadline_seconds`.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        deadline_seconds: float,
        timeout_seconds: float,
        hedge_seconds: float = 0.5,
        max_calls: int = 20,
        breakers: CircuitBreakers | None = None,
        overrides: Overrides = dict,
    ) -> None:
        self.deadline_seconds = deadline_seconds
        self.timeout_seconds = timeout_seconds
        self._breakers = breakers or CircuitBreakers()
        self._overrides = overrides
        limits = ProviderLimits(timeout_seconds, hedge_seconds, max_calls)
        self._runners = {call.info.key: self._build_runner(call, limits) for call in providers}
        self.members = {provider.info.key: provider for provider in providers}
        self.infos = {provider.info.key: provider.info for provider in providers}

    def _build_runner(self, provider: Provider, limits: ProviderLimits) -> ProviderRunner:
        breaker = None
        if provider.calls_out:
            slow_seconds = SLOW_SHARE * limits.timeout_seconds
            breaker = self._breakers.of(breaker_name(provider.info.key), slow_seconds=slow_seconds)
        return ProviderRunner(provider, limits, breaker)

    async def find(self, title: TitleRef, viewer_key: str | None = None) -> ChainResult:
        """Find the first non-empty answer, best source first, before the deadline.

        Args:
            viewer_key: the viewer's id or address, for providers in rollout.
        """
        ends_at = time.monotonic() + self.deadline_seconds
        calls: list[ProviderCall] = []
        winner = None
        try:
            winner = await self._run(self._list_candidates(viewer_key), title, ends_at, calls)
            if winner is None and (retries := await self._list_retries(calls, ends_at)):
                winner = await self._run(retries, title, ends_at, calls)
        finally:
            for call in calls:
                is_available_elsewhere = winner is not None and winner.runner is not call.runner
                call.runner.record(call, is_available_elsewhere=is_available_elsewhere)
        if winner is None:
            return ChainResult([], None, _attempts_by_provider(calls))
        return ChainResult(
            rank_sources(winner.sources), winner.runner.provider.info, _attempts_by_provider(calls)
        )

    @staticmethod
    async def _run(
        candidates: Iterable[Candidate], title: TitleRef, ends_at: float, calls: list[ProviderCall]
    ) -> ProviderCall | None:
        hedged_request = HedgedRequest(candidates, title, ends_at)
        try:
            return await hedged_request.run()
        finally:
            calls += hedged_request.calls

    def health(self, key: str) -> Health | None:
        """Measure a provider's health; None for a provider that is not one of ours."""
        runner = self._runners.get(key)
        if runner is None:
            return None
        p95 = runner.health.p95_seconds
        return Health(runner.health.score, round(p95 * 1000) if p95 is not None else None)

    def active_calls(self, key: str) -> int:
        """Count the calls to this provider that have not ended."""
        return self._runners[key].active_calls

    def _list_candidates(self, viewer_key: str | None) -> list[Candidate]:
        overrides = self._overrides()
        return [
            _build_candidate(runner, overrides.get(runner.key, _UNCHANGED), viewer_key)
            for runner in _sort_runners(self._runners.values(), overrides)
        ]

    @staticmethod
    async def _list_retries(calls: list[ProviderCall], ends_at: float) -> list[Candidate]:
        """After a pause of random length, so that those who failed together do not come back so."""
        retries = [
            Candidate(call.runner)
            for call in calls
            if call.is_retryable and call.runner.budget.spend_token()
        ]
        pause = random.uniform(0, _RETRY_PAUSE_SECONDS)  # noqa: S311
        if not retries or time.monotonic() + pause >= ends_at:
            return []
        await asyncio.sleep(pause)
        return retries


def breaker_name(provider_key: str) -> str:
    """Name of a provider's circuit breaker."""
    return f"provider-{provider_key}"


def _build_candidate(
    runner: ProviderRunner, override: Override, viewer_key: str | None
) -> Candidate:
    info = runner.provider.info
    if not _or_configured(override.enabled, info.enabled):
        return Candidate(runner, is_disabled=True)
    percent = _or_configured(override.rollout_percent, info.rollout_percent)
    if not is_in_rollout(runner.key, percent, viewer_key):
        return Candidate(runner, is_disabled=True, reason=_ROLLOUT)
    return Candidate(runner)


def _sort_runners(
    runners: Iterable[ProviderRunner], overrides: Mapping[str, Override]
) -> list[ProviderRunner]:
    """The order of calls; an unchecked one is behind all checked ones of its priority or before."""
    priorities = {
        runner: _or_configured(
            overrides.get(runner.key, _UNCHANGED).priority, runner.provider.info.priority
        )
        for runner in runners
    }
    ranks = {runner: runner.health.rank(priority) for runner, priority in priorities.items()}

    def place(runner: ProviderRunner) -> tuple[float, bool]:
        if runner.is_checked:
            return ranks[runner], False
        ahead = (
            ranks[other]
            for other, priority in priorities.items()
            if other.is_checked and priority <= priorities[runner]
        )
        return max((ranks[runner], *ahead)), True

    return sorted(priorities, key=place)


def _or_configured(changed: V | None, configured: V) -> V:
    return configured if changed is None else changed


def _attempts_by_provider(calls: list[ProviderCall]) -> list[Attempt]:
    """One attempt per provider: what was tried again is told as it ended, with all its time."""
    attempts: dict[str, Attempt] = {}
    for call in calls:
        attempt, earlier = call.attempt, attempts.get(call.runner.key)
        if earlier is not None:
            attempt = replace(attempt, duration_ms=earlier.duration_ms + attempt.duration_ms)
        attempts[call.runner.key] = attempt
    return list(attempts.values())
