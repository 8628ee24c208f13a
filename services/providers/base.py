"""What a provider is: given a title, it answers playable sources or fails with a coded reason.

A provider file holds what is special about one provider; order, deadlines and telling are the
chain's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from services.quality import Quality


class SourceType(Enum):
    HLS = "HLS"
    DIRECT = "DIRECT"
    EMBED = "EMBED"


class TitleKind(Enum):
    """The value is what providers call it."""

    MOVIE = "movie"
    TV = "tv"


@dataclass(frozen=True, slots=True)
class TitleRef:
    """What providers may be told about a title; nothing about who asks.

    Of an episode, `tmdb_id` and `imdb_id` are its show's. `language` and `max_quality` go only to
    providers that say they take them (`Provider.takes`). `in_library`: our own disk has it, for
    this viewer.
    """

    id: str
    tmdb_id: int | None = None
    imdb_id: str | None = None
    kind: TitleKind = TitleKind.MOVIE
    season: int | None = None
    episode: int | None = None
    language: str | None = None
    max_quality: Quality | None = None
    in_library: bool = False


@dataclass(frozen=True, slots=True)
class Subtitle:
    language: str
    url: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """`priority` ranks: the higher, the better."""

    url: str
    type: SourceType
    quality: Quality
    priority: int
    provider_key: str
    language: str | None = None
    subtitles: tuple[Subtitle, ...] = ()
    is_working: bool = True


# What a viewer gains from a step up, in equal steps.
_TYPE_WEIGHT = {SourceType.HLS: 30, SourceType.DIRECT: 20, SourceType.EMBED: 10}
_QUALITY_WEIGHT = {
    Quality.P2160: 50,
    Quality.P1080: 40,
    Quality.P720: 30,
    Quality.P480: 20,
    Quality.P360: 10,
}


def compute_priority(source_type: SourceType, quality: Quality) -> int:
    return _TYPE_WEIGHT[source_type] + _QUALITY_WEIGHT.get(quality, 0)


def rank_sources(sources: Iterable[Source]) -> list[Source]:
    """Best first; equals keep the provider's order."""
    return sorted(sources, key=lambda source: -source.priority)


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """What is told about a provider; nothing secret. `priority` 1 is asked first."""

    key: str
    name: str
    priority: int = 0
    enabled: bool = True
    is_fallback: bool = False
    rollout_percent: int = 100

    @property
    def id(self) -> str:
        return f"provider_{self.key}"


@dataclass(frozen=True, slots=True)
class Availability:
    """What a provider says about itself; `message` is its own words, cut short."""

    available: bool
    message: str | None = None
    rate_limit_remaining: int | None = None


class SupportedHint(Enum):
    """What of a wish a provider's own answer depends on."""

    LANGUAGE = "language"
    MAX_QUALITY = "max_quality"


class Provider(ABC):
    """One place sources come from. The class flags say what it can do beside that."""

    calls_out: ClassVar[bool] = True  # else there is no service that a breaker could protect
    embeds: ClassVar[bool] = False
    searches: ClassVar[bool] = False
    tells_status: ClassVar[bool] = False
    supported_hints: frozenset[SupportedHint] = frozenset()

    def __init__(self, info: ProviderInfo) -> None:
        self.info = info

    @abstractmethod
    async def sources(self, title: TitleRef) -> list[Source]:
        """Sources of this title in all languages; empty when the provider does not have it.

        Raises:
            ProviderFailed: the provider is at fault; `reason` says how.
            TimeoutError: it did not answer in time.
        """

    async def embed(self, title: TitleRef) -> str | None:
        """The address of its player page for this title, or None. Raises as `sources` does."""
        return None

    def start_at(self, address: str, seconds: int) -> str:
        """The address of `embed` for a player that begins there, if this provider's can."""
        return address

    async def search(self, query: str, kind: TitleKind) -> list[int]:
        """TMDb's numbers of what it found, the best first. Raises as `sources` does."""
        return []

    async def status(self) -> Availability | None:
        """What it says about itself; None when it cannot tell. Raises as `sources` does."""
        return None

    def source(
        self,
        url: str,
        source_type: SourceType,
        quality: Quality = Quality.UNKNOWN,
        *,
        language: str | None = None,
        subtitles: tuple[Subtitle, ...] = (),
        is_working: bool = True,
    ) -> Source:
        """A source of this provider, with its rank."""
        priority = compute_priority(source_type, quality)
        return Source(
            url, source_type, quality, priority, self.info.key, language, subtitles, is_working
        )
