"""Where a title plays, as clients see it: sources, the tries that found them, the providers."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.base.enums import describe_enum
from graph.base.fields import batched, computed, plain
from graph.base.info import Info
from graph.base.scalars import URL, DateTime, LanguageTag
from graph.sources.providers import Provider
from graph.sources.quality import Quality
from resolvers.sources import embeds, sources
from resolvers.sources.cached_answers import DataOrigin
from resolvers.sources.providers import provider
from services.providers.base import ProviderInfo, Source, SourceType
from services.providers.chain import Attempt, AttemptOutcome

describe_enum(
    SourceType,
    "How a source is played.",
    {
        "HLS": "An HLS playlist: the player chooses among qualities.",
        "DIRECT": "One media file.",
        "EMBED": "A page with a player of its own, shown in a frame.",
    },
)
describe_enum(
    AttemptOutcome,
    "How a try of a provider ended.",
    {
        "HIT": "It has the title; its sources are the answer.",
        "EMPTY": "It does not have the title.",
        "ERROR": "It failed; `reason` says how.",
        "TIMEOUT": "It did not answer in time.",
        "BREAKER_OPEN": "It failed too often lately and was not asked.",
        "BULKHEAD_FULL": "Too many questions to it were open already.",
        "CANCELLED": "It was not needed, or not reached in time.",
        "DISABLED": "It is switched off.",
    },
)
describe_enum(
    DataOrigin,
    "Where an answer comes from.",
    {
        "MEMORY": "From the memory of the process that answered.",
        "CACHE": "From the cache, still fresh.",
        "DATABASE": "From the database.",
        "PRIMARY_PROVIDER": "From the first provider, just asked.",
        "FALLBACK_PROVIDER": "From a later provider, just asked: the first one failed.",
        "STALE": "From the cache, out of date: nothing better could be had.",
        "DEFAULT": "From nowhere: nothing was found.",
    },
)
Playables = models.MovieRecord | models.EpisodeRecord
Types = Annotated[
    list[SourceType] | None, strawberry.argument(description="Only sources of these types.")
]
MaxQuality = Annotated[
    Quality | None,
    strawberry.argument(description="Only sources known to be no finer, or of unknown quality."),
]


@strawberry.type(description="Subtitles that go with a source.")
class SubtitleTrack:
    language: LanguageTag = plain("The language of the text.")
    label: str | None = plain("Its name in a player's menu.")
    url: URL = plain("Where the track is.")


def _source_provider(source: strawberry.Parent[Source], info: Info) -> ProviderInfo:
    return provider(info.context, source.provider_key)


@strawberry.type(description="One way to play a title.")
class StreamingSource:
    url: URL = plain("Where it is.")
    type: SourceType = plain("How it is played.")
    quality: Quality = plain("How fine the picture is.")
    language: LanguageTag | None = plain("The language spoken, when the provider told it.")
    provider: Provider = computed(_source_provider, "Who offers it.")
    subtitles: list[SubtitleTrack] = plain("Subtitles that go with it.")
    is_working: bool = plain("The provider says that it works.")
    priority: int = plain("Its rank among the sources: the higher, the better.")


def _attempt_provider(attempt: strawberry.Parent[Attempt], info: Info) -> ProviderInfo:
    return provider(info.context, attempt.provider_key)


@strawberry.type(description="One try of one provider, in the order they were made.")
class ProviderAttempt:
    provider: Provider = computed(_attempt_provider, "Who was tried.")
    outcome: AttemptOutcome = plain("How it ended.")
    duration_ms: int = plain("How long it took, in milliseconds.")
    hedged: bool = plain("It ran beside an earlier try that was slow to answer.")
    reason: str | None = plain("Why it failed, in one of our own words.")


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


@strawberry.type(description="Where a title plays now.")
class StreamingSources:
    sources: list[StreamingSource] = plain("All that were asked for, the best first.")
    primary: list[StreamingSource] = plain("The same, if the first provider has the title.")
    fallback: list[StreamingSource] = plain("The same, if only a later provider has the title.")
    best: StreamingSource | None = computed(_best, "The best one that works.")
    links: list[URL] = plain("Addresses of those that work, the best first, each once.")
    provider: Provider | None = computed(
        _answering_provider, "Who has the title; null if nobody has."
    )
    origin: DataOrigin = plain("Where this answer comes from.")
    fetched_at: DateTime = plain("When the provider was asked.")
    expires_at: DateTime = plain("When it will be asked again.")
    attempts: list[ProviderAttempt] = plain("The tries that led to this answer.")


@strawberry.input(description="Which sources are wanted.")
class StreamingSourcesInput:
    types: list[SourceType] | None = strawberry.field(
        default=None, description="Only sources of these types."
    )
    max_quality: Quality | None = strawberry.field(
        default=None, description="Only sources known to be no finer, or of unknown quality."
    )
    language: LanguageTag | None = strawberry.field(
        default=None, description="Only sources in this language, or of unknown language."
    )
    refresh: bool | None = strawberry.field(
        default=False,
        description="Ask again even if the answer is known; at most twice a minute a title.",
    )

    def source_filter(self) -> sources.SourceFilter:
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
        StreamingSourcesInput | None, strawberry.argument(description="Which are wanted; all.")
    ] = None,
) -> list[sources.StreamingSources]:
    source_filter = input.source_filter() if input is not None else sources.SourceFilter()
    return await sources.sources_of_titles(info.context, titles, source_filter)


@strawberry.input(description="How a player page is wanted.")
class EmbedInput:
    start_at_seconds: int | None = strawberry.field(
        default=None, description="Where it begins, if its player can be told: 0 to a week."
    )
    language: LanguageTag | None = strawberry.field(
        default=None, description="Its language, if its player can be told."
    )


def _embed_provider(embed: strawberry.Parent[embeds.Embed], info: Info) -> ProviderInfo:
    return provider(info.context, embed.provider_key)


@strawberry.type(description="A page with a player of its own, shown in a frame.")
class Embed:
    url: URL = plain("Where it is.")
    provider: Provider = computed(_embed_provider, "Who offers it.")
    origin: DataOrigin = plain("Where this answer comes from.")


async def _embed(
    titles: strawberry.Parent[list[Playables]],
    info: Info,
    input: Annotated[
        EmbedInput | None, strawberry.argument(description="How it is wanted; from the start.")
    ] = None,
) -> list[embeds.Embed | None]:
    options = input if input is not None else EmbedInput()
    return await embeds.embeds_of_titles(
        info.context, titles, start_at_seconds=options.start_at_seconds, language=options.language
    )


_NEEDS = ["id", "tmdb_id", "imdb_id", "show_id", "season_number", "number"]


@strawberry.type
class TitleSources:
    """What films and episodes get from this domain."""

    streaming_sources: StreamingSources | None = batched(
        _streaming_sources,
        "Where it plays; kept for an hour, half an hour from a fallback.",
        needs=_NEEDS,
        is_private=True,  # who asks decides which providers are asked
        is_slow=True,
    )
    embed: Embed | None = batched(
        _embed,
        "Its player page at the first provider that has one; kept as its sources are.",
        needs=_NEEDS,
        is_private=True,
        is_slow=True,
    )
