"""The catalogue as editors change it."""

from __future__ import annotations

from typing import Annotated, Any

import strawberry

from graph.base.bounds import bound
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import AcknowledgePayload, NodeInput, acknowledge, build_payload, payload
from graph.base.roots import Mutation
from graph.base.scalars import URL, Date
from graph.catalog.catalog import Movie
from graph.catalog.inputs import unset_to_none
from models import Role
from resolvers.catalog import edits

# Field of the input -> field of the stored film.
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


@strawberry.input(description="A film to create or change. An omitted field stays as it is.")
class UpsertMovieInput:
    id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="Id of the film to change. Without it, the film with this `tmdbId` "
        "is changed, or a new one created.",
    )
    tmdb_id: int | None = strawberry.field(
        default=strawberry.UNSET, description="Id in TMDb, such as 19."
    )
    title: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Title, 1 to 500 characters; required for a new film.",
    )
    overview: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Plot summary, at most 10,000 characters.",
        directives=bound(characters=15_000),
    )
    release_date: Date | None = strawberry.field(
        default=strawberry.UNSET, description="Date of first release."
    )
    runtime_seconds: int | None = strawberry.field(
        default=strawberry.UNSET, description="Running time in seconds."
    )
    genres: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Slugs of all genres of the film, most relevant first; at most 20, "
        "each an existing genre.",
        directives=bound(items=20, characters=100),
    )
    poster_url: URL | None = strawberry.field(
        default=strawberry.UNSET, description="URL of the poster in portrait format."
    )
    backdrop_url: URL | None = strawberry.field(
        default=strawberry.UNSET, description="URL of the backdrop in landscape format."
    )
    is_featured: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether the film is featured."
    )
    expected_version: int | None = strawberry.field(
        default=None,
        description="Version the film must have, else the mutation fails with CONFLICT. "
        "A film starts at version 1 and each change adds 1. Null skips the "
        "check.",
    )

    def changes(self) -> dict[str, Any]:
        """Return the given fields by the names of the stored film; omitted fields are left out."""
        return {
            stored: value
            for name, stored in _STORED_AS.items()
            if (value := getattr(self, name)) is not strawberry.UNSET
        }


@payload("Result of a change to a film; `errors` says why it failed.", defaults={"purged_tags": []})
class MoviePayload:
    movie: Movie | None = plain("The film after the change; null on failure.")
    purged_tags: list[str] = plain("Cache tags that the change invalidated, such as `movie:<id>`.")


async def _upsert_movie(
    info: Info,
    input: Annotated[UpsertMovieInput, strawberry.argument(description="The fields of the film.")],
) -> MoviePayload:
    call = edits.upsert_movie(
        info.context,
        input.changes(),
        id_=unset_to_none(input.id),
        expected_version=input.expected_version,
    )
    return await build_payload(MoviePayload, call)


async def _delete_movie(
    info: Info,
    input: Annotated[NodeInput, strawberry.argument(description="Id of the film to delete.")],
) -> AcknowledgePayload:
    return await acknowledge(edits.delete_movie(info.context, input.id))


@extend(Mutation)
class CatalogMutation:
    upsert_movie: MoviePayload | None = resolver(
        _upsert_movie,
        "Creates a film, or changes the given fields of an existing one.",
        requires=Role.EDITOR,
    )
    delete_movie: AcknowledgePayload | None = resolver(
        _delete_movie,
        "Removes a film from the catalogue. `upsertMovie` with its `tmdbId` restores it.",
        requires=Role.EDITOR,
    )
