"""Loaders of counts: lengths of lists, figures of genres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import models
from loaders.base import CachedLoader, Fields
from loaders.query_loader import QueryLoader
from services.cache.cache import Codec
from services.cache.lists import ListRegistration
from services.redis import cache_keys

MOST_GENRES = 100


class MovieCountByQuery(QueryLoader[models.Count, models.MovieQuery]):
    kind = cache_keys.MOVIE_COUNT
    codec = Codec(models.Count)

    def tags_of(self, key: str) -> Iterable[str]:
        """The count's own tag, and those of the list's genres or category."""
        return (self.cache_key(key), *models.tags_of(self._queries[key]))

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.Count]:
        """Count the films of each list."""
        return await models.count_movies({key: self._queries[key] for key in keys})

    async def note(self, names: dict[str, str]) -> ListRegistration:
        """Record the lists before they are counted, so that a change invalidates them."""
        queries = {name: self._queries[key] for name, key in names.items()}
        lists = {
            name: (models.tags_of(query), models.encode_description(query, members_only=True))
            for name, query in queries.items()
        }
        return await self._cache.register_lists(lists)


class ShowCountByQuery(QueryLoader[models.Count, models.MovieQuery]):
    kind = cache_keys.SHOW_COUNT
    codec = Codec(models.Count)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.Count]:
        """Count the shows of each list."""
        return await models.count_shows({key: self._queries[key] for key in keys})


class AllGenreFigures(CachedLoader[list[models.GenreFigures]]):
    """Figures of genres under the one key "all"; those with the most films first."""

    kind = cache_keys.GENRE_FIGURES
    codec = Codec(list[models.GenreFigures])

    async def fetch(
        self, keys: list[str], fields: Fields
    ) -> Mapping[str, list[models.GenreFigures]]:
        """Aggregate the figures of at most 100 genres."""
        return {"all": await models.figures_by_genre(MOST_GENRES)}

    def cache_key(self, key: str) -> str:
        """The one Redis key."""
        return self.kind.key()
