"""Edits of the catalogue by hand: films are created, changed and deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import loaders
import models
from models.mongo import ids
from resolvers import audit
from resolvers.catalog.imports.titles import sort_title
from resolvers.catalog.invalidation import invalidate_movie
from resolvers.catalog.purging import enqueue_edit
from resolvers.context import Context
from resolvers.input_errors import InputErrors
from resolvers.paging import require_kind
from services import lines
from services.errors import Conflict, NotFound, ValidationFailed

_MOST_CHARACTERS = {"title": 500, "overview": 10_000}
_MOST_GENRES = 20
_MOST_RUNTIME_SECONDS = 48 * 3600
_LARGEST = 2**31 - 1  # GraphQL's Int
_NEVER_NULL = {"title": "title", "genres": "genres", "is_featured": "isFeatured"}


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """The film as saved, and the cache tags purged by the edit."""

    movie: models.MovieRecord
    purged_tags: list[str]


async def upsert_movie(
    context: Context,
    values: Mapping[str, Any],
    *,
    id_: str | None = None,
    expected_version: int | None = None,
) -> UpsertResult:
    """Change the film of this id, else of this TMDb number; create it if there is none.

    Args:
        values: fields to set, by the document's names, but `genres` as slugs; others stay.

    Raises:
        NotFound: there is no film of this id.
        Conflict: it does not have the expected version.
        AlreadyExists: another film has this TMDb number.
        ValidationFailed, Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    context.require(models.Role.EDITOR)
    changes = await _validate(context, _trim(values))
    before = await _read_stored(id_, values.get("tmdb_id"))
    if expected_version is not None and (before is None or before.version != expected_version):
        raise _version_conflict()
    if before is None:
        saved = await _create(context, changes)
    else:
        saved = await _edit(context, before, changes, expected_version)
    await audit.record(
        context,
        audit.AuditEvent.MOVIE_SAVED,
        subject=saved.movie.id,
        is_new=before is None,
        fields=sorted(changes),
        version=saved.movie.version,
    )
    return saved


async def delete_movie(context: Context, id_: str) -> None:
    """Deactivate the film: it stays stored, but is no longer shown.

    Raises:
        NotFound: there is no film of this id.
        ValidationFailed, Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    context.require(models.Role.EDITOR)
    stored = await _read_stored(id_, None)
    changes = {"is_active": False}
    purge_id = await enqueue_edit(context.runtime, id_, stored, changes)
    edited = await models.edit_movie(id_, changes, None)
    if edited is None or not edited.before.is_active:
        raise _not_found()
    await invalidate_movie(context, edited.before, None, purge_id)
    await audit.record(context, audit.AuditEvent.MOVIE_DELETED, subject=id_)


async def _read_stored(id_: str | None, tmdb_id: int | None) -> models.MovieRecord | None:
    """The film to edit; a deleted one only by its TMDb number: saving it restores it."""
    if id_ is not None and require_kind(id_) != "movie":
        raise _not_found()
    movie = await models.movie_to_edit(id_, tmdb_id)
    if id_ is not None and (movie is None or not movie.is_active):
        raise _not_found()
    return movie


async def _create(context: Context, changes: dict[str, Any]) -> UpsertResult:
    if "title" not in changes:
        raise ValidationFailed("A new film needs a title.", path=["title"])
    changes["sort_title"] = sort_title(changes["title"])
    movie = models.Movie(id=ids.new("movie"), **changes)
    purge_id = await enqueue_edit(context.runtime, movie.id, None, changes)
    after = await models.insert_movie(movie)
    return UpsertResult(after, await invalidate_movie(context, None, after, purge_id))


async def _edit(
    context: Context,
    stored: models.MovieRecord,
    changes: dict[str, Any],
    expected_version: int | None,
) -> UpsertResult:
    if "title" in changes:
        changes["sort_title"] = sort_title(changes["title"], stored.languages)
    if not stored.is_active:
        changes["is_active"] = True
    if not changes:
        return UpsertResult(stored, [])
    purge_id = await enqueue_edit(context.runtime, stored.id, stored, changes)
    edited = await models.edit_movie(stored.id, changes, expected_version)
    if edited is None:
        raise _version_conflict()
    before = edited.before if edited.before.is_active else None
    return UpsertResult(
        edited.after, await invalidate_movie(context, before, edited.after, purge_id)
    )


async def _validate(context: Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Validate all values, and return them as stored."""
    wrong = InputErrors()
    with wrong.collect():
        _check(values)
    with wrong.collect():
        changes = await _to_stored(context, values)
    wrong.raise_any()
    return changes


async def _to_stored(context: Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as stored: genres as ids, the year with the date."""
    changes = dict(values)
    if changes.get("genres") is not None:
        changes["genre_ids"] = await _genre_ids(context, changes.pop("genres"))
    if "release_date" in changes:
        date = changes["release_date"]
        changes["year"] = None if date is None else int(date[:4])
    return changes


async def _genre_ids(context: Context, slugs: Sequence[str]) -> list[str]:
    genre_ids = list(dict.fromkeys(map(ids.of_genre, slugs)))
    genres_by_id = await context.load_many(loaders.GenreById, genre_ids)
    wrong = InputErrors()
    for at, slug in enumerate(slugs[:_MOST_GENRES]):
        with wrong.collect():
            if genres_by_id[ids.of_genre(slug)] is None:
                raise ValidationFailed("There is no such genre.", path=["genres", str(at)])
    wrong.raise_any()
    return genre_ids


def _trim(values: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: values[name] for name in _MOST_CHARACTERS if values.get(name) is not None}
    return {**values, **{name: lines.trim(text) for name, text in texts.items()}}


def _check(values: Mapping[str, Any]) -> None:
    wrong = InputErrors()
    for name, public in _NEVER_NULL.items():
        with wrong.collect():
            if name in values and values[name] is None:
                raise ValidationFailed(f"`{public}` cannot be null.", path=[public])
    for name, most in _MOST_CHARACTERS.items():
        with wrong.collect():
            _check_text(name, values.get(name), most)
    with wrong.collect():
        if len(values.get("genres") or ()) > _MOST_GENRES:
            raise ValidationFailed(f"At most {_MOST_GENRES} genres.", path=["genres"])
    with wrong.collect():
        _check_number(values.get("runtime_seconds"), "runtimeSeconds", _MOST_RUNTIME_SECONDS)
    with wrong.collect():
        _check_number(values.get("tmdb_id"), "tmdbId", _LARGEST)
    wrong.raise_any()


def _check_text(name: str, text: str | None, most: int) -> None:
    has_breaks = name == "overview"
    if text is not None and not (lines.is_fit(text, breaks=has_breaks) and len(text) <= most):
        message = f"`{name}` must be 1 to {most} characters without control characters."
        raise ValidationFailed(message, path=[name])


def _check_number(value: int | None, public: str, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise ValidationFailed(f"`{public}` must be between 1 and {most}.", path=[public])


def _not_found() -> NotFound:
    return NotFound("There is no such film.", path=["id"])


def _version_conflict() -> Conflict:
    return Conflict("The film changed since you read it.", path=["expectedVersion"])
