"""Where a title can be played: from Redis, else from providers, once per title at a time.

Cached for an hour from the first provider, for half an hour from a fallback, for 30 s when no
provider has the title, or an unchecked one stood in for one that failed. Not at all when providers
failed; then a stale answer is served, if there is one. Answers are shared by viewers with the same
providers; filters apply to the whole answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import models
from resolvers.context import Context
from resolvers.sources.cached_answers import CachedAnswer, DataOrigin, read_cached
from resolvers.sources.hls import streams_of_titles
from resolvers.sources.providers import provider
from resolvers.sources.requests import SourceRequest, SourceTitle, source_requests
from services.cache.cache import Cache, Codec, Entry
from services.errors import UpstreamUnavailable
from services.providers import LIBRARY
from services.providers.base import Source, SourceType
from services.providers.chain import Attempt, ChainResult
from services.quality import Quality
from services.redis import cache_keys
from services.telemetry import metrics

_AT_ONCE = 10  # titles of one operation that are asked for at the same time
_REFRESH_SECONDS = 30  # what is younger is not asked for again, whoever asks


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """Which sources to return; None means all.

    A source of unknown quality or language passes.
    """

    types: frozenset[SourceType] | None = None
    max_quality: Quality | None = None
    language: str | None = None
    refresh: bool = False

    def accepts(self, source: Source) -> bool:
        """Whether a source passes the filter."""
        return (
            (self.types is None or source.type in self.types)
            and _is_within(source.quality, self.max_quality)
            and _matches_language(source.language, self.language)
        )


@dataclass(frozen=True, slots=True)
class StreamingSources:
    """A title's sources, best first.

    `attempts` are the provider calls that led to the answer, also when it comes from the cache.
    """

    sources: list[Source]
    provider_key: str | None
    is_fallback: bool
    origin: DataOrigin
    fetched_at: datetime
    expires_at: datetime
    attempts: list[Attempt]

    @property
    def primary(self) -> list[Source]:
        """The sources, if the first provider has them."""
        return [] if self.is_fallback else self.sources

    @property
    def fallback(self) -> list[Source]:
        """The sources, if a fallback provider has them."""
        return self.sources if self.is_fallback else []

    @property
    def links(self) -> list[str]:
        """Addresses of the working sources, best first, each once."""
        return list(dict.fromkeys(source.url for source in self.sources if source.is_working))

    def best(
        self, types: Iterable[SourceType] | None = None, max_quality: Quality | None = None
    ) -> Source | None:
        """The best working source of these types, up to this quality; None without one."""
        source_filter = SourceFilter(frozenset(types) if types is not None else None, max_quality)
        working = (source for source in self.sources if source.is_working)
        return next((source for source in working if source_filter.accepts(source)), None)


_CODEC = Codec[StreamingSources](StreamingSources)
_NO_FILTER = SourceFilter()


async def streaming_sources(
    context: Context, title: SourceTitle, source_filter: SourceFilter = _NO_FILTER
) -> StreamingSources:
    """The sources of one title; see `sources_of_titles`."""
    return (await sources_of_titles(context, [title], source_filter))[0]


async def sources_of_titles(
    context: Context, titles: Sequence[SourceTitle], source_filter: SourceFilter = _NO_FILTER
) -> list[StreamingSources]:
    """The sources of each title, in order.

    The cache is read once for all; up to ten titles are fetched at a time. Failures of providers or
    Redis are never raised: `sources` is empty and `attempts` have the reasons.

    Raises:
        UpstreamUnavailable: the shows of episodes could not be read.
    """
    own_urls = await _library_urls(context, titles)
    requests = await source_requests(
        context,
        titles,
        source_filter.language,
        source_filter.max_quality,
        in_library=own_urls.keys(),
    )
    names = [request.cache_name for request in requests]
    cached = await read_cached(context.cache, cache_keys.STREAMING_SOURCES, _CODEC, names)
    slots = asyncio.Semaphore(_AT_ONCE)
    new_entries: dict[str, Entry] = {}

    async def find_sources(request: SourceRequest) -> StreamingSources:
        cached_answer = cached.get(request.cache_name)
        if cached_answer is not None and _can_serve(context, cached_answer[0], source_filter):
            return _apply_filter(
                replace(cached_answer[0].value, origin=cached_answer[1]), source_filter, own_urls
            )
        async with slots:
            sources: StreamingSources = await context.runtime.sources.fetches.run(
                request.cache_name,
                lambda: _fetch(context, request, cached_answer, new_entries),
            )
        return _apply_filter(sources, source_filter, own_urls)

    results = await asyncio.gather(*map(find_sources, requests))
    await context.cache.store(cache_keys.STREAMING_SOURCES, _CODEC, new_entries, replaces=True)
    return list(results)


def _apply_filter(
    result: StreamingSources, source_filter: SourceFilter, own_urls: Mapping[str, str]
) -> StreamingSources:
    """The accepted sources, with this viewer's own URLs of our library."""
    if source_filter == _NO_FILTER and result.provider_key != LIBRARY:
        return result
    accepted = (source for source in result.sources if source_filter.accepts(source))
    return replace(result, sources=[_resolve_url(source, own_urls) for source in accepted])


