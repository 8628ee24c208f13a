"""Lists of any filter are read exactly, whichever index they are read along."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

import models
from models.catalog.lists import ListDescription, is_member
from resolvers.context import Runtime
from services.cursors import Position
from tests.support.titles import credit, film, film_id, genre, store

_FILMS = 240
_SIZE = 7
_GENRES = ("crime", "drama", "noir", "war")
_TODAY = "2000-06-01"
_FIELDS = ("popularity", "rating", "weighted_rating", "released", "sort_title", "created_at")
_CATEGORIES = (None, None, *(one for one in models.MovieCategory if one.value != "FEATURED"))


@pytest.fixture
async def films(runtime: Runtime) -> AsyncIterator[list[models.MovieRecord]]:
    """Films of few different values, so that orders have ties, and of many that are unknown."""
    models.forget_sizes()
    await store(map(genre, _GENRES))
    await store(film(number, **_values(random.Random(number))) for number in range(_FILMS))
    yield await models.find(models.Movie, models.MovieRecord, {})
    models.forget_sizes()
    await models.apply_indexes()


def _values(chance: random.Random) -> dict[str, Any]:
    def maybe(value: Any) -> Any:
        return None if chance.random() < 0.15 else value

    year = maybe(1990 + chance.randrange(15))
    is_day_known = year is not None and chance.random() < 0.6
    return {
        "year": year,
        "release_date": f"{year + chance.choice([0, 0, 0, 1])}-03-01" if is_day_known else None,
        "rating": maybe(chance.randrange(0, 21) / 2),
        "vote_count": chance.choice([0, 5, 99, 100, 5_000, 20_000]),
        "runtime_seconds": maybe(60 * chance.randrange(30, 170, 10)),
        "popularity": float(chance.randrange(10)),
        "genre_ids": [f"genre_{one}" for one in chance.sample(_GENRES, chance.randrange(3))],
        "languages": chance.sample(["en", "fr", "sv"], chance.randrange(3)),
        "is_active": chance.random() < 0.9,
        "credits": [credit("-", chance.randrange(6))],
    }


def _filter(chance: random.Random) -> models.MovieFilter:
    choices: dict[str, Any] = {
        "genres": tuple(chance.sample(_GENRES, chance.randrange(3))),
        "exclude_genres": tuple(chance.sample(_GENRES, 1 + chance.randrange(2))),
        "year_from": chance.randrange(1988, 2008),
        "year_to": chance.randrange(1988, 2008),
        "min_rating": chance.randrange(0, 44) / 4,
        "min_votes": chance.choice([-1, 0, 1, 10, 60, 100, 9_000, 50_000]),
        "max_runtime_seconds": 60 * chance.randrange(20, 180, 5),
        "language": chance.choice(["en", "fr", "sv", "is"]),
        "person_id": f"person_{chance.randrange(7):05}",
    }
    names = chance.sample(sorted(choices), chance.choice([1, 1, 2, 2, 3, 4]))
    return models.MovieFilter(**{name: choices[name] for name in names})


def _queries(films: Sequence[models.MovieRecord], count: int) -> list[models.MovieQuery]:
    chance = random.Random(2026)
    queries = []
    for _ in range(count):
        order = models.MovieOrder(chance.choice(_FIELDS), chance.choice([1, -1]))
        near = chance.choice(films)
        queries.append(
            models.MovieQuery(
                chance.choice(_CATEGORIES),
                _filter(chance),
                order,
                _SIZE,
                backwards=chance.random() < 0.5,
                position=chance.choice([None, Position(models.sort_value(near, order), near.id)]),
                today=_TODAY,
            )
        )
    return queries


def _members(
    films: Sequence[models.MovieRecord], query: models.MovieQuery
) -> list[models.MovieRecord]:
    """The list's films in the order in which the query reads them."""
    listed = ListDescription(query.category, query.filter, None, query.today)
    members = [one for one in films if is_member(listed, one)]
    return sorted(members, key=lambda one: _rank(one, query), reverse=query.direction < 0)


def _rank(film: models.MovieRecord, query: models.MovieQuery) -> tuple[bool, Any, str]:
    value = models.sort_value(film, query.order)
    return value is not None, value, film.id


def _page(films: Sequence[models.MovieRecord], query: models.MovieQuery) -> models.MoviePage:
    """The page as it must be read."""
    members, behind = _members(films, query), 0
    if query.position is not None:
        value, id_ = query.position
        place = (value is not None, value, id_)
        is_behind = place.__ge__ if query.direction > 0 else place.__le__
        behind = sum(is_behind(_rank(one, query)) for one in members)
    ids = [one.id for one in members[behind:]]
    return models.MoviePage.of(query, ids[: _SIZE + 1], is_behind=behind > 0)


async def test_pages_and_counts_are_exact_along_every_index(
    films: list[models.MovieRecord],
) -> None:
    # given queries of which some are read along the index of their order, some along another
    queries = _queries(films, 400)
    chosen = [await models.choose_path(models.Movie, query) for query in queries]
    indexes = {index for index, is_found in chosen if is_found}
    assert len(indexes) >= 4
    assert 50 < sum(is_found for _, is_found in chosen) < 390
    # then each page has the films it must have, in order, and knows what lies around it
    await _require_exact(films, queries)


async def test_pages_and_counts_are_the_same_while_the_index_of_facets_is_not_built(
    films: list[models.MovieRecord],
) -> None:
    await models.Movie.get_pymongo_collection().drop_index("facets")
    await _require_exact(films, _queries(films, 150))


async def _require_exact(
    films: Sequence[models.MovieRecord], queries: Sequence[models.MovieQuery]
) -> None:
    for query in queries:
        page, records = await models.read_movie_page(query, None)
        assert page == _page(films, query), query
        assert [one.id for one in records] == page.ids
        (count,) = (await models.count_movies({"a": query})).values()
        if count.precision is models.CountPrecision.EXACT:
            assert count.value == len(_members(films, query)), query


async def test_an_edit_moves_a_film_between_lists(films: list[models.MovieRecord]) -> None:
    order = models.MovieOrder("sort_title", 1)
    rare = models.MovieFilter(genres=("noir",), language="is", min_votes=15_000)
    query = models.MovieQuery(None, rare, order, _SIZE)
    assert (await models.read_movie_page(query, None))[0].ids == []
    # when a film comes to fit the filter, and no longer
    fitting = {"genre_ids": ["genre_noir"], "languages": ["is"], "vote_count": 15_000}
    await models.edit_movie(film_id(3), {**fitting, "is_active": True}, None)
    assert (await models.read_movie_page(query, None))[0].ids == [film_id(3)]
    await models.edit_movie(film_id(3), {"vote_count": 14_999}, None)
    assert (await models.read_movie_page(query, None))[0].ids == []


async def test_titles_of_an_earlier_release_get_their_facets_with_the_indexes(
    films: list[models.MovieRecord],
) -> None:
    query = models.MovieQuery(
        None, models.MovieFilter(min_rating=8.0), models.MovieOrder("sort_title", 1), _SIZE
    )
    collection = models.Movie.get_pymongo_collection()
    without = {"$unset": {"facets": ""}}
    of_another_edition = {"$set": {"facets.edition": 1, "facets.rating": 0}}
    for earlier in (without, of_another_edition):
        await collection.update_many({}, earlier)
        assert (await models.read_movie_page(query, None))[0].ids == []
        # when
        await models.apply_indexes()
        # then
        assert (await models.read_movie_page(query, None))[0] == _page(films, query)
