"""One provider as the chain sees it: may it be asked, how did it do, how did it do lately.

A provider's fault is never raised: it ends as a Try with an outcome and a coded reason.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from services.breaker.breaker import CallOutcome, CircuitBreaker, Permit
from services.errors import ProviderFailed
from services.providers.attempts import Attempt, AttemptOutcome
from services.providers.base import Provider, Source, TitleRef
from services.providers.health import ProviderHealth
from services.providers.retry_budget import RetryBudget
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("providers")

SLOW_SHARE = 0.8  # of the timeout: what takes longer is a slow call
_MOST_REST_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """`hedge_seconds` is the patience with a provider whose p95 is not known yet."""

    timeout_seconds: float
    hedge_seconds: float = 0.5
    max_calls: int = 20


@dataclass(slots=True, eq=False)
class ProviderCall:
    """One time a provider was to be asked; `outcome` is None while the answer is awaited."""

    lane: ProviderRunner
    hedged: bool = False
    outcome: AttemptOutcome | None = None
    reason: str | None = None
    sources: list[Source] = field(default_factory=list)
    permit: Permit | None = None
    started: float = field(default_factory=time.monotonic)
    allowed_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def may_help_again(self) -> bool:
        """It failed in a way that can be over in a moment."""
        if self.outcome is not AttemptOutcome.ERROR or self.reason is None:
            return False
        return self.reason == "CONNECTION_FAILED" or self.reason.startswith("HTTP_5")

    @property
    def was_refused(self) -> bool:
        """No call was made."""
        return self.outcome in _NOT_ASKED

    def end(self, outcome: AttemptOutcome, reason: str | None = None) -> None:
        self.outcome, self.reason = outcome, reason
        self.seconds = time.monotonic() - self.started

    @property
    def attempt(self) -> Attempt:
        return Attempt(
            self.lane.key,
            self.outcome or AttemptOutcome.CANCELLED,
            round(self.seconds * 1000),
            self.hedged,
            self.reason,
        )


class ProviderRunner:
    """One per provider and process. Without a `breaker` it is asked whatever happened."""

    def __init__(
        self, provider: Provider, limits: ProviderLimits, breaker: CircuitBreaker | None
    ) -> None:
        self.provider = provider
        self.key = provider.info.key
        self.health = ProviderHealth(timeout_seconds=limits.timeout_seconds)
        self.budget = RetryBudget()
        self._limits = limits
        self._breaker = breaker
        self.calls_now = 0

    @property
    def patience_seconds(self) -> float:
        """How long to wait for it before the next one is asked too."""
        if not self.provider.calls_out:
            return self._limits.hedge_seconds  # its answers are so quick that p95 is noise
        return self.health.patience_seconds(self._limits.hedge_seconds)

    async def ask(self, one: ProviderCall, title: TitleRef, ends_at: float) -> None:
        """Fills in `one`; cancelled, it leaves it without an outcome."""
        if self.calls_now >= self._limits.max_calls:
            one.end(AttemptOutcome.BULKHEAD_FULL)
            return
        self.calls_now += 1
        try:
            one.allowed_seconds = min(self._limits.timeout_seconds, ends_at - time.monotonic())
            async with asyncio.timeout(one.allowed_seconds):
                await self._ask(one, title)
        except TimeoutError:
            one.end(AttemptOutcome.TIMEOUT)
        except ProviderFailed as failure:
            one.end(AttemptOutcome.ERROR, failure.reason)
            self._rest(failure.retry_after_seconds)
        except Exception:
            # Ours to mend; the next provider may still help.
            log.exception("provider_broke", provider=self.key)
            one.end(AttemptOutcome.ERROR, "INTERNAL")
        finally:
            self.calls_now -= 1

    async def _ask(self, one: ProviderCall, title: TitleRef) -> None:
        if self._breaker is not None:
            one.permit = await self._breaker.admit()
            if one.permit is None:
                reason = "RETRY_AFTER" if self._breaker.is_backing_off else None
                one.end(AttemptOutcome.BREAKER_OPEN, reason)
                return
        self.budget.called()
        one.sources = await self.provider.sources(title)
        one.end(AttemptOutcome.HIT if one.sources else AttemptOutcome.EMPTY)

    def _rest(self, seconds: float | None) -> None:
        if self._breaker is not None and seconds:
            self._breaker.back_off(min(seconds, _MOST_REST_SECONDS))

    def settle(self, one: ProviderCall, *, others_have_it: bool) -> None:
        """Counts what the try says about the provider, now that all of them are known.

        An empty answer is a failure when another one has the title.
        """
        is_good = one.outcome is AttemptOutcome.HIT
        if one.outcome is AttemptOutcome.EMPTY:
            is_good = not (others_have_it and self.provider.calls_out)
        metrics.provider_attempts_total.labels(self.key, one.attempt.outcome.value).inc()
        if one.was_refused:
            return
        self._note(one, is_good)
        if self._breaker is not None and one.permit is not None:
            self._breaker.record(one.permit, self._verdict(one, is_good), one.seconds)
            one.permit = None

    def _note(self, one: ProviderCall, is_good: bool) -> None:
        if one.outcome in (AttemptOutcome.HIT, AttemptOutcome.EMPTY):
            live = [source.is_working for source in one.sources]
            share = sum(live) / len(live) if live else None
            self.health.answered(one.seconds, good=is_good, live_share=share)
        elif one.outcome is AttemptOutcome.CANCELLED and one.reason == OVERTAKEN:
            self.health.was_overtaken()
        elif self._verdict(one, is_good) is CallOutcome.FAILED:
            self.health.failed()

    def _verdict(self, one: ProviderCall, is_good: bool) -> CallOutcome:
        """What we did not give enough time says nothing; what used it up was at least slow."""
        enough = SLOW_SHARE * self._limits.timeout_seconds
        if is_good:
            return CallOutcome.OK
        if one.outcome in (None, AttemptOutcome.CANCELLED):
            return CallOutcome.OK if one.seconds >= enough else CallOutcome.ABANDONED
        if one.outcome is AttemptOutcome.TIMEOUT and one.allowed_seconds < enough:
            return CallOutcome.ABANDONED
        return CallOutcome.FAILED


OVERTAKEN = "OVERTAKEN"
_NOT_ASKED = {
    AttemptOutcome.BREAKER_OPEN,
    AttemptOutcome.BULKHEAD_FULL,
    AttemptOutcome.DISABLED,
}
