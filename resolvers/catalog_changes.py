"""What follows a change of the catalogue: exactly what was made of the old is forgotten.

A film's own entry always; a list only if the film entered it, left it or moved in it; a person's
titles only if the film entered, left or moved there. Searches are kept for a minute in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import models
from resolvers.context import Context
from services import cache_keys
from services.errors import UpstreamUnavailable, ValidationFailed

Version = models.MovieRecord | None
_MOST_TAGS = 100


async def movie_changed(context: Context, before: Version, after: Version) -> list[str]:
    """Forgets what shows the film as it was; None: it was not, or is no more. Returns the tags."""
    tags = models.tags_near(before, after)
    lists = await context.cache.lists.read_changing(tags)
    if lists is None:
        await context.cache.forget_lists(tags)  # all of them, when Redis is back
    changed = [
        key
        for key, text in (lists or {}).items()
        if models.is_changed_by(models.described(text), before, after)
    ]
    own = {cache_keys.MOVIE.key(version.id) for version in (before, after) if version}
    keys = [*own, *_by_outside_ids(before, after), *_people(before, after), *changed]
    if _counts_changed(before, after):
        keys.append(cache_keys.GENRE_FIGURES.key())
    await context.cache.lists.drop(tags, changed)
    await context.cache.forget(keys)
    return sorted(own) + sorted(_tags_of(lists[key] for key in changed) if lists else tags)


async def purge(context: Context, tags: Sequence[str], *, soft: bool) -> int:
    """Forgets (or, softly, ages) what is cached under these tags; returns how many entries.

    Raises:
        ValidationFailed: no tags, or too many.
        UpstreamUnavailable: Redis is away, so it is not known what is cached.
    """
    if not 1 <= len(tags) <= _MOST_TAGS:
        raise ValidationFailed(f"Name 1 to {_MOST_TAGS} tags.", path=["tags"])
    keys = [tag for tag in tags if models.ids.kind_of(tag.partition(":")[2])]
    lists = await context.cache.lists.read(tags)
    cache = context.cache
    if lists is None:
        raise UpstreamUnavailable("The cache did not answer in time.", retry_after_seconds=1)
    return await (cache.age if soft else cache.forget)([*keys, *lists])


def _by_outside_ids(before: Version, after: Version) -> Iterable[str]:
    for kind, name in (
        (cache_keys.MOVIE_BY_TMDB, "tmdb_id"),
        (cache_keys.MOVIE_BY_IMDB, "imdb_id"),
    ):
        old, new = _shown(before, name), _shown(after, name)
        if old != new:
            yield from (kind.key(str(value)) for value in (old, new) if value is not None)


def _shown(version: Version, name: str) -> object:
    return getattr(version, name) if version is not None and version.is_active else None


def _people(before: Version, after: Version) -> set[str]:
    old, new = _credited(before), _credited(after)
    moved = _shown(before, "popularity") != _shown(after, "popularity")
    return {cache_keys.PERSON_TITLES.key(one) for one in (old | new if moved else old ^ new)}


def _credited(version: Version) -> set[str]:
    if version is None or not version.is_active:
        return set()
    return {credit.person_id for credit in version.credits}


def _counts_changed(before: Version, after: Version) -> bool:
    names = ("genre_ids", "rating", "views", "id")
    return any(_shown(before, name) != _shown(after, name) for name in names)


def _tags_of(descriptions: Iterable[bytes]) -> set[str]:
    return {tag for text in descriptions for tag in models.tags_of(models.described(text))}
