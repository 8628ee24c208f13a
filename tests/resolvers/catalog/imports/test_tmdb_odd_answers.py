"""Answers of TMDb with odd values: one bad value loses itself only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

import models
from resolvers.catalog.imports import tmdb, tmdb_lists
from resolvers.context import Runtime
from services.tmdb.types import TmdbKind
from tests.support import fake_tmdb
from tests.support.fake_tmdb import Answer, FakeTmdb


@pytest.fixture
async def here(runtime: Runtime, tmdb_server: FakeTmdb) -> AsyncIterator[Runtime]:
    """The runtime, with the fake for TMDb."""
    async with fake_tmdb.open_runtime_with(runtime, tmdb_server) as own:
        yield own


def quiet(_done: int, _total: int | None) -> None: ...


async def stored_films() -> list[models.MovieRecord]:
    return await models.find(models.Movie, models.MovieRecord, {}, sort=[("tmdb_id", 1)])


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("popularity", None, 0.0),
        ("popularity", "x", 0.0),
        ("popularity", "12.5", 12.5),
        ("popularity", -1, 0.0),
        ("popularity", 1e300, 0.0),
        ("vote_count", None, 0),
        ("vote_count", 2**70, 0),
        ("vote_count", {}, 0),
        ("overview", 7, None),
        ("overview", ["x"], None),
        ("overview", "\ud800", None),
        ("tagline", {}, None),
        ("runtime", "long", None),
        ("runtime", 10**30, None),
        ("runtime", -5, None),
        ("release_date", 1999, None),
        ("release_date", "1999-02-30", None),
        ("original_title", False, None),
        ("original_title", "", None),
        ("poster_path", "", None),
        ("poster_path", "no slash.jpg", None),
        ("poster_path", 1, None),
        ("genres", None, []),
        ("genres", "Action", []),
        ("genres", [{"id": "x", "name": "Drama"}, {"name": 7}, None], ["genre_drama"]),
        ("credits", None, []),
        ("credits", {"cast": None, "crew": {}}, []),
    ],
)
async def test_an_odd_optional_value_of_a_film_loses_itself(
    here: Runtime, tmdb_server: FakeTmdb, name: str, value: Any, stored: Any
) -> None:
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, **{name: value})
    report = await tmdb.load(here, {TmdbKind.MOVIE: [1]}, quiet)
    (record,) = await stored_films()
    fields = {"genres": "genre_ids", "runtime": "runtime_seconds"}
    assert getattr(record, fields.get(name, name)) == stored
    assert (record.title, record.imdb_id, report.broken.count) == ("The Film 1", "tt0000001", 0)


@pytest.mark.parametrize("value", [None, 5, "", [], "english"])
async def test_an_odd_language_loses_itself(
    here: Runtime, tmdb_server: FakeTmdb, value: Any
) -> None:
    spoken = [{"iso_639_1": value}, value, {"iso_639_1": "de"}]
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(
        1, original_language=value, spoken_languages=spoken
    )
    await tmdb.load(here, {TmdbKind.MOVIE: [1]}, quiet)
    assert [record.languages for record in await stored_films()] == [["de"]]


async def test_languages_are_stored_in_one_case_whatever_tmdb_writes(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    spoken = [{"iso_639_1": code} for code in ("DE", "de", "En", "CN", "XX")]
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(
        1, original_language="EN", spoken_languages=spoken
    )
    await tmdb.load(here, {TmdbKind.MOVIE: [1]}, quiet)
    assert [record.languages for record in await stored_films()] == [["en", "de", "yue"]]


async def test_odd_people_lose_themselves_or_their_odd_values(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given a cast and a crew with one good member each, and odd ones
    cast = [
        {"id": 1, "name": "Unplaced", "character": "A", "order": None, "popularity": "x"},
        {"id": 2, "name": "First", "character": 7, "order": 0, "profile_path": ""},
        {"id": "none", "name": "Nobody"},
        {"id": 3, "name": None},
        None,
    ]
    crew = [
        {"id": 4, "name": "Boss", "job": "Director", "department": None},
        {"id": 5, "name": "Idle", "job": None, "department": "Art"},
        {"id": 0, "name": "Zero", "job": "Director"},
    ]
    tmdb_server.answers["/movie/1"] = fake_tmdb.movie(1, credits={"cast": cast, "crew": crew})
    # when
    await tmdb.load(here, {TmdbKind.MOVIE: [1]}, quiet)
    # then an unknown place in the billing is the last
    people = {one.id: one.name for one in await models.find(models.Person, models.PersonRecord, {})}
    (record,) = await stored_films()
    credits = [(people[one.person_id], one.character) for one in record.credits]
    assert credits == [("Boss", None), ("First", None), ("Unplaced", "A")]


async def test_an_answer_about_another_title_is_refused_by_name(
    here: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given three films of which one answers as another
    tmdb_server.has_movies(1, 3)
    tmdb_server.answers["/movie/2"] = fake_tmdb.movie(1)
    # when
    report = await tmdb.load(here, {TmdbKind.MOVIE: [1, 2, 3]}, quiet)
    # then
    assert [one.tmdb_id for one in await stored_films()] == [1, 3]
    message = "movie 2: TMDb answered with the title 1 (/movie/2)."
    assert report.broken.examples == [message]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_json_does_not_have_lose_themselves(
    here: Runtime, tmdb_server: FakeTmdb, number: str
) -> None:
    body = f'{{"id": 1, "title": "One", "popularity": {number}, "vote_average": {number}}}'
    tmdb_server.failures["/movie/1"] = [Answer(200, body.encode())]
    await tmdb.load(here, {TmdbKind.MOVIE: [1]}, quiet)
    assert [(one.title, one.popularity) for one in await stored_films()] == [("One", 0.0)]


async def test_odd_values_of_shows_lose_themselves(here: Runtime, tmdb_server: FakeTmdb) -> None:
    # given a show with an odd status and creator, a season and an episode without numbers
    seasons = [{"season_number": 1}, {"season_number": None}, {"season_number": -1}, "x"]
    tmdb_server.answers["/tv/1"] = fake_tmdb.show(
        1, status=None, created_by=[{"id": None}], seasons=seasons, first_air_date=0
    )
    odd = {"episode_number": 2, "name": [], "air_date": 0, "runtime": "x", "still_path": ""}
    season = fake_tmdb.season(1, episodes=[1], name=4)
    season["episodes"] += [odd, {"episode_number": None}, None]
    tmdb_server.answers["/tv/1/season/1"] = season
    # when
    report = await tmdb.load(here, {TmdbKind.SHOW: [1]}, quiet)
    # then
    assert report.broken.count == 0
    episodes = await models.find(models.Episode, models.EpisodeRecord, {}, sort=[("number", 1)])
    assert [(one.number, one.name) for one in episodes] == [(1, "Episode 1"), (2, None)]


@pytest.mark.parametrize("season", [{"season_number": 7}, {"episodes": []}, [], "x"])
async def test_a_season_that_makes_no_sense_is_left_out_by_name(
    here: Runtime, tmdb_server: FakeTmdb, season: Any
) -> None:
    tmdb_server.has_show(1)
    tmdb_server.answers["/tv/1/season/0"] = season
    report = await tmdb.load(here, {TmdbKind.SHOW: [1]}, quiet)
    assert report.broken.count == 1
    assert report.broken.examples[0].startswith("tv 1 season 0: TMDb")
    assert report.changes["episodes"] == models.Changes(inserted=2)


async def test_an_odd_line_of_a_list_loses_itself(here: Runtime, tmdb_server: FakeTmdb) -> None:
    lines = [{"id": 5, "popularity": None}, {"id": "x"}, None, {"id": -1}, {"id": 6, "title": 4}]
    for path in ("/trending/movie/week", "/discover/movie"):
        tmdb_server.answers[path] = {"results": lines, "total_pages": "one"}
    for category in (models.MovieCategory.TRENDING, models.MovieCategory.POPULAR):
        found = await tmdb_lists.numbers(
            here.catalog.tmdb, TmdbKind.MOVIE, category, 2, date(2024, 3, 1)
        )
        assert found == [5, 6]
