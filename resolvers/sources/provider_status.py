"""What providers report about themselves, cached for half a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from resolvers.context import Context
from resolvers.runtimes import SourcesRuntime
from resolvers.sources.provider_calls import call_unguarded
from services.cache.cache import Cache, Codec
from services.errors import ProviderFailed
from services.providers.base import Availability, ProviderInfo
from services.redis import cache_keys


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A provider's own report. `message` is its text, or our reason why the call failed."""

    available: bool
    message: str | None
    rate_limit_remaining: int | None
    checked_at: datetime


_STATUS = Codec[ProviderStatus](ProviderStatus)


async def list_statuses(
    context: Context, infos: Sequence[ProviderInfo]
) -> list[ProviderStatus | None]:
    """One status for each provider, at most half a minute old.

    None for a provider that is off or reports no status. All are called at the same time, each for
    PROVIDER_TIMEOUT_SECONDS at most.
    """
    kind, cache, sources = cache_keys.PROVIDER_STATUS, context.cache, context.runtime.sources
    provider_keys = {
        kind.key(info.key): info.key
        for info in infos
        if info.enabled and sources.providers.members[info.key].tells_status
    }
    entries = cache.peek(provider_keys)
    entries |= await cache.fetch(
        kind, _STATUS, [key for key in provider_keys if key not in entries]
    )
    statuses: dict[str, ProviderStatus] = {
        provider_keys[key]: entry.value
        for key, entry in entries.items()
        if entry.fresh_until > cache.now()
    }
    missing = [key for key in provider_keys.values() if key not in statuses]
    fetched = await asyncio.gather(*(_fetch_status(sources, cache, key) for key in missing))
    statuses |= dict(zip(missing, fetched, strict=True))
    return [statuses.get(info.key) for info in infos]


async def _fetch_status(sources: SourcesRuntime, cache: Cache, key: str) -> ProviderStatus:
    status: ProviderStatus = await sources.fetches.run(
        f"status:{key}", lambda: _ask_status(sources, cache, key)
    )
    return status


async def _ask_status(sources: SourcesRuntime, cache: Cache, key: str) -> ProviderStatus:
    kind = cache_keys.PROVIDER_STATUS
    now = datetime.fromtimestamp(cache.now(), UTC)
    try:
        availability = await call_unguarded(sources, key, lambda provider: provider.status())
        status = _build_status(availability, now)
    except ProviderFailed as failure:
        status = ProviderStatus(False, failure.reason, None, now)
    await cache.store(kind, _STATUS, {kind.key(key): cache.build_entry(kind, status)})
    return status


def _build_status(availability: Availability | None, now: datetime) -> ProviderStatus:
    availability = availability if availability is not None else Availability(False)
    return ProviderStatus(
        availability.available, availability.message, availability.rate_limit_remaining, now
    )
