"""The synthetic catalogue is the same one every time."""

from __future__ import annotations

import pytest

import models
from models import Changes
from resolvers.catalog.imports import synthetic
from resolvers.context import Runtime
from services.errors import StartupError


async def movies() -> list[models.MovieRecord]:
    return await models.find(models.Movie, models.MovieRecord, {}, sort=[("popularity", -1)])


async def test_films_are_like_real_ones_in_what_load_work_needs(runtime: Runtime) -> None:
    # when
    report = await synthetic.load(runtime, 500, 400)

    # then
    assert {stage: each.inserted for stage, each in report.changes.items()} == {
        "genres": 18,
        "people": 400,
        "movies": 500,
    }
    people = {person.id for person in await models.find(models.Person, models.PersonRecord, {})}
    films = await movies()
    for film in films:
        cast = [credit.person_id for credit in film.credits]
        assert 8 <= len(cast) <= 15
        assert len(set(cast)) == len(cast)
        assert set(cast) <= people
        assert film.credits[0].department is models.Department.DIRECTING
        assert 2 <= len(set(film.genre_ids)) <= 4
        assert len(film.similar_ids) == 12
        assert film.release_date and film.release_date.startswith(str(film.year))
    # and popularity follows Zipf's law: a few are watched by most
    popularity = [film.popularity for film in films]
    assert popularity[0] == 1000.0
    assert popularity[1] == 574.349
    assert sum(popularity[:50]) > sum(popularity[50:]) / 2


async def test_seeding_again_changes_nothing(runtime: Runtime) -> None:
    # given
    await synthetic.load(runtime, 200, 100)
    before = await movies()

    # when
    report = await synthetic.load(runtime, 200, 100)

    # then
    assert report.total == Changes(unchanged=318)
    assert await movies() == before


async def test_a_larger_catalogue_contains_the_smaller_one(runtime: Runtime) -> None:
    # given
    await synthetic.load(runtime, 20, 100)
    before = {film.id: film for film in await movies()}

    # when
    await synthetic.load(runtime, 40, 100)

    # then
    after = {film.id: film for film in await movies()}
    assert len(after) == 40
    for id_, film in before.items():
        assert (after[id_].title, after[id_].credits) == (film.title, film.credits)


async def test_names_are_not_repeated_for_the_first_thousands(runtime: Runtime) -> None:
    await synthetic.load(runtime, 1, 4000)
    names = [person.name for person in await models.find(models.Person, models.PersonRecord, {})]
    assert len(set(names)) == 4000


@pytest.mark.parametrize(("films", "people"), [(0, 100), (10, 14), (1_000_001, 100)])
async def test_sizes_out_of_range_are_refused_and_nothing_changes(
    runtime: Runtime, films: int, people: int
) -> None:
    with pytest.raises(StartupError, match="seed takes 1-1000000 films and 15-1000000 people"):
        await synthetic.load(runtime, films, people)
    assert await movies() == []
