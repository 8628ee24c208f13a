"""Answers of TMDb's API (version 3), as far as we read them.

Unknown fields are ignored. A missing optional field reads as unknown, and so does one of another
type or out of bounds (services/tmdb/decoding.py).
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec

Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Path = Annotated[str, msgspec.Meta(pattern=r"\A/[\w./-]{1,200}\Z")]  # of an image
Ordinal = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Figure = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Minutes = Annotated[int, msgspec.Meta(ge=0, le=100_000)]  # the longest film takes 51,420
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class TmdbKind(Enum):
    """As TMDb spells them in its paths."""

    MOVIE = "movie"
    SHOW = "tv"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Base of all answers."""


class Images(Answer, frozen=True):
    secure_base_url: Annotated[str, msgspec.Meta(pattern=r"\Ahttps://[\w.:-]+/\S*\Z")]
    backdrop_sizes: list[str] = []
    poster_sizes: list[str] = []
    profile_sizes: list[str] = []
    still_sizes: list[str] = []

    def url(self, path: str | None, sizes: list[str], size: str) -> str | None:
        """Build an image's URL, `original` where TMDb does not make the size."""
        if path is None:
            return None
        return f"{self.secure_base_url}{size if size in sizes else 'original'}{path}"


class Configuration(Answer, frozen=True):
    images: Images


class NamedId(Answer, frozen=True):
    id: int = 0
    name: str = ""


class Genres(Answer, frozen=True):
    genres: list[NamedId]


class SpokenLanguage(Answer, frozen=True):
    iso_639_1: str = ""


class CastMember(Answer, frozen=True):
    id: Number
    name: str = ""
    character: str | None = None
    order: Ordinal | None = None  # None comes last
    profile_path: Path | None = None
    popularity: Figure = 0.0


class CrewMember(Answer, frozen=True):
    id: Number
    name: str = ""
    department: str = ""
    job: str = ""
    profile_path: Path | None = None
    popularity: Figure = 0.0


class Credits(Answer, frozen=True):
    cast: list[CastMember] = []
    crew: list[CrewMember] = []


class ExternalIds(Answer, frozen=True):
    imdb_id: str | None = None


class ListEntry(Answer, frozen=True):
    """One line of a list: a film has a title, a show or a person a name."""

    id: Number
    title: str | None = None
    name: str | None = None
    popularity: Figure = 0.0


class Page(Answer, frozen=True):
    results: list[ListEntry] = []
    page: int = 1
    total_pages: Ordinal | None = None  # None: until a page is empty


class ChangedTitle(Answer, frozen=True):
    id: Number


class ChangedTitles(Answer, frozen=True):
    results: list[ChangedTitle] = []
    total_pages: Ordinal | None = None


class TitleDetails(Answer, frozen=True):
    """What films and shows have in common, with credits, external ids and similar titles."""

    id: Number
    overview: str | None = None
    original_language: str = ""
    spoken_languages: list[SpokenLanguage] = []
    genres: list[NamedId] = []
    vote_average: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0
    vote_count: Ordinal = 0
    popularity: Figure = 0.0
    poster_path: Path | None = None
    backdrop_path: Path | None = None
    tagline: str | None = None
    credits: Credits = Credits()
    external_ids: ExternalIds = ExternalIds()
    similar: Page = Page()


class MovieDetails(TitleDetails, frozen=True, kw_only=True):
    title: _Name
    original_title: str | None = None
    release_date: str | None = None
    runtime: Minutes | None = None


class SeasonSummary(Answer, frozen=True):
    season_number: Ordinal
    episode_count: int = 0


class Creator(Answer, frozen=True):
    id: Number
    name: str = ""
    profile_path: Path | None = None


class ShowDetails(TitleDetails, frozen=True, kw_only=True):
    name: _Name
    original_name: str | None = None
    first_air_date: str | None = None
    status: str = ""
    created_by: list[Creator] = []
    seasons: list[SeasonSummary] = []


class EpisodeDetails(Answer, frozen=True):
    episode_number: Ordinal
    name: str | None = None
    overview: str | None = None
    air_date: str | None = None
    runtime: Minutes | None = None
    still_path: Path | None = None


class SeasonDetails(Answer, frozen=True):
    season_number: Ordinal
    name: str | None = None
    air_date: str | None = None
    episodes: list[EpisodeDetails] = []
