"""Invalidation after a change of the catalogue: exactly what was built from the old version.

A film's own entry always; a list only if the film entered it, left it or moved in it; a person's
titles only if the film entered, left or moved there. Searches expire after a minute in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import models
from resolvers import audit
from resolvers.catalog import purging
from resolvers.context import Context
from services.errors import UpstreamUnavailable, ValidationFailed
from services.redis import cache_keys

Version = models.MovieRecord | None
_MOST_TAGS = 100
_MOST_CHARACTERS = 500
_ALL = "movies:all"
_LIST_TAGS = models.tags_of_genres(())
_GENRE_TAG = re.compile(r"movies:genre:[a-z0-9-]+", re.ASCII)
_TAGGED_KINDS = ("movie", "show", "season", "episode", "person", "genre")


class PurgeResult(NamedTuple):
    """The result of a purge; `cdn_purge_id` is None without a CDN to purge."""

    keys_purged: int
    cdn_purge_id: str | None


async def invalidate_movie(
    context: Context, before: Version, after: Version, purge_id: str | None = None
) -> list[str]:
    """Invalidate what shows the film as it was; returns the purged tags.

    `before` is None for a new film, `after` for a deleted one. The purge that was enqueued before
    the change is marked as ready with the tags.
    """
    tags = models.tags_near(before, after)
    lists = await context.cache.lists.read_changing(tags)
    if lists is None:
        await context.cache.invalidate_lists(tags)  # all of them, when Redis is back
    changed = [
        key
        for key, text in (lists or {}).items()
        if not text or models.is_changed_by(models.decode_description(text), before, after)
    ]
    own = {cache_keys.MOVIE.key(version.id) for version in (before, after) if version}
    keys = [*own, *_by_outside_ids(before, after), *_people(before, after), *changed]
    if _has_changed_figures(before, after):
        keys.append(cache_keys.GENRE_FIGURES.key())
    await context.cache.lists.drop(tags, changed)
    await context.cache.invalidate(keys)
    if purge_id is not None and lists is not None:
        await purging.mark_ready(context.runtime, purge_id, sorted(set(keys)))
    return sorted(own) + sorted(_tags_of(lists[key] for key in changed) if lists else tags)


async def purge(context: Context, tags: Sequence[str], *, soft: bool) -> PurgeResult:
    """Drop, or softly mark as stale, what is cached under these tags; drop it at the CDN.

    CDNs have no soft purge here.

    Raises:
        ValidationFailed: no tags, too many, or one that no entry can have.
        UpstreamUnavailable: Redis is unavailable, so it is not known what is cached; or MongoDB is,
            and the CDN will not be purged.
    """
    if not 1 <= len(tags) <= _MOST_TAGS:
        raise ValidationFailed(f"Name 1 to {_MOST_TAGS} tags.", path=["tags"])
    if any(not 1 <= len(tag) <= _MOST_CHARACTERS for tag in tags):
        raise ValidationFailed(f"A tag has 1 to {_MOST_CHARACTERS} characters.", path=["tags"])
    for at, tag in enumerate(tags):
        if not _is_tag(tag):
            raise ValidationFailed("There is no such tag.", path=["tags", str(at)])
    keys = [tag for tag in tags if not tag.startswith("movies:")]
    lists = await context.cache.lists.read(await _list_tags(tags))
    cache = context.cache
    if lists is None:
        raise UpstreamUnavailable("The cache did not answer in time.", retry_after_seconds=1)
    entries = await (cache.mark_stale if soft else cache.invalidate)([*keys, *lists])
    purged = PurgeResult(entries, await purging.enqueue_tags(context.runtime, tags))
    event = audit.AuditEvent.CACHE_PURGED
    await audit.record(context, event, tags=list(tags), soft=soft, entries=entries)
    return purged


def _is_tag(tag: str) -> bool:
    kind, _, name = tag.partition(":")
    if kind == "movies":
        return tag in _LIST_TAGS or _GENRE_TAG.fullmatch(tag) is not None
    return kind in _TAGGED_KINDS and models.ids.kind_of(name) == kind


async def _list_tags(tags: Sequence[str]) -> set[str]:
    """The tags under which the lists of these tags are recorded: `movies:all` is every list."""
    if _ALL not in tags:
        return set(tags)
    genres = await models.find(models.Genre, models.GenreRecord, {}, fields=frozenset({"slug"}))
    return {*tags, *_LIST_TAGS, *(f"movies:genre:{genre.slug}" for genre in genres)}


def _by_outside_ids(before: Version, after: Version) -> Iterable[str]:
    for kind, name in (
        (cache_keys.MOVIE_BY_TMDB, "tmdb_id"),
        (cache_keys.MOVIE_BY_IMDB, "imdb_id"),
    ):
        old, new = _active_value(before, name), _active_value(after, name)
        if old != new:
            yield from (kind.key(str(value)) for value in (old, new) if value is not None)


def _active_value(version: Version, name: str) -> object:
    return getattr(version, name) if version is not None and version.is_active else None


def _people(before: Version, after: Version) -> set[str]:
    old, new = _credited_people(before), _credited_people(after)
    moved = _active_value(before, "popularity") != _active_value(after, "popularity")
    return {cache_keys.PERSON_TITLES.key(one) for one in (old | new if moved else old ^ new)}


def _credited_people(version: Version) -> set[str]:
    if version is None or not version.is_active:
        return set()
    return {credit.person_id for credit in version.credits}


def _has_changed_figures(before: Version, after: Version) -> bool:
    names = ("genre_ids", "rating", "views", "id")
    return any(_active_value(before, name) != _active_value(after, name) for name in names)


def _tags_of(descriptions: Iterable[bytes]) -> set[str]:
    return {
        tag
        for text in descriptions
        if text
        for tag in models.tags_of(models.decode_description(text))
    }
