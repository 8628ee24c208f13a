"""The demo catalogue as it is shipped, loaded whole."""

from __future__ import annotations

from pathlib import Path

import pytest

import loaders
import models
from models import Changes
from resolvers.catalog.imports import demo, demo_files
from resolvers.context import Context, Runtime
from services.errors import StartupError


async def movies() -> list[models.MovieRecord]:
    return await models.find(models.Movie, models.MovieRecord, {}, sort=[("popularity", -1)])


async def test_the_whole_demo_is_loaded(runtime: Runtime) -> None:
    # given
    assert await demo.is_empty(runtime)
    steps: list[tuple[str, int, int]] = []

    # when
    report = await demo.load(runtime, lambda *step: steps.append(step))

    # then at least what was promised is there: 150 films, two serials
    written = {stage: changes.inserted for stage, changes in report.changes.items()}
    assert written["movies"] >= 150
    assert written["shows"] == 2
    assert written["episodes"] == 15
    assert (report.broken.count, report.conflicts.count) == (0, 0)
    assert steps[-1] == ("movies", written["movies"], written["movies"])
    assert not await demo.is_empty(runtime)


async def test_every_film_has_what_a_page_shows(runtime: Runtime) -> None:
    # given
    await demo.load(runtime)
    genres = {genre.id for genre in await models.find(models.Genre, models.GenreRecord, {})}
    people = {person.id for person in await models.find(models.Person, models.PersonRecord, {})}
    films = await movies()
    ids = {film.id for film in films}

    # then
    for film in films:
        assert film.genre_ids, film.title
        assert set(film.genre_ids) <= genres, film.title
        assert film.overview and len(film.overview) > 60, film.title
        assert film.year and film.sort_title, film.title
        departments = [credit.department for credit in film.credits]
        assert departments[0] is models.Department.DIRECTING, film.title
        assert {credit.person_id for credit in film.credits} <= people, film.title
        assert [credit.order for credit in film.credits] == list(range(len(film.credits)))
        assert 0 < len(film.similar_ids) <= 12, film.title
        assert set(film.similar_ids) < ids - {film.id}, film.title
        assert film.poster_path == f"/art/posters/{film.id}.svg"
        assert film.backdrop_path == f"/art/backdrops/{film.id}.svg"


async def test_featured_films_come_first_and_others_by_their_credits(runtime: Runtime) -> None:
    await demo.load(runtime)
    keys = demo_films_by_id()
    films = await movies()

    featured = [film for film in films if film.is_featured]
    assert [keys[film.id] for film in featured] == demo_files.read().featured
    assert [film.popularity for film in featured][:3] == [100.0, 98.0, 96.0]
    for film in films[len(featured) :]:
        assert film.popularity == min(50.0, 2.0 * len(film.credits))


def demo_films_by_id() -> dict[str, str]:
    return {demo.movie_id(film.of.key): film.of.key for film in demo_files.read().films}


async def test_shows_have_their_seasons_and_episodes(runtime: Runtime) -> None:
    await demo.load(runtime)
    show_id = demo.show_id("les-vampires-1915")
    records = await models.find_by_id(models.Show, models.ShowRecord, [show_id])
    show = records[show_id]
    assert (show.title, show.season_count, show.episode_count) == ("Les Vampires", 1, 10)
    assert show.sort_title == "vampires"
    episodes = await models.find(
        models.Episode, models.EpisodeRecord, {"show_id": show_id}, sort=[("number", 1)]
    )
    assert [episode.number for episode in episodes] == list(range(1, 11))
    assert (episodes[0].name, episodes[0].runtime_seconds) == ("The Severed Head", 33 * 60)


async def test_loading_it_again_changes_nothing(runtime: Runtime) -> None:
    # given
    first = await demo.load(runtime)
    before = await movies()

    # when
    again = await demo.load(runtime)

    # then
    assert again.total == Changes(unchanged=first.total.inserted)
    assert await movies() == before


async def test_cached_films_are_dropped_when_the_demo_changes_them(
    runtime: Runtime, context: Context
) -> None:
    # given a film of an earlier release that is cached without a year
    await demo.load(runtime)
    film_id = demo.movie_id("metropolis-1927")
    await models.ImportedTitle.get_pymongo_collection().delete_many({})
    collection = models.Movie.get_pymongo_collection()
    await collection.update_one({"_id": film_id}, {"$set": {"year": None}})
    film = await context.load(loaders.MovieById, film_id)
    assert film.year is None

    # when
    report = await demo.load(runtime)

    # then
    assert report.total.updated == 1
    assert report.keys_dropped == 1
    film = await Context(runtime).load(loaders.MovieById, film_id)
    assert (film.year, film.version) == (1927, 2)


async def test_what_an_editor_wrote_stays_when_it_is_loaded_again(runtime: Runtime) -> None:
    # given
    await demo.load(runtime)
    film_id = demo.movie_id("metropolis-1927")
    edits = {"title": "Ours", "genre_ids": ["genre_drama"], "poster_path": "https://i.test/p.jpg"}
    await models.edit_movie(film_id, edits, None)
    # when
    report = await demo.load(runtime)
    # then
    assert report.total.updated == 0
    records = await models.find_by_id(models.Movie, models.MovieRecord, [film_id])
    assert {name: getattr(records[film_id], name) for name in edits} == edits


async def test_an_outside_id_that_another_film_holds_is_left_with_it(runtime: Runtime) -> None:
    # given a film of another source with Metropolis' id of IMDb
    imdb_id = next(f for f in demo_files.read().films if f.of.key == "metropolis-1927").of.imdb_id
    other = models.Movie(id="movie_other", title="M", sort_title="m", imdb_id=imdb_id)
    await models.upsert(models.Movie, [other])

    # when
    report = await demo.load(runtime)

    # then
    assert report.conflicts.examples == [
        f"metropolis-1927: imdb_id {imdb_id} belongs to movie_other"
    ]
    film_id = demo.movie_id("metropolis-1927")
    records = await models.find_by_id(models.Movie, models.MovieRecord, [film_id])
    assert records[film_id].imdb_id is None


async def test_broken_files_change_nothing(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(StartupError):
        await demo.load(runtime, folder=tmp_path)
    assert await demo.is_empty(runtime)
    assert await models.find(models.Genre, models.GenreRecord, {}) == []
