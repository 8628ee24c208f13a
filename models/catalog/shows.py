"""Seasons and episodes: all of many shows or seasons in one command, each list bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, TypeVar

from models.catalog.documents import Episode, EpisodeRecord, Season, SeasonRecord
from models.mongo.base import IdentifiedRecord
from models.mongo.reading import find
from models.mongo.wire.commands import Filter, Sort

D = TypeVar("D", bound=IdentifiedRecord)
MOST_SEASONS = 100  # of one show
MOST_EPISODES = 2_000  # of one season
MOST_OF_SHOW = 10_000  # episodes of one show, specials included


class EpisodePlace(NamedTuple):
    """Position of an episode: show, number of the season, number in the season."""

    show_id: str
    season_number: int
    number: int

    @classmethod
    def of(cls, episode: EpisodeRecord) -> EpisodePlace:
        """The position of this episode."""
        return cls(episode.show_id, episode.season_number, episode.number)


async def seasons_of_shows(show_ids: Collection[str]) -> dict[str, list[SeasonRecord]]:
    """Seasons by show, in order of number; the first 100 of each.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where: Filter = {"show_id": {"$in": list(show_ids)}}
    order: Sort = [("show_id", 1), ("number", 1)]
    rows = await find(Season, SeasonRecord, where, sort=order)
    return _group(show_ids, ((row.show_id, row) for row in rows), MOST_SEASONS)


async def episodes_of_seasons(season_ids: Collection[str]) -> dict[str, list[EpisodeRecord]]:
    """Episodes by season, in order of number; the first 2,000 of each.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where: Filter = {"season_id": {"$in": list(season_ids)}}
    order: Sort = [("season_id", 1), ("number", 1)]
    rows = await find(Episode, EpisodeRecord, where, sort=order)
    return _group(season_ids, ((row.season_id, row) for row in rows), MOST_EPISODES)


class EpisodeInOrder(IdentifiedRecord, frozen=True):
    """The fields that decide which episode comes next: position and air date."""

    show_id: str = ""
    season_id: str = ""
    season_number: int = 0
    number: int = 0
    air_date: str | None = None
    runtime_seconds: int | None = None


def aired_episodes(order: Sequence[EpisodeInOrder], today: str) -> list[EpisodeInOrder]:
    """Episodes of a show that have aired by `today` (ISO date).

    One without an air date has if a later one has, or if none before it has a date: dates that
    nobody wrote down are those of old episodes, and of the ones to come after the latest.
    """
    first_dated = next((at for at, one in enumerate(order) if one.air_date), len(order))
    aired = [at for at, one in enumerate(order) if one.air_date and one.air_date <= today]
    undated_before = max(first_dated, aired[-1] if aired else 0)
    return [
        one
        for at, one in enumerate(order)
        if (one.air_date <= today if one.air_date else at < undated_before)
    ]


async def episodes_of_shows(show_ids: Collection[str]) -> dict[str, list[EpisodeInOrder]]:
    """Episodes by show, in order of season and number; the first 10,000 of each.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where: Filter = {"show_id": {"$in": list(show_ids)}}
    order: Sort = [("show_id", 1), ("season_number", 1), ("number", 1)]
    rows = await find(Episode, EpisodeInOrder, where, sort=order)
    return _group(show_ids, ((row.show_id, row) for row in rows), MOST_OF_SHOW)


async def episodes_at(places: Collection[EpisodePlace]) -> list[EpisodeRecord]:
    """Existing episodes at these positions, in no order.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    branches = [place._asdict() for place in places]
    return await find(Episode, EpisodeRecord, {"$or": branches}, limit=len(branches))


def _group(keys: Collection[str], rows: Iterable[tuple[str, D]], most: int) -> dict[str, list[D]]:
    groups: dict[str, list[D]] = {key: [] for key in keys}
    for key, row in rows:
        if len(groups[key]) < most:
            groups[key].append(row)
    return groups
