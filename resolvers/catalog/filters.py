"""Filters as they are queried and cached: nothing of a client's own text is left in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import loaders
import models
from models.mongo import ids
from resolvers.context import Context
from resolvers.paging import require_kind


async def normalize_filter(
    context: Context, filter_: models.MovieFilter | None
) -> models.MovieFilter:
    """Return the filter without the genres that do not exist; of no genre, nothing matches.

    Raises:
        ValidationFailed: the id of the person is malformed.
        UpstreamUnavailable: neither the database nor the cache knows the genres.
    """
    if filter_ is None:
        return models.MovieFilter()
    if filter_.person_id is not None:
        require_kind(filter_.person_id, path=("filter", "personId"))
    slugs = {*(filter_.genres or ()), *(filter_.exclude_genres or ())}
    if not slugs:
        return filter_
    existing = await _existing(context, slugs)
    excluded = tuple(slug for slug in filter_.exclude_genres or () if slug in existing)
    chosen = filter_.genres
    return replace(
        filter_,
        genres=None if chosen is None else tuple(slug for slug in chosen if slug in existing),
        exclude_genres=excluded or None,
    )


async def _existing(context: Context, slugs: Iterable[str]) -> set[str]:
    """Return the slugs that are genres'; one not in the list may be newer than the list."""
    listed = await context.load(loaders.AllGenreIds, "all") or ()
    existing = {slug for slug in slugs if ids.of_genre(slug) in listed}
    unlisted = [ids.of_genre(slug) for slug in slugs if slug not in existing]
    if unlisted:
        newer = await models.find_by_id(models.Genre, models.GenreRecord, unlisted)
        existing |= {ids.slug_of(id_) for id_ in newer}
    return existing
