"""Streaming sources as clients see them, with the provider calls behind them."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.bounds import bound
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import batched, computed, plain
from graph.base.info import Info
from graph.base.quality import Quality
from graph.base.scalars import URL, DateTime, LanguageTag
from graph.catalog.catalog import Playable
from graph.sources.providers import Provider
from resolvers.sources import embeds, sources
from resolvers.sources.cached_answers import DataOrigin
from resolvers.sources.providers import provider
from services.providers.base import ProviderInfo, Source, SourceType
from services.providers.chain import Attempt, AttemptOutcome

describe_enum(
    SourceType,
    "How a source is played.",
    {
        "HLS": "An HLS playlist with adaptive quality.",
        "DIRECT": "A single media file.",
        "EMBED": "A web page with its own player, to embed in an iframe.",
    },
)
describe_enum(
    AttemptOutcome,
    "Outcome of one provider call.",
    {
        "HIT": "The provider has the title; its sources are returned.",
        "EMPTY": "The provider does not have the title.",
        "ERROR": "The call failed; `reason` says why.",
        "TIMEOUT": "The provider did not respond in time.",
        "BREAKER_OPEN": "Not called: its circuit breaker is open.",
        "BULKHEAD_FULL": "Not called: too many calls to it are in progress (bulkhead).",
        "CANCELLED": "Canceled: another provider answered first, or the deadline passed.",
        "DISABLED": "Not called: the provider is disabled.",
    },
)
describe_enum(
    DataOrigin,
    "Origin of a result.",
    {
        "MEMORY": "Memory of the serving process.",
        "CACHE": "Fresh cache entry.",
        "DATABASE": "Database.",
        "PRIMARY_PROVIDER": "Live response of the first provider.",
        "FALLBACK_PROVIDER": "Live response of a later provider, after the first one failed.",
        "STALE": "Stale cache entry, because no live response was available.",
        "DEFAULT": "No result was available.",
    },
)
Playables = models.MovieRecord | models.EpisodeRecord
Types = Annotated[
    list[SourceType] | None,
    strawberry.argument(
        description="Return only sources of these types; null for all.", directives=bound(items=10)
    ),
]
MaxQuality = Annotated[
    Quality | None,
    strawberry.argument(
        description="Return only sources of this quality or lower, or of unknown quality; "
        "null for all."
    ),
]


@strawberry.type(description="A subtitle track of a source.")
class SubtitleTrack:
    language: LanguageTag = plain("Language of the subtitles.")
    label: str | None = plain("Display name for a player's menu; null if there is none.")
    url: URL = plain("URL of the track.")


def _source_provider(source: strawberry.Parent[Source], info: Info) -> ProviderInfo:
    return provider(info.context, source.provider_key)


@strawberry.type(description="A playable source of a title.")
class StreamingSource:
    url: URL = plain("URL of the source.")
    type: SourceType = plain("How the source is played.")
    quality: Quality = plain("Picture quality.")
    language: LanguageTag | None = plain("Audio language; null if the provider did not report it.")
    provider: Provider = computed(_source_provider, "The provider of the source.")
    subtitles: list[SubtitleTrack] = plain("Subtitle tracks of the source.")
    is_working: bool = plain("Whether the provider reports the source as working.")
    priority: int = plain("Rank among the sources; higher is better.")


def _attempt_provider(attempt: strawberry.Parent[Attempt], info: Info) -> ProviderInfo:
    return provider(info.context, attempt.provider_key)


@strawberry.type(description="One call to a provider.")
class ProviderAttempt:
    provider: Provider = computed(_attempt_provider, "The provider called.")
    outcome: AttemptOutcome = plain("Outcome of the call.")
    duration_ms: int = plain("Duration in milliseconds.")
    hedged: bool = plain(
        "Whether it was a hedged call, started beside an earlier call that was slow."
    )
    reason: str | None = plain(
        "Reason code of the failure, such as HTTP_503; null if the call did not fail."
    )


def _best(
    answer: strawberry.Parent[sources.StreamingSources],
    types: Types = None,
    max_quality: MaxQuality = None,
) -> Source | None:
    return answer.best(types, max_quality)


def _answering_provider(
    answer: strawberry.Parent[sources.StreamingSources], info: Info
) -> ProviderInfo | None:
    key = answer.provider_key
    return provider(info.context, key) if key is not None else None


@strawberry.type(description="Streaming sources of a title.")
class StreamingSources:
    sources: list[StreamingSource] = plain("All matching sources, best first.")
    primary: list[StreamingSource] = plain(
        "The sources if the first provider returned them, else empty."
    )
    fallback: list[StreamingSource] = plain(
        "The sources if a later provider returned them, else empty."
    )
    best: StreamingSource | None = computed(
        _best, "The best working source; null if there is none."
    )
    links: list[URL] = plain("Distinct URLs of the working sources, best first.")
    provider: Provider | None = computed(
        _answering_provider, "The provider that returned the sources; null if none did."
    )
    origin: DataOrigin = plain("Origin of these sources.")
    fetched_at: DateTime = plain("When the provider was called.")
    expires_at: DateTime = plain("When the sources expire and the provider is called again.")
    attempts: list[ProviderAttempt] = plain(
        "Provider calls behind this result, in the order they were made."
    )


@strawberry.input(description="Conditions on streaming sources.")
class StreamingSourcesInput:
    types: list[SourceType] | None = strawberry.field(
        default=None,
        description="Types of sources to return; null for all.",
        directives=bound(items=10),
    )
    max_quality: Quality | None = strawberry.field(
        default=None,
        description="Maximum quality of sources to return; sources of unknown quality "
        "are included. Null for all.",
    )
    language: LanguageTag | None = strawberry.field(
        default=None,
        description="Audio language of sources to return; sources of unknown language "
        "are included. Null for all.",
    )
    refresh: bool | None = strawberry.field(
        default=False,
        description="Whether to bypass the cache; honored at most twice a minute per title.",
    )

    def source_filter(self) -> sources.SourceFilter:
        """Build the conditions on sources."""
        return sources.SourceFilter(
            types=frozenset(self.types) if self.types is not None else None,
            max_quality=self.max_quality,
            language=self.language,
            refresh=bool(self.refresh),
        )


async def _streaming_sources(
    titles: strawberry.Parent[list[Playables]],
    info: Info,
    input: Annotated[
        StreamingSourcesInput | None,
        strawberry.argument(description="Conditions on the sources; null returns all."),
    ] = None,
) -> list[sources.StreamingSources]:
    source_filter = input.source_filter() if input is not None else sources.SourceFilter()
    return await sources.sources_of_titles(info.context, titles, source_filter)


@strawberry.input(description="Options of an embedded player page.")
class EmbedInput:
    start_at_seconds: int | None = strawberry.field(
        default=None,
        description="Start position in seconds, 0 to 604800, if the player supports it.",
    )
    language: LanguageTag | None = strawberry.field(
        default=None, description="Language of the player, if the player supports it."
    )


def _embed_provider(embed: strawberry.Parent[embeds.Embed], info: Info) -> ProviderInfo:
    return provider(info.context, embed.provider_key)


@strawberry.type(description="A web page with its own player, to embed in an iframe.")
class Embed:
    url: URL = plain("URL of the page.")
    provider: Provider = computed(_embed_provider, "The provider of the page.")
    origin: DataOrigin = plain("Origin of this page.")


async def _embed(
    titles: strawberry.Parent[list[Playables]],
    info: Info,
    input: Annotated[
        EmbedInput | None,
        strawberry.argument(description="Options of the page; null plays from the start."),
    ] = None,
) -> list[embeds.Embed | None]:
    options = input if input is not None else EmbedInput()
    return await embeds.embeds_of_titles(
        info.context, titles, start_at_seconds=options.start_at_seconds, language=options.language
    )


_NEEDS = ["id", "tmdb_id", "imdb_id", "show_id", "season_number", "number"]


@extend(Playable)
class TitleSources:
    """Fields of films and episodes about sources."""

    streaming_sources: StreamingSources | None = batched(
        _streaming_sources,
        "Streaming sources from the providers. Cached for an hour, for half "
        "an hour if a later provider answered.",
        needs=_NEEDS,
        is_private=True,  # the viewer decides which providers are called
        is_slow=True,
    )
    embed: Embed | None = batched(
        _embed,
        "Embeddable player page of the first provider that has one; null if "
        "none has. Cached like `streamingSources`.",
        needs=_NEEDS,
        is_private=True,
        is_slow=True,
    )
