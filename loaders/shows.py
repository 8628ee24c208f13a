"""Loaders of shows, seasons and episodes: entities by id, and ids by what points to them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import models
from loaders.base import CachedLoader, Fields
from loaders.query_loader import QueryLoader, SerializedLoader
from services.cache.cache import Codec
from services.redis import cache_keys


class ShowById(CachedLoader[models.ShowRecord]):
    kind = cache_keys.SHOW
    codec = Codec(models.ShowRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.ShowRecord]:
        wanted = None if fields is None else fields | {"is_active"}
        found = await models.find_by_id(models.Show, models.ShowRecord, keys, wanted)
        return {key: show for key, show in found.items() if show.is_active}


class SeasonById(CachedLoader[models.SeasonRecord]):
    kind = cache_keys.SEASON
    codec = Codec(models.SeasonRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.SeasonRecord]:
        return await models.find_by_id(models.Season, models.SeasonRecord, keys, fields)


class EpisodeById(CachedLoader[models.EpisodeRecord]):
    kind = cache_keys.EPISODE
    codec = Codec(models.EpisodeRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.EpisodeRecord]:
        return await models.find_by_id(models.Episode, models.EpisodeRecord, keys, fields)


class SeasonIdsByShowId(SerializedLoader[list[str]]):
    """In order of number; a miss brings the seasons along."""

    kind = cache_keys.SHOW_SEASONS
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        found = await models.seasons_of_shows(keys)
        seasons = {season.id: season for some in found.values() for season in some}
        await self._scope.loader(SeasonById).keep(seasons)
        return {key: [season.id for season in some] for key, some in found.items()}


class EpisodeIdsBySeasonId(SerializedLoader[list[str]]):
    """In order of number; a miss brings the episodes along."""

    kind = cache_keys.SEASON_EPISODES
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        found = await models.episodes_of_seasons(keys)
        episodes = {episode.id: episode for some in found.values() for episode in some}
        await self._scope.loader(EpisodeById).keep(episodes)
        return {key: [episode.id for episode in some] for key, some in found.items()}


class EpisodesByShowId(SerializedLoader[list[models.EpisodeInOrder]]):
    """All places of a show as one thing: to find what comes next, not to show episodes."""

    kind = cache_keys.SHOW_EPISODES
    codec = Codec(list[models.EpisodeInOrder])

    async def fetch(
        self, keys: list[str], fields: Fields
    ) -> Mapping[str, list[models.EpisodeInOrder]]:
        return await models.episodes_of_shows(keys)


class EpisodeIdByPlace(QueryLoader[str, models.EpisodePlace]):
    """By show, season's number and number in the season; a miss brings the episode along."""

    kind = cache_keys.EPISODE_AT
    codec = Codec(str)

    def at(self, place: models.EpisodePlace) -> str:
        return self.ask(":".join(map(str, place)), place)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, str]:
        found = await models.episodes_at([self._questions[key] for key in keys])
        await self._scope.loader(EpisodeById).keep({episode.id: episode for episode in found})
        return {self.at(models.EpisodePlace.of(episode)): episode.id for episode in found}


class ShowIdByTmdbId(CachedLoader[str]):
    kind = cache_keys.SHOW_BY_TMDB
    codec = Codec(str)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, str]:
        # $type, because the index holds only shows that have such an id.
        shows = await models.find(
            models.Show,
            models.ShowRecord,
            {"tmdb_id": {"$in": [int(key) for key in keys], "$type": "int"}, "is_active": True},
        )
        await self._scope.loader(ShowById).keep({show.id: show for show in shows})
        return {str(show.tmdb_id): show.id for show in shows}


class ShowPageByQuery(QueryLoader[models.MoviePage, models.MovieQuery]):
    """A miss brings the page's shows along."""

    kind = cache_keys.SHOW_LIST
    codec = Codec(models.MoviePage)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MoviePage]:
        pages = await asyncio.gather(*(self._page(self._questions[key], fields) for key in keys))
        return dict(zip(keys, pages, strict=True))

    async def _page(self, query: models.MovieQuery, fields: Fields) -> models.MoviePage:
        wanted = None if fields is None else fields | {query.order.field, "is_active"}
        page, found = await models.read_show_page(query, wanted)
        shows = self._scope.loader(ShowById)
        if fields is None:
            await shows.keep({show.id: show for show in found})
        else:
            shows.prime({show.id: show for show in found}, fields)
        return page
