"""Runner of one provider's calls: bulkhead, timeout, breaker, health and retry budget.

A provider's fault is never raised: it ends as a ProviderCall with an outcome and a coded reason.
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
_MAX_BACK_OFF_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ProviderLimits:
    """Limits of provider calls; `hedge_seconds` is the delay while the p95 is unknown."""

    timeout_seconds: float
    hedge_seconds: float = 0.5
    max_calls: int = 20


@dataclass(slots=True, eq=False)
class ProviderCall:
    """One call to a provider, made or skipped; `outcome` is None while it runs."""

    runner: ProviderRunner
    hedged: bool = False
    outcome: AttemptOutcome | None = None
    reason: str | None = None
    sources: list[Source] = field(default_factory=list)
    permit: Permit | None = None
    started: float = field(default_factory=time.monotonic)
    time_limit_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def is_retryable(self) -> bool:
        """Say whether the call failed in a way that may be over in a moment."""
        if self.outcome is not AttemptOutcome.ERROR or self.reason is None:
            return False
        return self.reason == "CONNECTION_FAILED" or self.reason.startswith("HTTP_5")

    @property
    def was_not_called(self) -> bool:
        """Say whether no call was made."""
        return self.outcome in _NOT_CALLED

    def end(self, outcome: AttemptOutcome, reason: str | None = None) -> None:
        """Set the outcome and stop the clock."""
        self.outcome, self.reason = outcome, reason
        self.seconds = time.monotonic() - self.started

    @property
    def attempt(self) -> Attempt:
        """Call as reported to clients; CANCELLED while it has no outcome."""
        return Attempt(
            self.runner.key,
            self.outcome or AttemptOutcome.CANCELLED,
            round(self.seconds * 1000),
            self.hedged,
            self.reason,
        )


class ProviderRunner:
    """Runner of one provider's calls in this process; without a `breaker` never blocked."""

    def __init__(
        self, provider: Provider, limits: ProviderLimits, breaker: CircuitBreaker | None
    ) -> None:
        self.provider = provider
        self.key = provider.info.key
        self.is_checked = provider.info.is_checked
        self.health = ProviderHealth(timeout_seconds=limits.timeout_seconds)
        self.budget = RetryBudget()
        self._limits = limits
        self._breaker = breaker
        self.active_calls = 0

    @property
    def hedge_delay_seconds(self) -> float:
        """Time to wait for an answer before the next provider is called too."""
        if not self.provider.calls_out:
            return self._limits.hedge_seconds  # its answers are so quick that p95 is noise
        return self.health.hedge_delay_seconds(self._limits.hedge_seconds)

    async def run(self, call: ProviderCall, title: TitleRef, ends_at: float) -> None:
        """Run the call and set its outcome; when cancelled, the call stays without one."""
        if self.active_calls >= self._limits.max_calls:
            call.end(AttemptOutcome.BULKHEAD_FULL)
            return
        self.active_calls += 1
        try:
            call.time_limit_seconds = min(self._limits.timeout_seconds, ends_at - time.monotonic())
            async with asyncio.timeout(call.time_limit_seconds):
                await self._call(call, title)
        except TimeoutError:
            call.end(AttemptOutcome.TIMEOUT)
        except ProviderFailed as failure:
            call.end(AttemptOutcome.ERROR, failure.reason)
            self._back_off(failure.retry_after_seconds)
        except Exception:
            # Ours to mend; the next provider may still help.
            log.exception("provider_exception", provider=self.key)
            call.end(AttemptOutcome.ERROR, "INTERNAL")
        finally:
            self.active_calls -= 1

    async def _call(self, call: ProviderCall, title: TitleRef) -> None:
        if self._breaker is not None:
            call.permit = await self._breaker.admit()
            if call.permit is None:
                reason = "RETRY_AFTER" if self._breaker.is_backing_off else None
                call.end(AttemptOutcome.BREAKER_OPEN, reason)
                return
        self.budget.record_call()
        call.sources = await self.provider.sources(title)
        call.end(AttemptOutcome.HIT if call.sources else AttemptOutcome.EMPTY)

    def _back_off(self, seconds: float | None) -> None:
        if self._breaker is not None and seconds:
            self._breaker.back_off(min(seconds, _MAX_BACK_OFF_SECONDS))

    def record(self, call: ProviderCall, *, is_available_elsewhere: bool) -> None:
        """Record the call in metrics, health and breaker, once all calls have ended.

        An empty answer is a failure when another provider has the title.
        """
        is_good = call.outcome is AttemptOutcome.HIT
        if call.outcome is AttemptOutcome.EMPTY:
            is_good = not (is_available_elsewhere and self.provider.calls_out)
        metrics.provider_attempts_total.labels(self.key, call.attempt.outcome.value).inc()
        if call.was_not_called:
            return
        self._record_health(call, is_good)
        if self._breaker is not None and call.permit is not None:
            self._breaker.record(call.permit, self._classify(call, is_good), call.seconds)
            call.permit = None

    def _record_health(self, call: ProviderCall, is_good: bool) -> None:
        if call.outcome in (AttemptOutcome.HIT, AttemptOutcome.EMPTY):
            live = [source.is_working for source in call.sources]
            share = sum(live) / len(live) if live else None
            self.health.record_answer(call.seconds, good=is_good, live_share=share)
        elif call.outcome is AttemptOutcome.CANCELLED and call.reason == OVERTAKEN:
            self.health.record_overtaken()
        elif self._classify(call, is_good) is CallOutcome.FAILED:
            self.health.record_failure()

    def _classify(self, call: ProviderCall, is_good: bool) -> CallOutcome:
        """What we did not give enough time says nothing; what used it up was at least slow."""
        slow_seconds = SLOW_SHARE * self._limits.timeout_seconds
        if is_good:
            return CallOutcome.OK
        if call.outcome in (None, AttemptOutcome.CANCELLED):
            return CallOutcome.OK if call.seconds >= slow_seconds else CallOutcome.ABANDONED
        if call.outcome is AttemptOutcome.TIMEOUT and call.time_limit_seconds < slow_seconds:
            return CallOutcome.ABANDONED
        return CallOutcome.FAILED


OVERTAKEN = "OVERTAKEN"
_NOT_CALLED = {
    AttemptOutcome.BREAKER_OPEN,
    AttemptOutcome.BULKHEAD_FULL,
    AttemptOutcome.DISABLED,
}
