"""Where a title can be played: Redis first, then the provider chain, once per title at a time.

Kept an hour from the first provider, half an hour from a fallback, 30 s when nobody has the title,
not at all when providers failed; then an older copy answers, if there is one. What is asked for is
cut out of the whole answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

import models
from resolvers.context import Context, Runtime
from services import cache_keys, metrics
from services.cache import Codec, count
from services.providers.base import ProviderInfo, Source, SourceType, TitleRef
from services.providers.chain import Attempt, Found
from services.quality import Quality

_REFRESH_SECONDS = 30  # what is younger is not asked for again, whoever asks


class DataOrigin(Enum):
    MEMORY = "MEMORY"
    CACHE = "CACHE"
    DATABASE = "DATABASE"
    PRIMARY_PROVIDER = "PRIMARY_PROVIDER"
    FALLBACK_PROVIDER = "FALLBACK_PROVIDER"
    STALE = "STALE"
    DEFAULT = "DEFAULT"


class Sourced(Protocol):
    """A title that can have sources."""

    @property
    def id(self) -> str: ...
    @property
    def tmdb_id(self) -> int | None: ...
    @property
    def imdb_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """None asks for all. A source whose quality or language is unknown is never cut out for it."""

    types: frozenset[SourceType] | None = None
    max_quality: Quality | None = None
    language: str | None = None
    refresh: bool = False

    def accepts(self, source: Source) -> bool:
        return (
            (self.types is None or source.type in self.types)
            and _fits(source.quality, self.max_quality)
            and _speaks(source.language, self.language)
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
        wanted = Wanted(frozenset(types) if types is not None else None, max_quality)
        working = (source for source in self.sources if source.is_working)
        return next((source for source in working if wanted.accepts(source)), None)


_CODEC = Codec[StreamingSources](StreamingSources)
_EVERYTHING = Wanted()


async def streaming_sources(
    context: Context, title: Sourced | models.EpisodeRecord, wanted: Wanted = _EVERYTHING
) -> StreamingSources:
    """Never raises for a provider's or Redis's fault: no sources, and `attempts` say why."""
    runtime = context.runtime
    ref = _ref(title)
    kept = await _kept(context, ref.id)
    if kept is not None and _serves(context, kept, wanted):
        found = replace(kept.sources, origin=kept.origin)
    else:
        found = await runtime.source_fetches.run(ref.id, lambda: _fetch(runtime, ref, kept))
    if wanted == _EVERYTHING:
        return found
    return replace(found, sources=[source for source in found.sources if wanted.accepts(source)])


def provider(context: Context, key: str) -> ProviderInfo:
    """A provider by key; one that is configured no more is known by its key alone."""
    found = context.runtime.providers.infos.get(key)
    return found if found is not None else ProviderInfo(key, key, enabled=False)


def providers(context: Context) -> list[ProviderInfo]:
    """In the order they are asked."""
    return list(context.runtime.providers.infos.values())


def _ref(title: Sourced | models.EpisodeRecord) -> TitleRef:
    """Episodes have no numbers of their own elsewhere; their show's would find a film."""
    if isinstance(title, models.EpisodeRecord):
        return TitleRef(title.id)
    return TitleRef(title.id, title.tmdb_id, title.imdb_id)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a tier holds, and which; fresh or stale."""

    sources: StreamingSources
    fresh_until: float
    origin: DataOrigin


async def _kept(context: Context, title_id: str) -> _Kept | None:
    kind, cache = cache_keys.STREAMING_SOURCES, context.cache
    key = kind.key(title_id)
    found, origin = cache.peek([key]), DataOrigin.MEMORY
    count("memory", len(found), 1 - len(found))
    if not found:
        found, origin = await cache.fetch(kind, _CODEC, [key]), DataOrigin.CACHE
        fresh = sum(entry.fresh_until > cache.now() for entry in found.values())
        count("redis", fresh, 1 - fresh)
    entry = found.get(key)
    if entry is None or entry.value is None:
        return None
    return _Kept(entry.value, entry.fresh_until, origin)


def _serves(context: Context, kept: _Kept, wanted: Wanted) -> bool:
    now = context.cache.now()
    if kept.fresh_until <= now:
        return False
    age_seconds: float = now - kept.sources.fetched_at.timestamp()
    return not (wanted.refresh and age_seconds >= _REFRESH_SECONDS)


async def _fetch(runtime: Runtime, ref: TitleRef, kept: _Kept | None) -> StreamingSources:
    answer = await runtime.providers.find(ref)
    if answer.is_certain:
        return await _store(runtime, ref, answer)
    now = runtime.cache.now()
    if kept is None:
        return _describe(answer, now)
    is_fresh = kept.fresh_until > now  # asked for a refresh that failed
    if not is_fresh:
        metrics.cache_stale_total.labels("redis").inc()
    origin = kept.origin if is_fresh else DataOrigin.STALE
    return replace(kept.sources, origin=origin, attempts=answer.attempts)


def _kind(provider: ProviderInfo | None) -> cache_keys.Kind:
    if provider is None:
        return cache_keys.NO_SOURCES
    return cache_keys.FALLBACK_SOURCES if provider.is_fallback else cache_keys.STREAMING_SOURCES


async def _store(runtime: Runtime, ref: TitleRef, answer: Found) -> StreamingSources:
    cache = runtime.cache
    kind = _kind(answer.provider)
    entry = cache.entry(kind, _describe(answer, cache.now()))
    found: StreamingSources = replace(entry.value, expires_at=_utc(entry.fresh_until))
    await cache.store(kind, _CODEC, {kind.key(ref.id): entry._replace(value=found)})
    return found


def _describe(answer: Found, now: float) -> StreamingSources:
    """The answer as of now; one without a provider expires at once."""
    info = answer.provider
    origin = DataOrigin.DEFAULT
    if info is not None:
        fallback = info.is_fallback
        origin = DataOrigin.FALLBACK_PROVIDER if fallback else DataOrigin.PRIMARY_PROVIDER
    return StreamingSources(
        sources=answer.sources,
        provider_key=info.key if info is not None else None,
        is_fallback=info is not None and info.is_fallback,
        origin=origin,
        fetched_at=_utc(now),
        expires_at=_utc(now),
        attempts=answer.attempts,
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _fits(quality: Quality, most: Quality | None) -> bool:
    return most is None or most is Quality.UNKNOWN or quality.height <= most.height


def _speaks(language: str | None, asked: str | None) -> bool:
    """`en` asks for en-US too; `en-US` takes plain en as well."""
    if language is None or asked is None:
        return True
    one, other = language.casefold(), asked.casefold()
    return one == other or one.startswith(other + "-") or other.startswith(one + "-")
