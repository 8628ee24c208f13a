"""Filtered lists, counts and searches read little of a large catalogue, however few titles fit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product

import pytest

import models
from resolvers.catalog.imports import synthetic
from resolvers.context import Runtime
from services.cursors import Position
from tests.support import library

_FILMS = 5_000
_SIZE = 20
# of the titles that fit, as often as a page reads them: to ask how many, to read, to look behind
_TIMES = 3
_SKIPPED = 900  # keys of each time that only lead from step to step
_PHRASE = 9.0  # the least score of titles with all words of a search beside each other
_FILTERS = tuple(
    models.MovieFilter(**one)
    for one in (
        {"min_rating": 8.8},
        {"min_rating": 9.9},
        {"min_votes": 15_000},
        {"max_runtime_seconds": 66 * 60},
        {"max_runtime_seconds": 60},
        {"year_from": 2024, "year_to": 2024},
        {"year_to": 1925},
        {"year_from": 2090},
        {"language": "is"},
        {"language": "zu"},
        {"min_rating": 7.5, "min_votes": 5_000, "max_runtime_seconds": 90 * 60},
        {"genres": ("drama",), "min_rating": 8.8},
        {"genres": ("drama",), "language": "is"},
        {"exclude_genres": ("drama",), "min_votes": 15_000},
        {"language": "is", "year_from": 2000},
        {"language": "en", "min_rating": 9.9},
    )
)
_ORDERS = (
    models.MovieOrder("popularity", -1),
    models.MovieOrder("released", -1),
    models.MovieOrder("sort_title", 1),
    models.MovieOrder("rating", 1),
    models.MovieOrder("created_at", -1),
)
Run = Callable[[], Awaitable[object]]
Examined = Callable[[Run], Awaitable[tuple[int, int]]]


@pytest.fixture(scope="module")
async def examined(_runtime: Runtime) -> AsyncIterator[Examined]:
    """Says how many keys and documents of titles MongoDB examines meanwhile, by its own profile."""
    for document in models.DOCUMENTS:
        await document.get_pymongo_collection().delete_many({})
    await synthetic.load(_runtime, _FILMS, 500)
    collection = models.Movie.get_pymongo_collection()
    some = [synthetic.movie_id(number) for number in range(0, _FILMS, 250)]
    changes = {"languages": ["is"], "facets": None}
    await collection.update_many({"_id": {"$in": some}}, {"$set": changes})
    await models.apply_indexes()
    database = collection.database

    async def count(run: Run) -> tuple[int, int]:
        models.forget_sizes()
        await database.drop_collection("system.profile")
        await database.create_collection("system.profile", capped=True, size=16 * 1024 * 1024)
        await database.command("profile", 2)
        try:
            await run()
        finally:
            await database.command("profile", 0)
        of_movies = {"ns": collection.full_name, "op": {"$in": ["query", "command"]}}
        rows = await database["system.profile"].find(of_movies).to_list()
        assert rows
        keys = sum(row.get("keysExamined", 0) for row in rows)
        return keys, sum(row.get("docsExamined", 0) for row in rows)

    yield count
    await database.drop_collection("system.profile")
    await library.drop()


def _queries() -> Iterator[models.MovieQuery]:
    for chosen in _FILTERS:
        for order in _ORDERS:
            yield models.MovieQuery(None, chosen, order, _SIZE)


def _fitting(chosen: models.MovieFilter) -> models.MovieFilter:
    """What of a filter one index finds: numbers, else a language."""
    names = ("year_from", "year_to", "min_rating", "min_votes", "max_runtime_seconds")
    numbers = {name: getattr(chosen, name) for name in names}
    if any(value is not None for value in numbers.values()) and chosen.language is None:
        return models.MovieFilter(**numbers)
    return models.MovieFilter(language=chosen.language)


async def _size_of(chosen: models.MovieFilter) -> int:
    query = models.MovieQuery(None, chosen, _ORDERS[0], 1)
    (count,) = (await models.count_movies({"a": query})).values()
    assert count.precision is models.CountPrecision.EXACT
    return count.value


async def _places(query: models.MovieQuery) -> list[Position | None]:
    """The beginning of a list, and the middle of its first page."""
    _, films = await models.read_movie_page(query, None)
    middle = films[len(films) // 2 :][:1]
    return [None, *(Position(models.sort_value(one, query.order), one.id) for one in middle)]


async def test_a_page_behind_a_filter_reads_the_titles_that_fit(examined: Examined) -> None:
    problems = []
    for query in _queries():
        size = await _size_of(_fitting(query.filter))
        for place, backwards in product(await _places(query), (False, True)):
            # when a page of a list of few films is read, from either end or its middle
            asked = replace(query, position=place, backwards=backwards)
            keys, documents = await examined(partial(models.read_movie_page, asked, None))
            # then no more is examined than the films that fit, and no more read than shown
            if keys > _TIMES * (size + _SKIPPED) or documents > _TIMES * (_SIZE + 1):
                problems.append((asked, size, keys, documents))
    assert problems == []


async def test_a_count_behind_a_filter_reads_keys_alone(examined: Examined) -> None:
    problems = []
    for chosen in _FILTERS:
        size = await _size_of(_fitting(chosen))
        keys, documents = await examined(partial(_size_of, chosen))
        if keys > _TIMES * (size + _SKIPPED) or documents:
            problems.append((chosen, size, keys, documents))
    assert problems == []


async def test_a_search_behind_a_filter_reads_the_titles_that_fit_both(
    examined: Examined,
) -> None:
    # given frequent words, each in more than a hundred titles
    words = models.fold_query("golden harbour")
    problems = []
    for chosen in _FILTERS:
        size = await _size_of(chosen)
        # when they are looked for behind a filter
        search = partial(models.search_names, words, [models.SearchKind.MOVIE], chosen)
        _, documents = await examined(search)
        # then at most those that fit are read, by each branch of the search
        if documents > 12 * size:
            problems.append((chosen, size, documents))
    assert problems == []


async def test_a_search_behind_a_filter_finds_what_fits(examined: Examined) -> None:
    # given all films of a name
    words, kinds = models.fold_query("golden harbour"), [models.SearchKind.MOVIE]
    whole = await models.search_names(words, kinds, models.MovieFilter(), is_deep=True)
    named = {hit.id for hit in whole.hits if hit.score >= _PHRASE}
    assert len(named) > 1
    for chosen in (*_FILTERS, models.MovieFilter(min_rating=5.0), models.MovieFilter(year_to=1990)):
        order = models.MovieOrder("sort_title", 1)
        fitting = models.MovieQuery(None, chosen, order, _FILMS)
        page, _ = await models.read_movie_page(fitting, frozenset())
        # when they are looked for behind a filter, then those that fit are found
        found = await models.search_names(words, kinds, chosen)
        exact = {hit.id for hit in found.hits if hit.score >= _PHRASE}
        assert exact == named & set(page.ids), chosen


async def test_a_person_of_many_films_costs_what_is_shown(examined: Examined) -> None:
    busiest = synthetic.person_id(0)
    keys, documents = await examined(lambda: models.title_ids_by_person([busiest], 100))
    assert (keys, documents) == (100, 0)
