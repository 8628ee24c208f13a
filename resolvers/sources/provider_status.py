"""What providers say about themselves: asked of those that can tell, kept for half a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from resolvers.context import Context, Runtime
from resolvers.sources.provider_calls import call_unguarded
from services.cache.cache import Codec
from services.errors import ProviderFailed
from services.providers.base import Availability, ProviderInfo
from services.redis import cache_keys


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """`message` is the provider's own words, or why it could not be asked in one of ours."""

    available: bool
    message: str | None
    rate_limit_remaining: int | None
    checked_at: datetime


_STATUS = Codec[ProviderStatus](ProviderStatus)


async def list_statuses(
    context: Context, infos: Sequence[ProviderInfo]
) -> list[ProviderStatus | None]:
    """What each says about itself, at most half a minute old; None of one that is off or cannot
    tell. All are asked at the same time, each for PROVIDER_TIMEOUT_SECONDS at most."""
    kind, cache = cache_keys.PROVIDER_STATUS, context.cache
    asked = {
        kind.key(info.key): info.key
        for info in infos
        if info.enabled and context.runtime.providers.members[info.key].tells_status
    }
    kept = cache.peek(asked)
    kept |= await cache.fetch(kind, _STATUS, [key for key in asked if key not in kept])
    known: dict[str, ProviderStatus] = {
        asked[key]: entry.value for key, entry in kept.items() if entry.fresh_until > cache.now()
    }
    missing = [key for key in asked.values() if key not in known]
    found = await asyncio.gather(*(_fetch_status(context.runtime, key) for key in missing))
    known |= dict(zip(missing, found, strict=True))
    return [known.get(info.key) for info in infos]


async def _fetch_status(runtime: Runtime, key: str) -> ProviderStatus:
    found: ProviderStatus = await runtime.source_fetches.run(
        f"status:{key}", lambda: _ask_status(runtime, key)
    )
    return found


async def _ask_status(runtime: Runtime, key: str) -> ProviderStatus:
    kind, cache = cache_keys.PROVIDER_STATUS, runtime.cache
    now = datetime.fromtimestamp(cache.now(), UTC)
    try:
        told = await call_unguarded(runtime, key, lambda provider: provider.status())
        status = _build_status(told, now)
    except ProviderFailed as failure:
        status = ProviderStatus(False, failure.reason, None, now)
    await cache.store(kind, _STATUS, {kind.key(key): cache.build_entry(kind, status)})
    return status


def _build_status(told: Availability | None, now: datetime) -> ProviderStatus:
    told = told if told is not None else Availability(False)
    return ProviderStatus(told.available, told.message, told.rate_limit_remaining, now)
