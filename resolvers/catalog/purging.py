"""Purges of our caches and the CDN, enqueued in the outbox before a change is made.

Promise: once a change is made, all that was built from the old version is dropped, whichever
process dies on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import models
from models.mongo import ids
from resolvers.context import Runtime
from services import cdn
from services.cdn import StaleContent
from services.errors import UpstreamUnavailable
from services.redis import cache_keys

CATALOGUE = ("movie:*", "show:*", "season:*", "episode:*", "person:*", "genre:*")
_SETTLE_SECONDS = 10.0  # besides MongoDB's own deadline; then a change is made, or never will be
_IMPORT_SECONDS = 600.0  # an import that takes longer notes a second purge at its end
_DRAWN_FROM = ("title", "year", "genre_ids", "is_active")


async def enqueue_edit(
    runtime: Runtime, movie_id: str, before: models.MovieRecord | None, changes: Mapping[str, Any]
) -> str:
    """Enqueue the purge of a film before it is edited; returns the purge's id.

    Raises:
        UpstreamUnavailable: MongoDB is unavailable: do not change it.
    """
    genres = {*(before.genre_ids if before else ()), *changes.get("genre_ids", ())}
    settled = runtime.settings.mongodb_timeout_ms / 1000 + _SETTLE_SECONDS
    return await _enqueue(
        runtime,
        settled,
        movie_id=movie_id,
        keys=sorted(_keys(movie_id, before, changes)),
        tags=sorted({f"movie:{movie_id}", *models.tags_of_genres(genres)}),
        paths=_art(before, changes),
    )


async def enqueue_tags(runtime: Runtime, tags: Collection[str]) -> str | None:
    """Enqueue a purge of these tags at the CDN, after our own caches dropped them.

    Returns the purge's id; None without a CDN to purge.

    Raises:
        UpstreamUnavailable: MongoDB is unavailable.
    """
    if not runtime.catalog.cdn.can_purge:
        return None
    titles = [tag for tag in map(_title_of, tags) if tag]
    paths = [path(title) for title in titles for path in (cdn.poster_path, cdn.backdrop_path)]
    return await _enqueue(runtime, 0, tags=sorted(tags), paths=paths, is_told=True)


async def enqueue_import(runtime: Runtime, *, caches_purged: bool | None = None) -> str:
    """Enqueue the purge of an import: before it writes, or with `caches_purged` after it.

    Raises:
        UpstreamUnavailable: MongoDB is unavailable.
    """
    return await _enqueue(
        runtime,
        _IMPORT_SECONDS if caches_purged is None else 0,
        prefixes=[cdn.ALL_ANSWERS, cdn.ALL_ART],
        is_everything=True,
        is_told=bool(caches_purged),
    )


async def mark_import_written(runtime: Runtime, purge_id: str, *, caches_purged: bool) -> None:
    """Make an import's purge due, or drop it if nothing is left to purge.

    `caches_purged`: our caches have dropped the catalogue.
    """
    if caches_purged and not runtime.catalog.cdn.can_purge:
        await models.purges.drop(purge_id)
    elif not await models.purges.expedite(purge_id, now(runtime), caches_purged=caches_purged):
        await enqueue_import(runtime, caches_purged=caches_purged)


async def mark_ready(runtime: Runtime, purge_id: str, tags: Collection[str]) -> None:
    """Make an edit's purge due: the film is changed, our caches dropped these tags.

    Only the CDN remains. While invalidations for Redis are pending, or Redis is unavailable, the
    purge becomes due by itself, for our caches too.
    """
    if not runtime.cache.has_pending:
        with suppress(UpstreamUnavailable):
            await runtime.catalog.purge_outbox.mark_ready(purge_id, tags)


async def forget(runtime: Runtime, purge: models.PurgeRecord) -> None:
    """Drop what the purge names from our own caches, in every process.

    Raises:
        UpstreamUnavailable: Redis is unavailable, or MongoDB.
    """
    cache = runtime.cache
    if cache.has_pending:
        await cache.flush_pending()
    if purge.is_everything:
        for pattern in CATALOGUE:
            await cache.invalidate_pattern(pattern)
    else:
        # Another editor may have moved the film while this change was on its way.
        now_there = await models.movie_to_edit(purge.movie_id, None)
        await cache.invalidate_lists({*purge.tags, *models.tags_near(now_there)})
        await cache.invalidate(purge.keys)
    if cache.has_pending:
        raise UpstreamUnavailable("Redis did not answer in time.")


def stale_of(purges: Iterable[models.PurgeRecord]) -> StaleContent:
    """What the CDN must drop for all these purges."""
    stale = StaleContent()
    for one in purges:
        stale |= StaleContent(frozenset(one.tags), frozenset(one.paths), frozenset(one.prefixes))
    return stale


def now(runtime: Runtime) -> datetime:
    """The current time of the runtime's clock."""
    return datetime.fromtimestamp(runtime.clock(), UTC)


async def _enqueue(runtime: Runtime, due_in_seconds: float, **fields: Any) -> str:
    due_at = now(runtime) + timedelta(seconds=due_in_seconds)
    purge = models.Purge(id=ids.new("purge"), due_at=due_at, created_at=now(runtime), **fields)
    await models.purges.insert(purge)
    return purge.id


def _keys(
    movie_id: str, before: models.MovieRecord | None, changes: Mapping[str, Any]
) -> Iterable[str]:
    yield cache_keys.MOVIE.key(movie_id)
    yield cache_keys.GENRE_FIGURES.key()
    for kind, name in (
        (cache_keys.MOVIE_BY_TMDB, "tmdb_id"),
        (cache_keys.MOVIE_BY_IMDB, "imdb_id"),
    ):
        for value in (getattr(before, name, None), changes.get(name)):
            if value is not None:
                yield kind.key(str(value))
    for credit in before.credits if before else ():
        yield cache_keys.PERSON_TITLES.key(credit.person_id)


def _art(before: models.MovieRecord | None, changes: Mapping[str, Any]) -> Sequence[str]:
    """Paths of generated art that the change outdates; all art of a film that is deleted.

    Art that is only replaced has another address.
    """
    if before is None or not any(name in changes for name in _DRAWN_FROM):
        return []
    goes = changes.get("is_active") is False
    paths = (before.poster_path, before.backdrop_path)
    return sorted({path for path in paths if path and (goes or path.startswith("/"))})


def _title_of(tag: str) -> str | None:
    kind, _, id_ = tag.partition(":")
    return id_ if ids.kind_of(id_) == kind and kind in ("movie", "show") else None
