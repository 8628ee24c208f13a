"""Where a title plays, as clients see it: sources, the tries that found them, the providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import strawberry

import models
from graph.enums import described
from graph.fields import computed, plain, resolver
from graph.info import Info
from graph.interfaces import Node
from graph.scalars import URL, DateTime, LanguageTag
from resolvers import sources
from resolvers.context import Context
from resolvers.sources import DataOrigin
from services.providers.base import ProviderInfo, Source, SourceType
from services.providers.chain import Attempt, AttemptOutcome
from services.quality import Quality

described(
    SourceType,
    "How a source is played.",
    {
        "HLS": "An HLS playlist: the player chooses among qualities.",
        "DIRECT": "One media file.",
        "EMBED": "A page with a player of its own, shown in a frame.",
    },
)
described(
    Quality,
    "How fine a picture is, by its lines.",
    {
        "P360": "360 lines.",
        "P480": "480 lines.",
        "P720": "720 lines.",
        "P1080": "1080 lines.",
        "P2160": "2160 lines (4K).",
        "UNKNOWN": "Not told, or chosen by the player while playing.",
    },
)
described(
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
described(
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
Types = Annotated[
    list[SourceType] | None, strawberry.argument(description="Only sources of these types.")
]
MaxQuality = Annotated[
    Quality | None,
    strawberry.argument(description="Only sources known to be no finer, or of unknown quality."),
]


def _provider_id(provider: strawberry.Parent[ProviderInfo]) -> str:
    return provider.id


@strawberry.type(description="A place that sources come from.")
class Provider(Node):
    id: strawberry.ID = computed(_provider_id, "Identifies the provider everywhere in this API.")
    key: str = plain("Its short name in settings, metrics and logs.")
    name: str = plain("Its name for people.")
    priority: int = plain("Its place in the order of asking: 1 is asked first; 0, no more asked.")
    enabled: bool = plain("It is asked.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, ProviderInfo)


@strawberry.type(description="Subtitles that go with a source.")
class SubtitleTrack:
    language: LanguageTag = plain("The language of the text.")
    label: str | None = plain("Its name in a player's menu.")
    url: URL = plain("Where the track is.")


def _source_provider(source: strawberry.Parent[Source], info: Info) -> ProviderInfo:
    return sources.provider(info.context, source.provider_key)


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
    return sources.provider(info.context, attempt.provider_key)


@strawberry.type(description="One try of one provider, in the order they were made.")
class ProviderAttempt:
    provider: Provider = computed(_attempt_provider, "Who was tried.")
    outcome: AttemptOutcome = plain("How it ended.")
    duration_ms: int = plain("How long it took, in milliseconds.")
    hedged: bool = plain("It ran beside an earlier try that was slow to answer.")
    reason: str | None = plain("Why it failed, in one of our own words.")


def _best(
    found: strawberry.Parent[sources.StreamingSources],
    types: Types = None,
    max_quality: MaxQuality = None,
) -> Source | None:
    return found.best(types, max_quality)


def _found_by(
    found: strawberry.Parent[sources.StreamingSources], info: Info
) -> ProviderInfo | None:
    key = found.provider_key
    return sources.provider(info.context, key) if key is not None else None


@strawberry.type(description="Where a title plays now.")
class StreamingSources:
    sources: list[StreamingSource] = plain("All that were asked for, the best first.")
    primary: list[StreamingSource] = plain("The same, if the first provider has the title.")
    fallback: list[StreamingSource] = plain("The same, if only a later provider has the title.")
    best: StreamingSource | None = computed(_best, "The best one that works.")
    links: list[URL] = plain("Addresses of those that work, the best first, each once.")
    provider: Provider | None = computed(_found_by, "Who has the title; null if nobody has.")
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

    def wanted(self) -> sources.Wanted:
        return sources.Wanted(
            types=frozenset(self.types) if self.types is not None else None,
            max_quality=self.max_quality,
            language=self.language,
            refresh=bool(self.refresh),
        )


async def _streaming_sources(
    title: strawberry.Parent[models.MovieRecord | models.EpisodeRecord],
    info: Info,
    input: Annotated[
        StreamingSourcesInput | None, strawberry.argument(description="Which are wanted; all.")
    ] = None,
) -> sources.StreamingSources:
    wanted = input.wanted() if input is not None else sources.Wanted()
    return await sources.streaming_sources(info.context, title, wanted)


@strawberry.type
class TitleSources:
    """What films and episodes get from this domain."""

    streaming_sources: StreamingSources | None = resolver(
        _streaming_sources,
        "Where it plays; kept for an hour, half an hour from a fallback.",
        needs=["id", "tmdb_id", "imdb_id"],
        is_private=True,  # until its own lifetime can be told: it changes within the hour
        is_slow=True,
    )


async def find_providers(context: Context, wanted: Sequence[str]) -> dict[str, ProviderInfo]:
    """Providers by their ids, for `node`."""
    return {info.id: info for info in sources.providers(context) if info.id in wanted}


async def _providers(info: Info) -> list[ProviderInfo]:
    return sources.providers(info.context)


@strawberry.type
class SourcesQuery:
    providers: list[Provider] = resolver(_providers, "All providers, in the order they are asked.")
