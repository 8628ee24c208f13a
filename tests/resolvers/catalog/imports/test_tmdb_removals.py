"""What TMDb no longer has, or has in great number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import models
from models.mongo import ids
from resolvers.catalog.imports import tmdb
from resolvers.catalog.imports.report import Report
from resolvers.context import Runtime
from services.tmdb.types import TmdbKind
from tests.support import fake_tmdb
from tests.support.fake_tmdb import Answer, FakeTmdb

FILM = ids.derive("movie", "tmdb", 1)


@pytest.fixture
async def here(runtime: Runtime, tmdb_server: FakeTmdb) -> AsyncIterator[Runtime]:
    """The runtime, with the fake for TMDb that has film 1 and show 9 with two seasons."""
    tmdb_server.has_movies(1)
    tmdb_server.has_show(9)
    has_seasons(tmdb_server, {1: [1, 2], 2: [1, 2, 3]})
    async with fake_tmdb.open_runtime_with(runtime, tmdb_server) as own:
        await load(own)
        yield own


def has_seasons(tmdb_server: FakeTmdb, seasons: dict[int, list[int]]) -> None:
    listed = [{"season_number": number} for number in seasons]
    tmdb_server.answers["/tv/9"] = fake_tmdb.show(9, seasons=listed)
    for number, episodes in seasons.items():
        answer = fake_tmdb.season(number, episodes=episodes)
        tmdb_server.answers[f"/tv/9/season/{number}"] = answer


async def load(runtime: Runtime) -> Report:
    numbers = {TmdbKind.MOVIE: [1], TmdbKind.SHOW: [9]}
    return await tmdb.load(runtime, numbers, lambda _done, _total: None)


async def places() -> list[tuple[int, int]]:
    episodes = await models.find(models.Episode, models.EpisodeInOrder, {})
    return sorted((one.season_number, one.number) for one in episodes)


async def is_shown(document: type[models.StoredDocument]) -> bool:
    (row,) = await document.get_pymongo_collection().find().to_list(None)
    shown: bool = row["is_active"]
    return shown


async def set_shown(is_active: bool) -> None:
    await models.edit_movie(FILM, {"is_active": is_active}, None)


@pytest.mark.parametrize(
    ("seasons", "left"),
    [
        ({1: [1, 2], 2: [1, 3]}, [(1, 1), (1, 2), (2, 1), (2, 3)]),
        ({1: [2]}, [(1, 2)]),
        ({2: [4]}, [(2, 4)]),
        ({1: [], 2: [1]}, [(1, 1), (1, 2), (2, 1)]),
        ({}, [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]),
    ],
    ids=["episode", "season", "both", "empty-season", "no-seasons"],
)
async def test_episodes_that_tmdb_removed_go(
    here: Runtime, tmdb_server: FakeTmdb, seasons: dict[int, list[int]], left: Any
) -> None:
    # given an episode of the operator's own, which is no one else's to remove
    has_seasons(tmdb_server, seasons)
    own = {"show_id": ids.derive("show", "tmdb", 9), "season_id": "season_own"}
    await models.Episode(id="episode_own", season_number=3, number=1, **own).insert()
    # when
    report = await load(here)
    # then
    assert await places() == [*left, (3, 1)]
    assert report.changes["episodes"].removed == 5 - len(set(left) - {(2, 4)})
    assert (report.keys_dropped is not None) and (await load(here)).total.removed == 0
    stored = await models.find(models.Season, models.SeasonRecord, {})
    assert sorted(one.number for one in stored) == (sorted(seasons) or [1, 2])


@pytest.mark.parametrize("answer", [Answer(404), Answer(200, b"[]")])
async def test_a_season_that_cannot_be_read_keeps_its_episodes(
    here: Runtime, tmdb_server: FakeTmdb, answer: Answer
) -> None:
    before = await places()
    tmdb_server.failures["/tv/9/season/2"] = [answer]
    await load(here)
    assert await places() == before


async def test_titles_that_tmdb_removed_are_hidden_until_they_come_back(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # when TMDb has neither any more
    film, show = tmdb_server.answers.pop("/movie/1"), tmdb_server.answers.pop("/tv/9")
    report = await load(here)
    # then
    assert not await is_shown(models.Movie) and not await is_shown(models.Show)
    assert report.broken.examples[0] == "movie 1: TMDb has no such title."
    # and when it has them again
    tmdb_server.answers |= {"/movie/1": film, "/tv/9": show}
    await load(here)
    assert await is_shown(models.Movie) and await is_shown(models.Show)
    # and a second time as the first
    del tmdb_server.answers["/movie/1"]
    await load(here)
    assert not await is_shown(models.Movie)


async def test_an_editor_has_the_last_word_on_what_is_shown(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given a film that TMDb removed and an editor restored
    film = tmdb_server.answers.pop("/movie/1")
    await load(here)
    await set_shown(True)
    # when TMDb still does not have it
    await load(here)
    assert await is_shown(models.Movie)
    # and one that an editor deleted, before imports remembered, stays deleted
    tmdb_server.answers["/movie/1"] = film
    await models.ImportedTitle.get_pymongo_collection().delete_many({})
    await set_shown(False)
    await load(here)
    assert not await is_shown(models.Movie)


async def test_a_title_of_another_source_is_never_hidden(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    own = models.Movie(id="movie_own", tmdb_id=77, title="Own", sort_title="own")
    await own.insert()
    await tmdb.load(here, {TmdbKind.MOVIE: [77]}, lambda _done, _total: None)
    row = await models.Movie.get_pymongo_collection().find_one({"_id": "movie_own"})
    assert row is not None and row["is_active"]


async def test_a_season_of_a_daily_show_is_stored_and_listed_whole(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given 1,500 episodes with the crews of all, 12 MB
    has_seasons(tmdb_server, {1: list(range(1, 1501))})
    for episode in tmdb_server.answers["/tv/9/season/1"]["episodes"]:
        episode["crew"] = [{"name": "x" * 8000}]
    # when
    report = await load(here)
    # then
    assert report.broken.count == 0
    (season,) = await models.find(models.Season, models.SeasonRecord, {})
    listed = await models.episodes_of_seasons([season.id])
    assert [one.number for one in listed[season.id]] == list(range(1, 1501))
    in_order = await models.episodes_of_shows([season.show_id])
    assert len(in_order[season.show_id]) == 1500
