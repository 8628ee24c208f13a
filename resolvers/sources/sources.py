"""Where a title can be played: Redis first, then the provider chain, once per title at a time.

Kept an hour from the first provider, half an hour from a fallback, 30 s when nobody has the title,
not at all when providers failed; then an older copy answers, if there is one. Shared by all with
the same providers; what is wanted is cut out of the whole answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import models
from resolvers.context import Context, Runtime
from resolvers.sources.cached_answers import CachedAnswer, DataOrigin, read_cached
from resolvers.sources.hls import streams_of_titles
from resolvers.sources.providers import provider
from resolvers.sources.requests import SourceRequest, SourceTitle, source_requests
from services.cache.cache import Codec, Entry
from services.errors import UpstreamUnavailable
from services.providers import LIBRARY
from services.providers.base import ProviderInfo, Source, SourceType
from services.providers.chain import Attempt, ChainResult
from services.quality import Quality
from services.redis import cache_keys
from services.telemetry import metrics

_AT_ONCE = 10  # titles of one operation that are asked for at the same time
_REFRESH_SECONDS = 30  # what is younger is not asked for again, whoever asks


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """None asks for all. A source whose quality or language is unknown is never cut out for it."""

    types: frozenset[SourceType] | None = None
    max_quality: Quality | None = None
    language: str | None = None
    refresh: bool = False

    def accepts(self, source: Source) -> bool:
        return (
            (self.types is None or source.type in self.types)
            and _is_within(source.quality, self.max_quality)
            and _matches_language(source.language, self.language)
        )


@dataclass(frozen=True, slots=True)
class StreamingSources:
    """`sources` best first. `attempts` are the tries that led here, also when the cache answers."""

    sources: list[Source]
    provider_key: str | None
    is_fallback: bool
    origin: DataOrigin
    fetched_at: datetime
    expires_at: datetime
    attempts: list[Attempt]

    @property
    def primary(self) -> list[Source]:
        return [] if self.is_fallback else self.sources

    @property
    def fallback(self) -> list[Source]:
        return self.sources if self.is_fallback else []

    @property
    def links(self) -> list[str]:
        """Addresses of the working sources, best first, each once."""
        return list(dict.fromkeys(source.url for source in self.sources if source.is_working))

    def best(
        self, types: Iterable[SourceType] | None = None, max_quality: Quality | None = None
    ) -> Source | None:
        wanted = SourceFilter(frozenset(types) if types is not None else None, max_quality)
        working = (source for source in self.sources if source.is_working)
        return next((source for source in working if wanted.accepts(source)), None)


_CODEC = Codec[StreamingSources](StreamingSources)
_NO_FILTER = SourceFilter()


async def streaming_sources(
    context: Context, title: SourceTitle, wanted: SourceFilter = _NO_FILTER
) -> StreamingSources:
    return (await sources_of_titles(context, [title], wanted))[0]


async def sources_of_titles(
    context: Context, titles: Sequence[SourceTitle], wanted: SourceFilter = _NO_FILTER
) -> list[StreamingSources]:
    """One for each title; what is kept is read at once, and ten at a time are asked for.

    Never raises for a provider's or Redis's fault: no sources, and `attempts` say why.

    Raises:
        UpstreamUnavailable: the shows of episodes could not be read.
    """
    own = await _library_urls(context, titles)
    asked_of = await source_requests(
        context, titles, wanted.language, wanted.max_quality, in_library=own.keys()
    )
    names = [by.cache_name for by in asked_of]
    kept = await read_cached(context.cache, cache_keys.STREAMING_SOURCES, _CODEC, names)
    turns = asyncio.Semaphore(_AT_ONCE)
    made: dict[str, Entry] = {}

    async def one(by: SourceRequest) -> StreamingSources:
        before = kept.get(by.cache_name)
        if before is not None and _can_serve(context, before[0], wanted):
            return _apply_filter(replace(before[0].value, origin=before[1]), wanted, own)
        async with turns:
            found: StreamingSources = await context.runtime.source_fetches.run(
                by.cache_name, lambda: _fetch(context.runtime, by, before, made)
            )
        return _apply_filter(found, wanted, own)

    found = await asyncio.gather(*map(one, asked_of))
    await context.cache.store(cache_keys.STREAMING_SOURCES, _CODEC, made)
    return list(found)


def _apply_filter(
    found: StreamingSources, wanted: SourceFilter, own: Mapping[str, str]
) -> StreamingSources:
    """What is wanted of it, with this viewer's own addresses of our library."""
    if wanted == _NO_FILTER and found.provider_key != LIBRARY:
        return found
    wished = (source for source in found.sources if wanted.accepts(source))
    return replace(found, sources=[_resolve_url(source, own) for source in wished])


