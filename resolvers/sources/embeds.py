"""Player pages of titles: of the first provider that has one, cached as its sources are.

The start position is no part of a cached page; it is added at the end. When all providers fail, a
stale page answers, if there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resolvers.context import Context
from resolvers.runtimes import SourcesRuntime
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
    """A provider's player page. An empty `provider_key` means that no provider has the title."""

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
    """One player page for each title, in order; None where no provider has one.

    A provider's failure is never raised.

    Raises:
        ValidationFailed: `start_at_seconds` is negative or beyond a week.
        UpstreamUnavailable: the shows of episodes could not be read.
    """
    start = start_at_seconds or 0
    if not 0 <= start <= MAX_START_SECONDS:
        raise ValidationFailed(
            f"`startAtSeconds` is 0 to {MAX_START_SECONDS}.", path=["input", "startAtSeconds"]
        )
    requests = await source_requests(context, titles, language)
    names = [request.cache_name for request in requests]
    cached = await read_cached(context.cache, cache_keys.EMBED, _CODEC, names)
    slots = asyncio.Semaphore(_AT_ONCE)
    new_entries: dict[str, Entry] = {}

    async def find_embed(request: SourceRequest) -> Embed | None:
        embed = _fresh_embed(context, cached.get(request.cache_name))
        if embed is None:
            async with slots:
                embed = await _fetch_once(
                    context, request, cached.get(request.cache_name), new_entries
                )
        return _apply_start(context, embed, start)

    embeds = await asyncio.gather(*map(find_embed, requests))
    await context.cache.store(cache_keys.EMBED, _CODEC, new_entries, replaces=True)
    return list(embeds)


def _fresh_embed(context: Context, cached: CachedAnswer | None) -> Embed | None:
    """The cached page while it is fresh; `_NO_EMBED` if it is fresh that no provider has one."""
    if cached is None or cached[0].fresh_until <= context.cache.now():
        return None
    return replace(cached[0].value or _NO_EMBED, origin=cached[1])


def _apply_start(context: Context, embed: Embed | None, seconds: int) -> Embed | None:
    """The page starting at `seconds`; None where there is none."""
    if embed is None or not embed.provider_key:
        return None
    member = context.runtime.sources.providers.members.get(embed.provider_key)
    return replace(embed, url=member.start_at(embed.url, seconds)) if member is not None else embed


async def _fetch_once(
    context: Context,
    request: SourceRequest,
    cached: CachedAnswer | None,
    new_entries: dict[str, Entry],
) -> Embed | None:
    """Fetch the page once for all who wait; the first of them gets the entry to store.

    The entry goes into `new_entries`.
    """
    key, sources = cache_keys.EMBED.key(request.cache_name), context.runtime.sources

    async def fetch() -> Embed | None:
        embed, is_certain = await _ask_providers(sources, request)
        if is_certain:
            is_fallback = embed is not None and request.is_fallback(embed.provider_key)
            kind = cache_keys.FALLBACK_EMBED if is_fallback else cache_keys.EMBED
            new_entries[key] = context.cache.build_entry(kind, embed)
            return embed
        if cached is None or cached[0].value is None:
            return None
        metrics.cache_stale_total.labels("redis").inc()
        older: Embed = cached[0].value
        return replace(older, origin=DataOrigin.STALE)

    embed: Embed | None = await sources.fetches.run(key, fetch)
    return embed


async def _ask_providers(
    sources: SourcesRuntime, request: SourceRequest
) -> tuple[Embed | None, bool]:
    """The first provider's page, and whether that answer is certain.

    It is certain if a page was found, or if no provider failed.
    """
    has_failed = False
    try:
        async with asyncio.timeout(sources.providers.deadline_seconds):
            for info in request.infos:
                if not sources.providers.members[info.key].embeds:
                    continue
                try:
                    url = await call_provider(
                        sources, info.key, lambda one: one.embed(request.title)
                    )
                except ProviderFailed:
                    has_failed = True
                    continue
                if url is not None:
                    return Embed(url, info.key, _origin(request, info.key)), True
    except TimeoutError:
        has_failed = True
    return None, not has_failed


def _origin(request: SourceRequest, key: str) -> DataOrigin:
    return DataOrigin.FALLBACK_PROVIDER if request.is_fallback(key) else DataOrigin.PRIMARY_PROVIDER
