"""Asks providers until one has the title, under one deadline, and tells every try.

Order: priority / health score (services/providers/health.py), as operators set it; a slow one is
hedged (hedging.py). When all have failed, those whose fault may be over are asked once more, if
their retry budget allows. A provider's fault is never raised: it is an Attempt with a coded reason.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from services.breaker.breaker import CircuitBreakers
from services.providers.attempts import Attempt, AttemptOutcome, ChainResult, Override, Overrides
from services.providers.base import Provider, TitleRef, rank_sources
from services.providers.hedging import Candidate, HedgedRequest
from services.providers.lane import SLOW_SHARE, ProviderCall, ProviderLimits, ProviderRunner
from services.providers.rollout import is_in_rollout

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
    """How a provider has been answering this process lately; `score` 0 to 1."""

    score: float
    p95_ms: int | None


class Chain:
    """One per process; equal ranks are asked in the order of `providers`."""

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
        self._deadline = deadline_seconds
        self._breakers = breakers or CircuitBreakers()
        self._overrides = overrides
        limits = ProviderLimits(timeout_seconds, hedge_seconds, max_calls)
        self._lanes = {one.info.key: self._lane(one, limits) for one in providers}
        self.members = {provider.info.key: provider for provider in providers}
        self.infos = {provider.info.key: provider.info for provider in providers}

    def _lane(self, provider: Provider, limits: ProviderLimits) -> ProviderRunner:
        breaker = None
        if provider.calls_out:
            slow_seconds = SLOW_SHARE * limits.timeout_seconds
            breaker = self._breakers.of(breaker_name(provider.info.key), slow_seconds=slow_seconds)
        return ProviderRunner(provider, limits, breaker)

    async def find(self, title: TitleRef, viewer_key: str | None = None) -> ChainResult:
        """The first non-empty answer, best source first; back before the deadline.

        `viewer_key` is who asks, for providers that not everybody gets: an id or an address.
        """
        ends_at = time.monotonic() + self._deadline
        tries: list[ProviderCall] = []
        winner = None
        try:
            winner = await self._run(self._in_order(viewer_key), title, ends_at, tries)
            if winner is None and (again := await self._worth_a_retry(tries, ends_at)):
                winner = await self._run(again, title, ends_at, tries)
        finally:
            for one in tries:
                others = winner is not None and winner.lane is not one.lane
                one.lane.settle(one, others_have_it=others)
        if winner is None:
            return ChainResult([], None, _told(tries))
        return ChainResult(rank_sources(winner.sources), winner.lane.provider.info, _told(tries))

    @staticmethod
    async def _run(
        turns: Iterable[Candidate], title: TitleRef, ends_at: float, tries: list[ProviderCall]
    ) -> ProviderCall | None:
        race = HedgedRequest(turns, title, ends_at)
        try:
            return await race.run()
        finally:
            tries += race.tries

    def health(self, key: str) -> Health | None:
        """None for a provider that is not one of ours."""
        lane = self._lanes.get(key)
        if lane is None:
            return None
        p95 = lane.health.p95_seconds
        return Health(lane.health.score, round(p95 * 1000) if p95 is not None else None)

    def calls_now(self, key: str) -> int:
        """Calls to this provider that have not ended."""
        return self._lanes[key].calls_now

    def _in_order(self, viewer_key: str | None) -> list[Candidate]:
        overrides = self._overrides()
        ranks = {
            key: lane.health.rank(
                _or(overrides.get(key, _UNCHANGED).priority, lane.provider.info.priority)
            )
            for key, lane in self._lanes.items()
        }
        return [
            _turn(self._lanes[key], overrides.get(key, _UNCHANGED), viewer_key)
            for key in sorted(ranks, key=ranks.__getitem__)
        ]

    @staticmethod
    async def _worth_a_retry(tries: list[ProviderCall], ends_at: float) -> list[Candidate]:
        """After a pause of random length, so that those who failed together do not come back so."""
        again = [
            Candidate(one.lane) for one in tries if one.may_help_again and one.lane.budget.take()
        ]
        pause = random.uniform(0, _RETRY_PAUSE_SECONDS)  # noqa: S311
        if not again or time.monotonic() + pause >= ends_at:
            return []
        await asyncio.sleep(pause)
        return again


def breaker_name(provider_key: str) -> str:
    return f"provider-{provider_key}"


def _turn(lane: ProviderRunner, override: Override, viewer_key: str | None) -> Candidate:
    info = lane.provider.info
    if not _or(override.enabled, info.enabled):
        return Candidate(lane, is_disabled=True)
    percent = _or(override.rollout_percent, info.rollout_percent)
    if not is_in_rollout(lane.key, percent, viewer_key):
        return Candidate(lane, is_disabled=True, reason=_ROLLOUT)
    return Candidate(lane)


def _or(changed: V | None, configured: V) -> V:
    return configured if changed is None else changed


def _told(tries: list[ProviderCall]) -> list[Attempt]:
    """One attempt per provider: what was tried again is told as it ended, with all its time."""
    told: dict[str, Attempt] = {}
    for one in tries:
        attempt, before = one.attempt, told.get(one.lane.key)
        if before is not None:
            attempt = replace(attempt, duration_ms=before.duration_ms + attempt.duration_ms)
        told[one.lane.key] = attempt
    return list(told.values())
