"""Fills the caches with popular films before they are requested.

Under a lease, so that processes started together do it once; one read per page of 100 films.
"""

from __future__ import annotations

from collections.abc import Callable

import loaders
import models
from resolvers import paging
from resolvers.catalog import browse
from resolvers.context import Context
from services.redis import cache_keys

AT_START = 100
_MOST = 1_000
_LEASE_SECONDS = 60
WarmingProgress = Callable[[int, int], None]


async def warm_at_start(context: Context) -> int:
    """Warm the 100 most popular films in whichever process comes first; returns the count."""
    redis = context.runtime.redis
    key = context.runtime.settings.redis_key_prefix + cache_keys.WARMING
    if not await redis.set(key, "1", nx=True, ex=_LEASE_SECONDS):
        return 0
    return await warm(context, AT_START, lambda _done, _total: None)


async def warm(context: Context, first: int, progress: WarmingProgress) -> int:
    """Warm the most popular films with their genres and people; returns the count.

    Raises:
        ValidationFailed: `first` is not between 1 and 1,000.
        UpstreamUnavailable: the database is unavailable.
    """
    total = paging.validate_size(first, "first", AT_START, _MOST)
    done, after = 0, None
    while done < total:
        size = min(paging.MAX_PAGE_SIZE, total - done)
        page = await browse.movies(
            context,
            paging.PageArguments(first=size, after=after),
            category=models.MovieCategory.POPULAR,
        )
        await _beside(context, page.nodes)
        done += len(page.nodes)
        progress(done, total)
        if not page.has_next_page or not page.nodes:
            break
        after = page.cursor(page.nodes[-1])
    return done


async def _beside(context: Context, movies: list[models.MovieRecord]) -> None:
    """Load what pages show beside films: one load of genres, one of people."""
    await context.load_many(loaders.GenreById, {id_ for one in movies for id_ in one.genre_ids})
    people = {credit.person_id for one in movies for credit in one.credits[: paging.PAGE_SIZE]}
    await context.load_many(loaders.PersonById, people)
