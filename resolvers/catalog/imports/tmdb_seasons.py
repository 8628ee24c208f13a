"""A show's seasons and episodes from TMDb, without the specials TMDb calls season 0.

No editor writes these, so TMDb's values always win, except missing ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import models
from models.mongo import ids
from resolvers.catalog.imports.tmdb_documents import SOURCE, iso_date, seconds
from resolvers.context import Runtime
from services.tmdb.types import EpisodeDetails, Images, SeasonDetails, ShowDetails

MAX_SEASONS = 100


async def read(runtime: Runtime, show: ShowDetails) -> list[SeasonDetails]:
    """Read the seasons of a show in order, their episodes each once.

    Raises:
        UpstreamUnavailable: TMDb did not answer for one of them.
    """
    numbers = sorted({each.season_number for each in show.seasons if each.season_number > 0})
    requests = [runtime.catalog.tmdb.season(show.id, number) for number in numbers[:MAX_SEASONS]]
    seasons = [season for season in await asyncio.gather(*requests) if season is not None]
    return [
        SeasonDetails(season.season_number, season.name, season.air_date, _deduplicate(season))
        for season in seasons
    ]


def _deduplicate(season: SeasonDetails) -> list[EpisodeDetails]:
    return list({each.episode_number: each for each in season.episodes}.values())


class Documents:
    """Season and episode documents of some shows, under ids that are stored already.

    Shows are tuples of our id, TMDb's number, and seasons.
    """

    def __init__(
        self, shows: Sequence[tuple[str, int, Sequence[SeasonDetails]]], images: Images
    ) -> None:
        self._shows = shows
        self._images = images
        self._season_ids: dict[tuple[str, int], str] = {}
        self._episode_ids: dict[tuple[str, int, int], str] = {}

    async def look_up(self) -> None:
        """Read the stored ids of seasons and episodes."""
        where = {"show_id": {"$in": [show_id for show_id, _, _ in self._shows]}}
        for season in await models.find(models.Season, models.SeasonRecord, where):
            self._season_ids[season.show_id, season.number] = season.id
        for one in await models.find(models.Episode, models.EpisodeRecord, where):
            self._episode_ids[one.show_id, one.season_number, one.number] = one.id

    def seasons(self) -> list[models.Season]:
        """Build the season documents."""
        return [
            models.Season(
                id=self._season_id(show_id, number, season.season_number),
                show_id=show_id,
                number=season.season_number,
                **_drop_empty(name=season.name, air_date=iso_date(season.air_date)),
            )
            for show_id, number, seasons in self._shows
            for season in seasons
        ]

    def episodes(self) -> list[models.Episode]:
        """Build the episode documents."""
        return [
            self._episode(show_id, number, season.season_number, episode)
            for show_id, number, seasons in self._shows
            for season in seasons
            for episode in season.episodes
        ]

    def _season_id(self, show_id: str, number: int, season: int) -> str:
        derived = ids.derive("season", SOURCE, number, season)
        return self._season_ids.get((show_id, season), derived)

    def _episode(
        self, show_id: str, number: int, season: int, details: EpisodeDetails
    ) -> models.Episode:
        derived = ids.derive("episode", SOURCE, number, season, details.episode_number)
        images = self._images
        return models.Episode(
            id=self._episode_ids.get((show_id, season, details.episode_number), derived),
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
