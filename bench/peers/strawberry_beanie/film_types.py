"""The shared schema's object types, as Strawberry's documentation writes them."""

from __future__ import annotations

import os
from typing import NewType, TypedDict

import documents
import strawberry
from strawberry.dataloader import DataLoader
from strawberry.types import Info

POSTER_BASE = os.environ.get("POSTER_BASE", "")
URL = NewType("URL", str)


class Loaders(TypedDict):
    movie: DataLoader[str, documents.Movie | None]
    person: DataLoader[str, documents.Person | None]
    genre: DataLoader[str, documents.Genre | None]


def make_loaders() -> Loaders:
    return Loaders(
        movie=DataLoader(load_fn=documents.movies_by_id),
        person=DataLoader(load_fn=documents.people_by_id),
        genre=DataLoader(load_fn=documents.genres_by_id),
    )


ContextInfo = Info[Loaders, None]


@strawberry.type
class Image:
    path: strawberry.Private[str]

    @strawberry.field
    def url(self, width: int | None = None) -> URL:
        has_widths = not self.path.endswith(".svg")  # drawn posters are scaled by the browser
        return URL(f"{POSTER_BASE}{self.path}" + (f"?w={width}" if width and has_widths else ""))


@strawberry.type
class Genre:
    id: strawberry.ID
    slug: str
    name: str

    @classmethod
    def of(cls, row: documents.Genre) -> Genre:
        return cls(id=strawberry.ID(row.id), slug=row.slug, name=row.name)


@strawberry.type
class Person:
    id: strawberry.ID
    name: str
    biography: str | None


@strawberry.type
class Credit:
    person_id: strawberry.Private[str]
    character: str | None
    job: str | None
    order: int | None

    @strawberry.field
    async def person(self, info: ContextInfo) -> Person:
        row = await info.context["person"].load(self.person_id)
        assert row is not None, self.person_id
        return Person(id=strawberry.ID(row.id), name=row.name, biography=row.biography)


@strawberry.type
class Movie:
    row: strawberry.Private[documents.Movie]
    id: strawberry.ID
    title: str
    overview: str | None
    year: int | None
    runtime_seconds: int | None
    rating: float | None
    vote_count: int

    @classmethod
    def of(cls, row: documents.Movie) -> Movie:
        return cls(
            row=row,
            id=strawberry.ID(row.id),
            title=row.title,
            overview=row.overview,
            year=row.year,
            runtime_seconds=row.runtime_seconds,
            rating=row.rating,
            vote_count=row.vote_count,
        )

    @strawberry.field
    def poster(self) -> Image | None:
        return Image(path=self.row.poster_path) if self.row.poster_path else None

    @strawberry.field
    async def genres(self, info: ContextInfo) -> list[Genre]:
        rows = await info.context["genre"].load_many(self.row.genre_ids)
        return [Genre.of(row) for row in rows if row]

    @strawberry.field
    def credits(self, first: int = 20) -> list[Credit]:
        return [Credit(**credit.model_dump()) for credit in self.row.credits[:first]]

    @strawberry.field
    async def similar(self, info: ContextInfo, first: int = 12) -> list[Movie]:
        rows = await info.context["movie"].load_many(self.row.similar_ids[:first])
        return [Movie.of(row) for row in rows if row]


@strawberry.type
class PageInfo:
    has_next_page: bool


@strawberry.type
class MovieConnection:
    nodes: list[Movie]
    page_info: PageInfo