def _resolve_url(source: Source, own_urls: Mapping[str, str]) -> Source:
    return replace(source, url=own_urls.get(source.url, source.url))


async def _library_urls(context: Context, titles: Sequence[SourceTitle]) -> dict[str, str]:
    """This viewer's signed URLs of our own library, by the placeholder that is cached.

    They are signed for one viewer, so they are no part of the shared answer.
    """
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


def _can_serve(context: Context, entry: Entry, source_filter: SourceFilter) -> bool:
    now = context.cache.now()
    if entry.fresh_until <= now:
        return False
    age_seconds: float = now - entry.value.fetched_at.timestamp()
    return not (source_filter.refresh and age_seconds >= _REFRESH_SECONDS)


async def _fetch(
    context: Context,
    request: SourceRequest,
    cached: CachedAnswer | None,
    new_entries: dict[str, Entry],
) -> StreamingSources:
    """Fetch the sources once for all who wait; the first of them gets the entry to store.

    The entry goes into `new_entries`.
    """
    answer = await context.runtime.sources.providers.find(request.title, request.viewer_key)
    now = context.cache.now()
    is_fresh = cached is not None and cached[0].fresh_until > now  # and a refresh was asked for
    if answer.is_certain and not (answer.is_stopgap and is_fresh):
        entry = _entry(context.cache, request, answer)
        new_entries[cache_keys.STREAMING_SOURCES.key(request.cache_name)] = entry
        certain: StreamingSources = entry.value
        return certain
    if cached is None:
        return _describe(answer, False, now)
    entry, origin = cached
    if not is_fresh:
        metrics.cache_stale_total.labels("redis").inc()
        origin = DataOrigin.STALE
    older: StreamingSources = entry.value
    return replace(older, origin=origin, attempts=answer.attempts)


def _kind(answer: ChainResult, is_fallback: bool) -> cache_keys.Kind:
    if answer.provider is None:
        return cache_keys.NO_SOURCES
    if answer.is_stopgap:
        return cache_keys.STOPGAP_SOURCES
    return cache_keys.FALLBACK_SOURCES if is_fallback else cache_keys.STREAMING_SOURCES


def _entry(cache: Cache, request: SourceRequest, answer: ChainResult) -> Entry:
    is_fallback = answer.provider is not None and request.is_fallback(answer.provider.key)
    kind = _kind(answer, is_fallback)
    entry = cache.build_entry(kind, _describe(answer, is_fallback, cache.now()))
    return entry._replace(value=replace(entry.value, expires_at=_utc(entry.fresh_until)))


def _describe(answer: ChainResult, is_fallback: bool, now: float) -> StreamingSources:
    """The chain's answer as of `now`; one without a provider expires at once."""
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


def _is_within(quality: Quality, max_quality: Quality | None) -> bool:
    return (
        max_quality is None
        or max_quality is Quality.UNKNOWN
        or quality.height <= max_quality.height
    )


def _matches_language(language: str | None, requested: str | None) -> bool:
    """Whether the languages match: `en` accepts en-US, and `en-US` accepts plain en."""
    if language is None or requested is None:
        return True
    one, other = language.casefold(), requested.casefold()
    return one == other or one.startswith(other + "-") or other.startswith(one + "-")
