"""One question to one provider outside the chain: a player page, a search, a status.

Bounded, guarded by the provider's breaker, and its failure a word of ours. Who asks leaves out
providers that are off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from resolvers.context import Runtime
from services.breaker.breaker import CallOutcome, CircuitBreaker, Permit
from services.errors import ProviderFailed
from services.providers.base import Provider
from services.providers.chain import breaker_name
from services.telemetry.logs import get_logger

T = TypeVar("T")
ProviderMethod = Callable[[Provider], Awaitable[T]]
_MAX_BACK_OFF_SECONDS = 300.0
log = get_logger("providers")


async def call_provider(runtime: Runtime, key: str, question: ProviderMethod[T]) -> T:
    """The provider's answer.

    Raises:
        ProviderFailed: there is none in time, or it failed too often lately; `reason` says why.
    """
    provider = runtime.providers.members[key]
    if not provider.calls_out:
        return await call_unguarded(runtime, key, question)
    breaker = runtime.breakers.of(breaker_name(key))
    permit = await breaker.admit()
    if permit is None:
        raise ProviderFailed("BREAKER_OPEN")
    return await _call_guarded(breaker, permit, call_unguarded(runtime, key, question))


async def call_unguarded(runtime: Runtime, key: str, question: ProviderMethod[T]) -> T:
    """The same, however it did lately: to hear how it is.

    Raises:
        ProviderFailed.
    """
    try:
        async with asyncio.timeout(runtime.settings.provider_timeout_seconds):
            return await question(runtime.providers.members[key])
    except TimeoutError:
        raise ProviderFailed("TIMEOUT") from None
    except ProviderFailed:
        raise
    except Exception:
        log.exception("provider_broke", provider=key)  # ours to mend; the next may still help
        raise ProviderFailed("INTERNAL") from None


async def _call_guarded(breaker: CircuitBreaker, permit: Permit, call: Awaitable[T]) -> T:
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
