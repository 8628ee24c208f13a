"""A show's seasons and episodes from TMDb, with the specials TMDb calls season 0.

No editor writes these, so TMDb's values always win, except missing ones, and what it removed is
deleted if it came from there. Of a show only what its answers deny: a season that could not be
read, or was answered without episodes, loses none.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import models
from models.mongo import ids
from resolvers.catalog.imports.report import Problems, Writer
from resolvers.catalog.imports.tmdb_documents import SOURCE, iso_date, seconds
from services.tmdb.client import Tmdb, UnreadableAnswer
from services.tmdb.types import EpisodeDetails, Images, SeasonDetails, ShowDetails

MAX_SEASONS = 100


class ShowSeasons(NamedTuple):
    """A show under its id here, with the seasons that could be read."""

    show_id: str
    show: ShowDetails
    seasons: list[SeasonDetails]


async def read(tmdb: Tmdb, show: ShowDetails, broken: Problems) -> list[SeasonDetails]:
    """Read the seasons of a show in order, their episodes each once.

    A season whose answer makes no sense is noted and left out.

    Raises:
        UpstreamUnavailable: TMDb did not answer for one of them.
    """
    numbers = sorted({each.season_number for each in show.seasons})
    requests = [_read_one(tmdb, show, number, broken) for number in numbers[:MAX_SEASONS]]
    seasons = [season for season in await asyncio.gather(*requests) if season is not None]
    return [
        SeasonDetails(season.season_number, season.name, season.air_date, _deduplicate(season))
        for season in seasons
    ]


async def _read_one(
    tmdb: Tmdb, show: ShowDetails, number: int, broken: Problems
) -> SeasonDetails | None:
    try:
        return await tmdb.season(show.id, number)
    except UnreadableAnswer as error:
        broken.note(f"tv {show.id} season {number}: {error.message}")
        return None


def _deduplicate(season: SeasonDetails) -> list[EpisodeDetails]:
    return list({each.episode_number: each for each in season.episodes}.values())


class SeasonWriter:
    """Writer of the seasons and episodes of some shows, under ids that are stored already."""

    def __init__(self, shows: list[ShowSeasons], images: Images) -> None:
        self._shows = shows
        self._images = images
        self._season_ids: dict[str, dict[int, str]] = defaultdict(dict)
        self._episode_ids: dict[str, dict[tuple[int, int], str]] = defaultdict(dict)

    async def look_up(self) -> None:
        """Read the stored ids of seasons and episodes."""
        where = {"show_id": {"$in": [each.show_id for each in self._shows]}}
        for season in await models.find(models.Season, models.SeasonRecord, where):
            self._season_ids[season.show_id][season.number] = season.id
        for one in await models.find(models.Episode, models.EpisodeInOrder, where):
            self._episode_ids[one.show_id][one.season_number, one.number] = one.id

    async def write(self, writer: Writer) -> None:
        """Write all, and delete what TMDb no longer has."""
        seasons, episodes = list(self._seasons()), list(self._episodes())
        await writer.write("seasons", models.Season, seasons, len(seasons))
        await writer.write("episodes", models.Episode, episodes, len(episodes))
        gone = [id_ for each in self._shows for id_ in self._removed_episodes(each)]
        await writer.apply("episodes", models.delete_documents(models.Episode, gone))
        gone = [id_ for each in self._shows for id_ in self._removed_seasons(each)]
        await writer.apply("seasons", models.delete_documents(models.Season, gone))

    def _removed_seasons(self, each: ShowSeasons) -> Iterator[str]:
        return _removed_seasons(each.show, self._season_ids[each.show_id])

    def _removed_episodes(self, each: ShowSeasons) -> Iterator[str]:
        stored = self._episode_ids[each.show_id]
        return _removed_episodes(each.show, each.seasons, stored)

    def _seasons(self) -> Iterator[models.Season]:
        for show_id, show, seasons in self._shows:
            for season in seasons:
                yield models.Season(
                    id=self._season_id(show_id, show.id, season.season_number),
                    show_id=show_id,
                    number=season.season_number,
                    **_drop_empty(name=season.name, air_date=iso_date(season.air_date)),
                )

    def _episodes(self) -> Iterator[models.Episode]:
        for show_id, show, seasons in self._shows:
            for season in seasons:
                for episode in season.episodes:
                    yield self._episode(show_id, show.id, season.season_number, episode)

    def _season_id(self, show_id: str, number: int, season: int) -> str:
        return self._season_ids[show_id].get(season) or season_id(number, season)

    def _episode(
        self, show_id: str, number: int, season: int, details: EpisodeDetails
    ) -> models.Episode:
        stored = self._episode_ids[show_id].get((season, details.episode_number))
        images = self._images
        return models.Episode(
            id=stored or episode_id(number, season, details.episode_number),
            show_id=show_id,
            season_id=self._season_id(show_id, number, season),
            season_number=season,
            number=details.episode_number,
            **_drop_empty(
                name=details.name,
                overview=details.overview,
                air_date=iso_date(details.air_date),
                runtime_seconds=seconds(details.runtime),
                still_path=images.url(details.still_path, images.still_sizes, "w300"),
            ),
        )


def _drop_empty(**fields: Any) -> dict[str, Any]:
    """The fields without empty ones."""
    return {name: value for name, value in fields.items() if value}


def _removed_seasons(show: ShowDetails, stored: Mapping[int, str]) -> Iterator[str]:
    """Ids of stored seasons, by number, that the show no longer lists."""
    listed = {each.season_number for each in show.seasons}
    for number, id_ in stored.items():
        if listed and number not in listed and id_ == season_id(show.id, number):
            yield id_


def _removed_episodes(
    show: ShowDetails, seasons: Sequence[SeasonDetails], stored: Mapping[tuple[int, int], str]
) -> Iterator[str]:
    """Ids of stored episodes whose season is gone, or has been read without them."""
    listed = {each.season_number for each in show.seasons}
    read = {
        each.season_number: {episode.episode_number for episode in each.episodes}
        for each in seasons
        if each.episodes
    }
    for (season, number), id_ in stored.items():
        is_gone = bool(listed) and season not in listed
        is_missing = season in read and number not in read[season]
        if (is_gone or is_missing) and id_ == episode_id(show.id, season, number):
            yield id_


def season_id(show_number: int, season: int) -> str:
    """The id of a season imported from TMDb."""
    return ids.derive("season", SOURCE, show_number, season)


def episode_id(show_number: int, season: int, number: int) -> str:
    """The id of an episode imported from TMDb."""
    return ids.derive("episode", SOURCE, show_number, season, number)
