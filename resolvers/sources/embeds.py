"""The player page of a title: of the first provider that has one, kept as its sources are.

Kept without where to begin, which is put in at the end. With all providers failing an older one
answers, if there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resolvers.context import Context, Runtime
from resolvers.sources.cached_answers import CachedAnswer, DataOrigin, read_cached
from resolvers.sources.provider_calls import call_provider
from resolvers.sources.requests import SourceRequest, SourceTitle, source_requests
from services.cache.cache import Codec, Entry
from services.errors import ProviderFailed, ValidationFailed
from services.redis import cache_keys
from services.telemetry import metrics

MAX_START_SECONDS = 7 * 86400
_AT_ONCE = 10  # titles of one operation that are asked for at the same time


@dataclass(frozen=True, slots=True)
class Embed:
    url: str
    provider_key: str
    origin: DataOrigin


_CODEC = Codec[Embed](Embed)
_NO_EMBED = Embed("", "", DataOrigin.DEFAULT)


async def embeds_of_titles(
    context: Context,
    titles: Sequence[SourceTitle],
    *,
    start_at_seconds: int | None = None,
    language: str | None = None,
) -> list[Embed | None]:
    """One for each title, None where no provider has one. Never raises for a provider's fault.

    Raises:
        ValidationFailed: `start_at_seconds` is negative or beyond a week.
        UpstreamUnavailable: the shows of episodes could not be read.
    """
    start = start_at_seconds or 0
    if not 0 <= start <= MAX_START_SECONDS:
        raise ValidationFailed(
            f"`startAtSeconds` is 0 to {MAX_START_SECONDS}.", path=["input", "startAtSeconds"]
        )
    asked_of = await source_requests(context, titles, language)
    names = [by.cache_name for by in asked_of]
    kept = await read_cached(context.cache, cache_keys.EMBED, _CODEC, names)
    turns = asyncio.Semaphore(_AT_ONCE)
    made: dict[str, Entry] = {}

    async def one(by: SourceRequest) -> Embed | None:
        found = _fresh_embed(context, kept.get(by.cache_name))
        if found is None:
            async with turns:
                found = await _fetch_once(context.runtime, by, kept.get(by.cache_name), made)
        return _apply_start(context, found, start)

    found = await asyncio.gather(*map(one, asked_of))
    await context.cache.store(cache_keys.EMBED, _CODEC, made)
    return list(found)


def _fresh_embed(context: Context, kept: CachedAnswer | None) -> Embed | None:
    """What is kept, if it need not be asked for again; one without a provider: nobody has it."""
    if kept is None or kept[0].fresh_until <= context.cache.now():
        return None
    return replace(kept[0].value or _NO_EMBED, origin=kept[1])


def _apply_start(context: Context, found: Embed | None, seconds: int) -> Embed | None:
    """The page as it begins there."""
    if found is None or not found.provider_key:
        return None
    member = context.runtime.providers.members.get(found.provider_key)
    return replace(found, url=member.start_at(found.url, seconds)) if member is not None else found


async def _fetch_once(
    runtime: Runtime, by: SourceRequest, kept: CachedAnswer | None, made: dict[str, Entry]
) -> Embed | None:
    """What is to be kept goes into `made`: of those who wait for it, the first one stores it."""
    key = cache_keys.EMBED.key(by.cache_name)

    async def fetch() -> Embed | None:
        found, is_certain = await _ask_providers(runtime, by)
        if is_certain:
            is_fallback = found is not None and by.is_fallback(found.provider_key)
            kind = cache_keys.FALLBACK_EMBED if is_fallback else cache_keys.EMBED
            made[key] = runtime.cache.build_entry(kind, found)
            return found
        if kept is None or kept[0].value is None:
            return None
        metrics.cache_stale_total.labels("redis").inc()
        older: Embed = kept[0].value
        return replace(older, origin=DataOrigin.STALE)

    found: Embed | None = await runtime.source_fetches.run(key, fetch)
    return found


async def _ask_providers(runtime: Runtime, by: SourceRequest) -> tuple[Embed | None, bool]:
    """The first answer, and whether it is certain: it is one, or nobody failed."""
    has_failed = False
    try:
        async with asyncio.timeout(runtime.settings.provider_deadline_seconds):
            for info in by.infos:
                if not runtime.providers.members[info.key].embeds:
                    continue
                try:
                    url = await call_provider(runtime, info.key, lambda one: one.embed(by.title))
                except ProviderFailed:
                    has_failed = True
                    continue
                if url is not None:
                    return Embed(url, info.key, _origin(by, info.key)), True
    except TimeoutError:
        has_failed = True
    return None, not has_failed


def _origin(by: SourceRequest, key: str) -> DataOrigin:
    return DataOrigin.FALLBACK_PROVIDER if by.is_fallback(key) else DataOrigin.PRIMARY_PROVIDER
