"""One call to one provider outside the chain: a player page, a search, a status.

Calls are bounded in time and guarded by the provider's breaker; failures come as ProviderFailed.
Callers leave out providers that are off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from resolvers.runtimes import SourcesRuntime
from services.breaker.breaker import CallOutcome, CircuitBreaker, Permit
from services.errors import ProviderFailed
from services.providers.base import Provider
from services.providers.chain import breaker_name
from services.telemetry.logs import get_logger

T = TypeVar("T")
ProviderMethod = Callable[[Provider], Awaitable[T]]
_MAX_BACK_OFF_SECONDS = 300.0
log = get_logger("providers")


async def call_provider(sources: SourcesRuntime, key: str, method: ProviderMethod[T]) -> T:
    """Call a provider through its circuit breaker.

    Args:
        key: the provider's key.
        method: takes the provider, returns its answer.

    Raises:
        ProviderFailed: no answer in time, or the breaker is open; `reason` says which.
    """
    provider = sources.providers.members[key]
    if not provider.calls_out:
        return await call_unguarded(sources, key, method)
    breaker = sources.breakers.of(breaker_name(key))
    permit = await breaker.admit()
    if permit is None:
        raise ProviderFailed("BREAKER_OPEN")
    return await _call_guarded(breaker, permit, call_unguarded(sources, key, method))


async def call_unguarded(sources: SourcesRuntime, key: str, method: ProviderMethod[T]) -> T:
    """Call a provider whatever its breaker's state, as to learn its status.

    Raises:
        ProviderFailed: no answer in time, or an error.
    """
    try:
        async with asyncio.timeout(sources.providers.timeout_seconds):
            return await method(sources.providers.members[key])
    except TimeoutError:
        raise ProviderFailed("TIMEOUT") from None
    except ProviderFailed:
        raise
    except Exception:
        log.exception("provider_exception", provider=key)  # ours to mend; the next may still help
        raise ProviderFailed("INTERNAL") from None


async def _call_guarded(breaker: CircuitBreaker, permit: Permit, call: Awaitable[T]) -> T:
    """Await the call and record its outcome and seconds with the breaker."""
    started, verdict = time.monotonic(), CallOutcome.ABANDONED
    try:
        answer = await call
        verdict = CallOutcome.OK
        return answer
    except ProviderFailed as failure:
        verdict = CallOutcome.FAILED
        if failure.retry_after_seconds:
            breaker.back_off(min(failure.retry_after_seconds, _MAX_BACK_OFF_SECONDS))
        raise
    finally:
        breaker.record(permit, verdict, time.monotonic() - started)
