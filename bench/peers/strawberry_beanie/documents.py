"""Beanie documents over the same collections, and the loaders' batch functions."""

from __future__ import annotations

import os

from beanie import Document, init_beanie
from pydantic import BaseModel
from pymongo import AsyncMongoClient


class Credit(BaseModel):
    person_id: str
    character: str | None = None
    job: str | None = None
    order: int | None = None


class Movie(Document):
    id: str  # type: ignore[assignment]  # our ids are text
    title: str
    overview: str | None = None
    year: int | None = None
    runtime_seconds: int | None = None
    rating: float | None = None
    vote_count: int = 0
    popularity: float = 0.0
    poster_path: str | None = None
    genre_ids: list[str] = []
    similar_ids: list[str] = []
    credits: list[Credit] = []
    is_active: bool = True

    class Settings:
        name = "movies"


class Person(Document):
    id: str  # type: ignore[assignment]
    name: str
    biography: str | None = None

    class Settings:
        name = "people"


class Genre(Document):
    id: str  # type: ignore[assignment]
    slug: str
    name: str

    class Settings:
        name = "genres"


async def connect() -> None:
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(os.environ["MONGODB_URI"])
    database = client[os.environ.get("MONGODB_DATABASE", "marquee")]
    # The indexes are the product's; a peer reads with them and must not change them.
    await init_beanie(database=database, document_models=[Movie, Person, Genre], skip_indexes=True)


async def popular_movies(limit: int) -> list[Movie]:
    found = Movie.find(Movie.is_active == True)  # noqa: E712 - Beanie's expression language
    return await found.sort("-popularity", "-_id").limit(limit).to_list()


async def active_movie(movie_id: str) -> Movie | None:
    return await Movie.find_one({"_id": movie_id, "is_active": True})


async def movies_by_id(ids: list[str]) -> list[Movie | None]:
    rows = await Movie.find({"_id": {"$in": ids}, "is_active": True}).to_list()
    by_id = {row.id: row for row in rows}
    return [by_id.get(key) for key in ids]


async def people_by_id(ids: list[str]) -> list[Person | None]:
    rows = await Person.find({"_id": {"$in": ids}}).to_list()
    by_id = {row.id: row for row in rows}
    return [by_id.get(key) for key in ids]


async def genres_by_id(ids: list[str]) -> list[Genre | None]:
    rows = await Genre.find({"_id": {"$in": ids}}).to_list()
    by_id = {row.id: row for row in rows}
    return [by_id.get(key) for key in ids]