def _resolve_url(source: Source, own: Mapping[str, str]) -> Source:
    return replace(source, url=own.get(source.url, source.url))


async def _library_urls(context: Context, titles: Sequence[SourceTitle]) -> dict[str, str]:
    """Where our own library has titles for this viewer, by what stands for that in what is kept:
    signed, so made for each viewer anew."""
    if context.viewer is None or not provider(context, LIBRARY).enabled:
        return {}
    records = [models.MovieRecord(id=title.id) for title in titles]
    with suppress(UpstreamUnavailable):
        streams = await streams_of_titles(context, records)
        return {
            title.id: stream.master_playlist_url
            for title, stream in zip(titles, streams, strict=True)
            if stream is not None
        }
    return {}


def _can_serve(context: Context, kept: Entry, wanted: SourceFilter) -> bool:
    now = context.cache.now()
    if kept.fresh_until <= now:
        return False
    age_seconds: float = now - kept.value.fetched_at.timestamp()
    return not (wanted.refresh and age_seconds >= _REFRESH_SECONDS)


async def _fetch(
    runtime: Runtime, by: SourceRequest, kept: CachedAnswer | None, made: dict[str, Entry]
) -> StreamingSources:
    """What is to be kept goes into `made`: of those who wait for it, the first one stores it."""
    answer = await runtime.providers.find(by.title, by.viewer_key)
    if answer.is_certain:
        entry = _entry(runtime, by, answer)
        made[cache_keys.STREAMING_SOURCES.key(by.cache_name)] = entry
        certain: StreamingSources = entry.value
        return certain
    now = runtime.cache.now()
    if kept is None:
        return _describe(answer, False, now)
    entry, origin = kept
    if entry.fresh_until <= now:  # else asked for a refresh that failed
        metrics.cache_stale_total.labels("redis").inc()
        origin = DataOrigin.STALE
    older: StreamingSources = entry.value
    return replace(older, origin=origin, attempts=answer.attempts)


def _kind(provider: ProviderInfo | None, is_fallback: bool) -> cache_keys.Kind:
    if provider is None:
        return cache_keys.NO_SOURCES
    return cache_keys.FALLBACK_SOURCES if is_fallback else cache_keys.STREAMING_SOURCES


def _entry(runtime: Runtime, by: SourceRequest, answer: ChainResult) -> Entry:
    cache = runtime.cache
    is_fallback = answer.provider is not None and by.is_fallback(answer.provider.key)
    kind = _kind(answer.provider, is_fallback)
    entry = cache.build_entry(kind, _describe(answer, is_fallback, cache.now()))
    return entry._replace(value=replace(entry.value, expires_at=_utc(entry.fresh_until)))


def _describe(answer: ChainResult, is_fallback: bool, now: float) -> StreamingSources:
    """The answer as of now; one without a provider expires at once."""
    info = answer.provider
    origin = DataOrigin.DEFAULT
    if info is not None:
        origin = DataOrigin.FALLBACK_PROVIDER if is_fallback else DataOrigin.PRIMARY_PROVIDER
    return StreamingSources(
        sources=answer.sources,
        provider_key=info.key if info is not None else None,
        is_fallback=is_fallback,
        origin=origin,
        fetched_at=_utc(now),
        expires_at=_utc(now),
        attempts=answer.attempts,
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _is_within(quality: Quality, most: Quality | None) -> bool:
    return most is None or most is Quality.UNKNOWN or quality.height <= most.height


def _matches_language(language: str | None, source_requests: str | None) -> bool:
    """`en` asks for en-US too; `en-US` takes plain en as well."""
    if language is None or source_requests is None:
        return True
    one, other = language.casefold(), source_requests.casefold()
    return one == other or one.startswith(other + "-") or other.startswith(one + "-")
