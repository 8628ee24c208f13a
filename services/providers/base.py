"""Interface of a provider of sources.

Given a title, it answers playable sources or fails with a coded reason. A provider file holds only
the specifics of one provider; order, deadlines and reporting are the chain's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from services.quality import Quality


class SourceType(Enum):
    """Kind of a source's address: playlist, file or player page."""

    HLS = "HLS"
    DIRECT = "DIRECT"
    EMBED = "EMBED"


class TitleKind(Enum):
    """Kind of a title; the value is the word providers use."""

    MOVIE = "movie"
    TV = "tv"


@dataclass(frozen=True, slots=True)
class TitleRef:
    """Facts about a title that providers may receive; none about the viewer.

    Of an episode, `tmdb_id` and `imdb_id` are its show's. `language` and `max_quality` go only to
    providers that support them (`Provider.supported_hints`). `in_library`: our own disk has it, for
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
    """One track of subtitles."""

    language: str
    url: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Playable source; the higher its `priority`, the better."""

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
    """Compute a source's rank from its type and quality; higher is better."""
    return _TYPE_WEIGHT[source_type] + _QUALITY_WEIGHT.get(quality, 0)


def rank_sources(sources: Iterable[Source]) -> list[Source]:
    """Sort sources best first; equals keep the provider's order."""
    return sorted(sources, key=lambda source: -source.priority)


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """Public facts about a provider; `priority` 1 is called first.

    `is_checked`: its answers can be wrong or missing, and are measured; False: it says that it has
    everything, and nobody looks.
    """

    key: str
    name: str
    priority: int = 0
    enabled: bool = True
    is_fallback: bool = False
    rollout_percent: int = 100
    is_checked: bool = field(default=True, compare=False)  # of the kind, not of the settings

    @property
    def id(self) -> str:
        """Id of the provider in the schema."""
        return f"provider_{self.key}"


@dataclass(frozen=True, slots=True)
class Availability:
    """Provider's own status; `message` is its text, cut short."""

    available: bool
    message: str | None = None
    rate_limit_remaining: int | None = None


class SupportedHint(Enum):
    """Hint of a request on which a provider's answer depends."""

    LANGUAGE = "language"
    MAX_QUALITY = "max_quality"


class Provider(ABC):
    """Place that sources come from; the class flags say what else it can do."""

    calls_out: ClassVar[bool] = True  # else there is no service that a breaker could protect
    embeds: ClassVar[bool] = False
    searches: ClassVar[bool] = False
    tells_status: ClassVar[bool] = False
    supported_hints: frozenset[SupportedHint] = frozenset()

    def __init__(self, info: ProviderInfo) -> None:
        self.info = info

    @abstractmethod
    async def sources(self, title: TitleRef) -> list[Source]:
        """List sources in all languages; empty when the provider does not have the title.

        Raises:
            ProviderFailed: the provider is at fault; `reason` says how.
            TimeoutError: it did not answer in time.
        """

    async def embed(self, title: TitleRef) -> str | None:
        """Get the address of the title's player page, or None. Raises as `sources` does."""
        return None

    def start_at(self, address: str, seconds: int) -> str:
        """Add a start position to an address of `embed`, where the player supports it."""
        return address

    async def search(self, query: str, kind: TitleKind) -> list[int]:
        """Search for titles: TMDb's numbers, best first. Raises as `sources` does."""
        return []

    async def status(self) -> Availability | None:
        """Ask for the provider's status; None when it has none. Raises as `sources` does."""
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
        """Build a source of this provider, with its rank."""
        priority = compute_priority(source_type, quality)
        return Source(
            url, source_type, quality, priority, self.info.key, language, subtitles, is_working
        )
