"""What the catalogue stores: films, shows with seasons and episodes, people and genres."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from pydantic import BaseModel
from pymongo import TEXT, IndexModel

from models.base import EPOCH, Identified, Record, Stored


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


class _Title(Stored):
    tmdb_id: int | None = None
    imdb_id: str | None = None
    title: str
    sort_title: str
    original_title: str | None = None
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


class Movie(_Title):
    tagline: str | None = None
    release_date: str | None = None  # ISO date: sorts as text, needs no conversion
    runtime_seconds: int | None = None
    is_featured: bool = False
    similar_ids: list[str] = []
    rights: str | None = None

    class Settings:
        name = "movies"
        indexes = [
            IndexModel([("is_active", 1), ("popularity", -1), ("_id", -1)], name="popularity"),
            IndexModel([("is_active", 1), ("rating", -1), ("_id", -1)], name="rating"),
            IndexModel([("is_active", 1), ("release_date", -1), ("_id", -1)], name="release_date"),
            IndexModel([("is_active", 1), ("sort_title", 1), ("_id", 1)], name="title"),
            IndexModel([("is_active", 1), ("created_at", -1), ("_id", -1)], name="created_at"),
            IndexModel([("is_active", 1), ("views", -1), ("_id", -1)], name="views"),
            IndexModel(
                [("is_active", 1), ("genre_ids", 1), ("popularity", -1), ("_id", -1)],
                name="genre_popularity",
            ),
            IndexModel(
                [("is_active", 1), ("genre_ids", 1), ("rating", -1), ("_id", -1)],
                name="genre_rating",
            ),
            IndexModel([("is_active", 1), ("year", -1), ("created_at", -1)], name="year_created"),
            IndexModel([("credits.person_id", 1), ("popularity", -1)], name="person"),
            IndexModel([("title", TEXT), ("overview", TEXT)], name="text"),
            IndexModel(
                [("is_featured", 1), ("rating", -1), ("_id", -1)],
                name="featured",
                partialFilterExpression={"is_featured": True},
            ),
            IndexModel(
                [("tmdb_id", 1)],
                name="tmdb_id",
                unique=True,
                partialFilterExpression={"tmdb_id": {"$type": "int"}},
            ),
            IndexModel(
                [("imdb_id", 1)],
                name="imdb_id",
                unique=True,
                partialFilterExpression={"imdb_id": {"$type": "string"}},
            ),
        ]


class Show(_Title):
    status: ShowStatus = ShowStatus.ENDED
    season_count: int = 0
    episode_count: int = 0
    rights: str | None = None

    class Settings:
        name = "shows"
        indexes = [
            IndexModel([("is_active", 1), ("popularity", -1), ("_id", -1)], name="popularity"),
            IndexModel([("credits.person_id", 1), ("popularity", -1)], name="person"),
        ]


class Season(Stored):
    show_id: str
    number: int
    name: str | None = None
    air_date: str | None = None

    class Settings:
        name = "seasons"
        indexes = [IndexModel([("show_id", 1), ("number", 1)], name="show", unique=True)]


class Episode(Stored):
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
            )
        ]


class Person(Stored):
    tmdb_id: int | None = None
    name: str
    biography: str | None = None
    photo_path: str | None = None
    popularity: float = 0.0

    class Settings:
        name = "people"
        indexes = [IndexModel([("name", TEXT)], name="text")]


class Genre(Stored):
    slug: str
    name: str

    class Settings:
        name = "genres"
        indexes = [IndexModel([("slug", 1)], name="slug", unique=True)]


class CreditRecord(Record, frozen=True):
    title_id: str = ""
    person_id: str = ""
    department: Department = Department.OTHER
    job: str | None = None
    character: str | None = None
    order: int | None = None


class TitleRecord(Identified, frozen=True):
    tmdb_id: int | None = None
    imdb_id: str | None = None
    title: str = ""
    original_title: str | None = None
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


class ShowRecord(TitleRecord, frozen=True):
    status: ShowStatus = ShowStatus.ENDED
    season_count: int = 0
    episode_count: int = 0


class SeasonRecord(Identified, frozen=True):
    show_id: str = ""
    number: int = 0
    name: str | None = None
    air_date: str | None = None


class EpisodeRecord(Identified, frozen=True):
    show_id: str = ""
    season_id: str = ""
    season_number: int = 0
    number: int = 0
    name: str | None = None
    overview: str | None = None
    air_date: str | None = None
    runtime_seconds: int | None = None
    still_path: str | None = None


class PersonRecord(Identified, frozen=True):
    tmdb_id: int | None = None
    name: str = ""
    biography: str | None = None
    photo_path: str | None = None


class GenreRecord(Identified, frozen=True):
    slug: str = ""
    name: str = ""
