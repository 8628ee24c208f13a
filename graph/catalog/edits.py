"""The catalogue as editors change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import strawberry

import models
from graph.base.errors import UserError
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import (
    Acknowledgement,
    AcknowledgePayload,
    NodeInput,
    acknowledge,
    capture_user_errors,
)
from graph.base.scalars import URL, Date
from graph.catalog.catalog import Movie
from models import Role
from resolvers.catalog import edits
from services import errors

# What the input calls each thing, and what the film's document does.
_STORED_AS = {
    "tmdb_id": "tmdb_id",
    "title": "title",
    "overview": "overview",
    "release_date": "release_date",
    "runtime_seconds": "runtime_seconds",
    "genres": "genres",
    "poster_url": "poster_path",
    "backdrop_url": "backdrop_path",
    "is_featured": "is_featured",
}


@strawberry.input(description="A film to create or change; what is left out stays as it is.")
class UpsertMovieInput:
    id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="The film to change. Without it: the one of this tmdbId, else a new one.",
    )
    tmdb_id: int | None = strawberry.field(
        default=strawberry.UNSET, description="The number in TMDb."
    )
    title: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The title, 1 to 500 characters; a new film needs one.",
    )
    overview: str | None = strawberry.field(
        default=strawberry.UNSET, description="What it is about, at most 10,000 characters."
    )
    release_date: Date | None = strawberry.field(
        default=strawberry.UNSET, description="The day of first release."
    )
    runtime_seconds: int | None = strawberry.field(
        default=strawberry.UNSET, description="How long it runs."
    )
    genres: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Slugs of all its genres, the most fitting first; at most 20, all known.",
    )
    poster_url: URL | None = strawberry.field(
        default=strawberry.UNSET, description="Where its upright artwork is."
    )
    backdrop_url: URL | None = strawberry.field(
        default=strawberry.UNSET, description="Where its wide artwork is."
    )
    is_featured: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Chosen by the editors."
    )
    expected_version: int | None = strawberry.field(
        default=None,
        description="Only if the film is in this version; otherwise it fails with CONFLICT. "
        "A film begins at 1 and each change adds 1.",
    )

    def changes(self) -> dict[str, Any]:
        return {
            stored: value
            for name, stored in _STORED_AS.items()
            if (value := getattr(self, name)) is not strawberry.UNSET
        }


@strawberry.type(description="A film after a change, or why there was none.")
class MoviePayload:
    movie: Movie | None = plain("The film as it is now; null if it failed.")
    purged_tags: list[str] = plain("What was forgotten by the caches because of the change.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class MovieAnswer:
    movie: models.MovieRecord | None
    purged_tags: list[str]
    errors: list[errors.UserError]


async def _upsert_movie(
    info: Info,
    input: Annotated[UpsertMovieInput, strawberry.argument(description="The film.")],
) -> MovieAnswer:
    call = edits.upsert_movie(
        info.context,
        input.changes(),
        id_=input.id or None,
        expected_version=input.expected_version,
    )
    upserted, failed = await capture_user_errors(call)
    if upserted is None:
        return MovieAnswer(None, [], failed)
    return MovieAnswer(upserted.movie, upserted.purged_tags, failed)


async def _delete_movie(
    info: Info,
    input: Annotated[NodeInput, strawberry.argument(description="The film.")],
) -> Acknowledgement:
    return await acknowledge(edits.delete_movie(info.context, input.id))


@strawberry.type
class CatalogMutation:
    upsert_movie: MoviePayload = resolver(
        _upsert_movie, "Creates a film, or changes what is given of one.", requires=Role.EDITOR
    )
    delete_movie: AcknowledgePayload = resolver(
        _delete_movie,
        "Takes a film out of the catalogue; setting its tmdbId again brings it back.",
        requires=Role.EDITOR,
    )
