"""Loaders of shows, seasons and episodes: entities by id, and ids by attributes."""

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
        """Read shows by id; inactive ones are absent."""
        read_fields = None if fields is None else fields | {"is_active"}
        shows = await models.find_by_id(models.Show, models.ShowRecord, keys, read_fields)
        return {key: show for key, show in shows.items() if show.is_active}


class SeasonById(CachedLoader[models.SeasonRecord]):
    kind = cache_keys.SEASON
    codec = Codec(models.SeasonRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.SeasonRecord]:
        """Read seasons by id."""
        return await models.find_by_id(models.Season, models.SeasonRecord, keys, fields)


class EpisodeById(SerializedLoader[models.EpisodeRecord]):
    """Episodes; `nextUp` under two names asks for the same ones in one level."""

    kind = cache_keys.EPISODE
    codec = Codec(models.EpisodeRecord)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.EpisodeRecord]:
        """Read episodes by id."""
        return await models.find_by_id(models.Episode, models.EpisodeRecord, keys, fields)


class SeasonIdsByShowId(SerializedLoader[list[str]]):
    """Season ids of a show in order of number; a miss loads the seasons too."""

    kind = cache_keys.SHOW_SEASONS
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        """Read the seasons of all shows in one command."""
        by_show = await models.seasons_of_shows(keys)
        seasons = {season.id: season for some in by_show.values() for season in some}
        await self._scope.loader(SeasonById).keep(seasons)
        return {key: [season.id for season in some] for key, some in by_show.items()}


class EpisodeIdsBySeasonId(SerializedLoader[list[str]]):
    """Episode ids of a season in order of number; a miss loads the episodes too."""

    kind = cache_keys.SEASON_EPISODES
    codec = Codec(list[str])

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, list[str]]:
        """Read the episodes of all seasons in one command."""
        by_season = await models.episodes_of_seasons(keys)
        episodes = {episode.id: episode for some in by_season.values() for episode in some}
        await self._scope.loader(EpisodeById).keep(episodes)
        return {key: [episode.id for episode in some] for key, some in by_season.items()}


class EpisodesByShowId(SerializedLoader[list[models.EpisodeInOrder]]):
    """Positions of all episodes of a show, to find the next one, not to show episodes."""

    kind = cache_keys.SHOW_EPISODES
    codec = Codec(list[models.EpisodeInOrder])

    async def fetch(
        self, keys: list[str], fields: Fields
    ) -> Mapping[str, list[models.EpisodeInOrder]]:
        """Read the episode positions of all shows in one command."""
        return await models.episodes_of_shows(keys)


class EpisodeIdByPlace(QueryLoader[str, models.EpisodePlace]):
    """Episode id by show, season number and number; a miss loads the episode too."""

    kind = cache_keys.EPISODE_AT
    codec = Codec(str)

    def at(self, place: models.EpisodePlace) -> str:
        """Register the position and return its key."""
        return self.key_for(":".join(map(str, place)), place)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, str]:
        """Read the episodes at these positions in one command."""
        episodes = await models.episodes_at([self._queries[key] for key in keys])
        await self._scope.loader(EpisodeById).keep({episode.id: episode for episode in episodes})
        return {self.at(models.EpisodePlace.of(episode)): episode.id for episode in episodes}


class ShowIdByTmdbId(CachedLoader[str]):
    kind = cache_keys.SHOW_BY_TMDB
    codec = Codec(str)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, str]:
        """Read active shows by TMDb number and return their ids."""
        # $type, because the index holds only shows that have such an id.
        shows = await models.find(
            models.Show,
            models.ShowRecord,
            {"tmdb_id": {"$in": [int(key) for key in keys], "$type": "int"}, "is_active": True},
        )
        await self._scope.loader(ShowById).keep({show.id: show for show in shows})
        return {str(show.tmdb_id): show.id for show in shows}


class ShowPageByQuery(QueryLoader[models.MoviePage, models.MovieQuery]):
    """Pages of shows by query; a miss loads the shows too."""

    kind = cache_keys.SHOW_LIST
    codec = Codec(models.MoviePage)

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MoviePage]:
        """Read the pages, one command each, with their shows."""
        pages = await asyncio.gather(*(self._page(self._queries[key], fields) for key in keys))
        return dict(zip(keys, pages, strict=True))

    async def _page(self, query: models.MovieQuery, fields: Fields) -> models.MoviePage:
        read_fields = None if fields is None else fields | {query.order.field, "is_active"}
        page, records = await models.read_show_page(query, read_fields)
        shows = self._scope.loader(ShowById)
        if fields is None:
            await shows.keep({show.id: show for show in records})
        else:
            shows.prime({show.id: show for show in records}, fields)
        return page
