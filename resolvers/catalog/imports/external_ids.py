"""Ids of TMDb and IMDb: each belongs to one film of the catalogue, whoever imported it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import models
from resolvers.catalog.imports.report import Problems

Field = Literal["imdb_id", "tmdb_id"]
_BSON_TYPES = {"imdb_id": "string", "tmdb_id": "int"}


class Claim(NamedTuple):
    """An external id that one of our films claims; `called` is the film's name in its source."""

    film_id: str
    value: str | int
    called: str


async def grant_ids(field: Field, claims: Sequence[Claim], conflicts: Problems) -> set[str]:
    """Ids of the films that may have the external id they claim.

    The first film to claim an id gets it, unless another one is stored with it; others are noted as
    conflicts.
    """
    stored = await _holders(field, claims)
    holders: dict[str | int, str] = {}
    for film_id, value, called in claims:
        holder = stored.get(value) or holders.setdefault(value, film_id)
        if holder == film_id:
            holders[value] = film_id
        else:
            conflicts.note(f"{called}: {field} {value} belongs to {holder}")
    return set(holders.values())


async def _holders(field: Field, claims: Sequence[Claim]) -> dict[str | int, str]:
    """Film ids by external id. `$type` lets MongoDB use the partial index."""
    film_ids: dict[str | int, str] = {}
    for values in models.batches(dict.fromkeys(claim.value for claim in claims), models.BATCH):
        where: dict[str, Any] = {field: {"$in": values, "$type": _BSON_TYPES[field]}}
        films = await models.find(
            models.Movie, models.MovieRecord, where, fields=frozenset({field}), limit=len(values)
        )
        film_ids.update({getattr(film, field): film.id for film in films})
    return film_ids
