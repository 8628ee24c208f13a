"""Asks providers in order until one has the title, under one deadline, and tells every try.

A provider's fault is never raised: it is an Attempt with a coded reason, and the next one is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from services import metrics
from services.errors import ProviderFailed
from services.logs import get_logger
from services.providers.base import Provider, ProviderInfo, Source, TitleRef, ranked

log = get_logger("providers")


class AttemptOutcome(Enum):
    HIT = "HIT"
    EMPTY = "EMPTY"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    BREAKER_OPEN = "BREAKER_OPEN"
    BULKHEAD_FULL = "BULKHEAD_FULL"
    CANCELLED = "CANCELLED"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`reason` is one of our own words, never a text of the provider's."""

    provider_key: str
    outcome: AttemptOutcome
    duration_ms: int = 0
    hedged: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What the chain came back with: no provider and no sources when none had the title."""

    sources: list[Source]
    provider: ProviderInfo | None
    attempts: list[Attempt]

    @property
    def is_certain(self) -> bool:
        """Some provider has the title, or every enabled one said that it does not."""
        told = {AttemptOutcome.HIT, AttemptOutcome.EMPTY, AttemptOutcome.DISABLED}
        return self.provider is not None or all(one.outcome in told for one in self.attempts)


class Chain:
    """One per process; `providers` in the order they are asked."""

    def __init__(
        self, providers: Sequence[Provider], *, deadline_seconds: float, timeout_seconds: float
    ) -> None:
        self._providers = tuple(providers)
        self._deadline = deadline_seconds
        self._timeout = timeout_seconds
        self.infos = {provider.info.key: provider.info for provider in self._providers}

    async def find(self, title: TitleRef) -> Found:
        """The first provider's non-empty answer, best source first; back before the deadline."""
        ends_at = time.monotonic() + self._deadline
        attempts: list[Attempt] = []
        for provider in self._providers:
            attempt, sources = await self._try(provider, title, ends_at - time.monotonic())
            metrics.provider_attempts_total.labels(
                attempt.provider_key, attempt.outcome.value
            ).inc()
            attempts.append(attempt)
            if sources:
                return Found(ranked(sources), provider.info, attempts)
        return Found([], None, attempts)

    async def _try(
        self, provider: Provider, title: TitleRef, left_seconds: float
    ) -> tuple[Attempt, list[Source]]:
        key = provider.info.key
        if not provider.info.enabled:
            return Attempt(key, AttemptOutcome.DISABLED), []
        if left_seconds <= 0:
            return Attempt(key, AttemptOutcome.CANCELLED, reason="DEADLINE"), []
        started = time.monotonic()
        sources: list[Source] = []
        reason = None
        try:
            async with asyncio.timeout(min(self._timeout, left_seconds)):
                sources = await provider.sources(title)
            outcome = AttemptOutcome.HIT if sources else AttemptOutcome.EMPTY
        except TimeoutError:
            outcome = AttemptOutcome.TIMEOUT
        except ProviderFailed as failure:
            outcome, reason = AttemptOutcome.ERROR, failure.reason
        except Exception:
            log.exception("provider_broke", provider=key)  # ours to mend; the next may still help
            outcome, reason = AttemptOutcome.ERROR, "INTERNAL"
        took_ms = round((time.monotonic() - started) * 1000)
        return Attempt(key, outcome, took_ms, reason=reason), sources
