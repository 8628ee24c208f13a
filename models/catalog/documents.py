"""The catalogue as stored: films, shows with seasons and episodes, people and genres."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pydantic import BaseModel
from pymongo import IndexModel

from models.catalog.facets import Facets
from models.catalog.index_definitions import (
    FEATURED_INDEX,
    search_index,
    title_indexes,
    unique_where_present,
)
from models.catalog.search_keys import SearchText
from models.mongo.base import EPOCH, IdentifiedRecord, Record, StoredDocument


class Department(Enum):
    CAST = "CAST"
    DIRECTING = "DIRECTING"
    WRITING = "WRITING"
    PRODUCTION = "PRODUCTION"
    CAMERA = "CAMERA"
    SOUND = "SOUND"
    OTHER = "OTHER"


class ShowStatus(Enum):
    RETURNING = "RETURNING"
    ENDED = "ENDED"
    CANCELED = "CANCELED"
    PLANNED = "PLANNED"


class Credit(BaseModel):
    """One person's part in one title; embedded in the title, in billing order."""

    title_id: str
    person_id: str
    department: Department
    job: str | None = None
    character: str | None = None
    order: int | None = None


class _Title(StoredDocument):
    tmdb_id: int | None = None
    imdb_id: str | None = None
    title: str
    sort_title: str
    original_title: str | None = None
    also_known_as: list[str] = []  # further names, for search
    overview: str | None = None
    year: int | None = None
    languages: list[str] = []
    genre_ids: list[str] = []
    rating: float | None = None  # 0-10
    vote_count: int = 0
    views: int = 0
    popularity: float = 0.0
    poster_path: str | None = None
    backdrop_path: str | None = None
    credits: list[Credit] = []
    is_active: bool = True
    search: SearchText | None = None  # made of the names and the overview; see SearchText
    facets: Facets | None = None  # made of what filters compare; see Facets


class Movie(_Title):
    id_kind = "movie"
    tagline: str | None = None
    release_date: str | None = None  # ISO date: sorts as text, needs no conversion
    runtime_seconds: int | None = None
    is_featured: bool = False
    similar_ids: list[str] = []
    rights: str | None = None
    released: str | None = None  # models/catalog/sort_values.py makes these
    weighted_rating: float | None = None
    trend: float = 0.0  # viewings, each of half the weight of one a week later

    class Settings:
        name = "movies"
        indexes = [
            *title_indexes(
                (
                    *("popularity", "rating", "weighted_rating", "released"),
                    *("sort_title", "created_at", "trend"),
                )
            ),
            IndexModel(
                list(FEATURED_INDEX),
                name="featured",
                partialFilterExpression={"is_featured": True},
            ),
            unique_where_present("imdb_id", "string"),
        ]


class Show(_Title):
    id_kind = "show"
    status: ShowStatus = ShowStatus.ENDED
    season_count: int = 0
    episode_count: int = 0
    rights: str | None = None

    class Settings:
        name = "shows"
        indexes = title_indexes(("popularity", "rating", "year", "sort_title", "created_at"))


class Season(StoredDocument):
    id_kind = "season"
    show_id: str
    number: int
    name: str | None = None
    air_date: str | None = None

    class Settings:
        name = "seasons"
        indexes = [IndexModel([("show_id", 1), ("number", 1)], name="show", unique=True)]


class Episode(StoredDocument):
    id_kind = "episode"
    show_id: str
    season_id: str
    season_number: int
    number: int
    name: str | None = None
    overview: str | None = None
    air_date: str | None = None
    runtime_seconds: int | None = None
    still_path: str | None = None

    class Settings:
        name = "episodes"
        indexes = [
            IndexModel(
                [("show_id", 1), ("season_number", 1), ("number", 1)], name="show", unique=True
            ),
            IndexModel([("season_id", 1), ("number", 1)], name="season"),
        ]


class Person(StoredDocument):
    id_kind = "person"
    tmdb_id: int | None = None
    name: str
    biography: str | None = None
    photo_path: str | None = None
    popularity: float = 0.0
    search: SearchText | None = None  # made of the names; see SearchText

    class Settings:
        name = "people"
        indexes = [search_index()]


class Genre(StoredDocument):
    id_kind = "genre"
    slug: str
    name: str

    class Settings:
        name = "genres"
        indexes = [
            IndexModel([("slug", 1)], name="slug", unique=True),
            IndexModel([("name", 1)], name="name"),
        ]


class CreditRecord(Record, frozen=True):
    title_id: str = ""
    person_id: str = ""
    department: Department = Department.OTHER
    job: str | None = None
    character: str | None = None
    order: int | None = None


class TitleRecord(IdentifiedRecord, frozen=True):
    tmdb_id: int | None = None
    imdb_id: str | None = None
    title: str = ""
    original_title: str | None = None
    also_known_as: list[str] = []
    overview: str | None = None
    year: int | None = None
    languages: list[str] = []
    genre_ids: list[str] = []
    rating: float | None = None
    vote_count: int = 0
    views: int = 0
    popularity: float = 0.0
    poster_path: str | None = None
    backdrop_path: str | None = None
    credits: list[CreditRecord] = []
    is_active: bool = True
    version: int = 0
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH
    sort_title: str = ""


class MovieRecord(TitleRecord, frozen=True):
    tagline: str | None = None
    release_date: str | None = None
    runtime_seconds: int | None = None
    is_featured: bool = False
    similar_ids: list[str] = []
    released: str | None = None
    weighted_rating: float | None = None
    trend: float = 0.0


class ShowRecord(TitleRecord, frozen=True):
    status: ShowStatus = ShowStatus.ENDED
    season_count: int = 0
    episode_count: int = 0


class SeasonRecord(IdentifiedRecord, frozen=True):
    show_id: str = ""
    number: int = 0
    name: str | None = None
    air_date: str | None = None


class EpisodeRecord(IdentifiedRecord, frozen=True):
    show_id: str = ""
    season_id: str = ""
    season_number: int = 0
    number: int = 0
    name: str | None = None
    overview: str | None = None
    air_date: str | None = None
    runtime_seconds: int | None = None
    still_path: str | None = None


class PersonRecord(IdentifiedRecord, frozen=True):
    tmdb_id: int | None = None
    name: str = ""
    biography: str | None = None
    photo_path: str | None = None


class GenreRecord(IdentifiedRecord, frozen=True):
    slug: str = ""
    name: str = ""
