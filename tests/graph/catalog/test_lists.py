"""Counts of lists, figures by genre, and the films of many genres at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

import models
from resolvers.catalog import browse
from resolvers.context import Context, Runtime
from resolvers.paging import PageArguments
from services.cache.cache import Cache
from tests.conftest import CountCommands
from tests.support import library
from tests.support.api_client import GraphQL, fetch_data
from tests.support.titles import film, genre, store

GENRES = """query ($first: Int, $after: String, $orderBy: MovieOrder) { genres { slug
  movies(first: $first, after: $after, orderBy: $orderBy) {
    edges { cursor node { id title } } pageInfo { hasNextPage hasPreviousPage endCursor }
    totalCount { value precision } } } }"""


@pytest.fixture
async def films(runtime: Runtime) -> None:
    """Film n is in "even" or "odd", and in "third" every third; popularity falls with n."""
    everything = [genre("even"), genre("odd"), genre("third"), genre("unused")]
    rows: list[models.StoredDocument] = [*everything]
    for number in range(1, 13):
        genres = [f"genre_{'odd' if number % 2 else 'even'}"]
        genres += ["genre_third"] if number % 3 == 0 else []
        rows.append(
            film(
                number,
                genre_ids=genres,
                popularity=100.0 - number,
                rating=number / 2 if number <= 6 else None,
                views=number,
                is_active=number != 12,
            )
        )
    await store(rows)


def numbers(connection: Any) -> list[int]:
    return [int(edge["node"]["id"].removeprefix("movie_")) for edge in connection["edges"]]


async def test_many_genres_have_their_films(graphql: GraphQL, films: None) -> None:
    # when each genre is asked for three of its films
    movies_by_genre = {
        one["slug"]: one["movies"] for one in (await fetch_data(graphql, GENRES, first=3))["genres"]
    }
    # then each has its own, the most popular first, deleted ones left out
    assert {slug: numbers(page) for slug, page in movies_by_genre.items()} == {
        "even": [2, 4, 6],
        "odd": [1, 3, 5],
        "third": [3, 6, 9],
        "unused": [],
    }
    assert {slug: page["pageInfo"]["hasNextPage"] for slug, page in movies_by_genre.items()} == {
        "even": True,
        "odd": True,
        "third": False,
        "unused": False,
    }
    assert {slug: page["totalCount"]["value"] for slug, page in movies_by_genre.items()} == {
        "even": 5,
        "odd": 6,
        "third": 3,
        "unused": 0,
    }
    # and a cursor leads on
    after = movies_by_genre["third"]["edges"][0]["cursor"]  # behind film 3
    further = (await fetch_data(graphql, GENRES, first=2, after=after))["genres"]
    assert {one["slug"]: numbers(one["movies"]) for one in further} == {
        "even": [4, 6],
        "odd": [5, 7],
        "third": [6, 9],
        "unused": [],
    }
    assert further[0]["movies"]["pageInfo"]["hasPreviousPage"] is True


async def test_the_order_is_part_of_what_is_cached(graphql: GraphQL, films: None) -> None:
    await fetch_data(graphql, GENRES, first=2)
    order = {"field": "RATING", "direction": "ASC"}
    genres = (await fetch_data(graphql, GENRES, first=2, orderBy=order))["genres"]
    assert {one["slug"]: numbers(one["movies"]) for one in genres} == {
        "even": [8, 10],  # unrated films come first
        "odd": [7, 9],
        "third": [9, 3],
        "unused": [],
    }


async def test_genres_at_once_cost_two_commands(
    graphql: GraphQL, films: None, count_commands: CountCommands
) -> None:
    query = "query ($first: Int) { genres { movies(first: $first) { nodes { title } } } }"
    await fetch_data(graphql, query, first=5)
    assert count_commands.mongo == ["genres.find", "movies.aggregate", "movies.find"]
    # and with a count, one more
    await count_commands.reset()
    query = "query { genres { movies(first: 5) { totalCount { value } } } }"
    await fetch_data(graphql, query)
    assert count_commands.mongo == ["movies.aggregate"]


async def test_without_caches_only_requested_fields_are_read(runtime: Runtime, films: None) -> None:
    # given an operation without any cache
    context = Context(replace(runtime, cache=Cache(runtime.redis, tiers="")))
    genres = await browse.genres(context)
    # when titles alone are asked for, then cursors work all the same
    pages = await browse.movies_of_genres(
        context, genres, PageArguments(first=2), fields=frozenset({"title"})
    )
    assert [[one.title for one in page.nodes] for page in pages] == [
        ["Film 2", "Film 4"],
        ["Film 1", "Film 3"],
        ["Film 3", "Film 6"],
        [],
    ]
    assert [one.overview for page in pages for one in page.nodes] == [None] * 6
    after = pages[2].cursor(pages[2].nodes[0])
    (again,) = await browse.movies_of_genres(
        context, genres[2:3], PageArguments(first=1, after=after), fields=frozenset({"title"})
    )
    assert [one.title for one in again.nodes] == ["Film 6"]


async def test_statistics_are_of_visible_films(graphql: GraphQL, films: None) -> None:
    query = """{ movieStatistics(first: 2) {
        genre { slug } count averageRating totalViews } }"""
    assert (await fetch_data(graphql, query))["movieStatistics"] == [
        # 1, 3, 5 are rated 0.5, 1.5, 2.5; 7, 9, 11 are not
        {"genre": {"slug": "odd"}, "count": 6, "averageRating": 1.5, "totalViews": 36},
        {"genre": {"slug": "even"}, "count": 5, "averageRating": 2.0, "totalViews": 30},
    ]


async def test_statistics_cost_one_aggregation_and_then_none(
    graphql: GraphQL, films: None, count_commands: CountCommands
) -> None:
    query = "query ($first: Int) { movieStatistics(first: $first) { count } }"
    await fetch_data(graphql, query, first=1)
    assert count_commands.mongo == ["movies.aggregate"]
    await count_commands.reset()
    assert len((await fetch_data(graphql, query, first=10))["movieStatistics"]) == 3
    assert count_commands.mongo == []
    # and a page size out of range is refused
    _, body = await graphql(query, {"first": 0})
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"


async def test_a_list_is_counted_only_when_total_count_is_requested(
    graphql: GraphQL, films: None, count_commands: CountCommands
) -> None:
    plain = """query ($filter: MovieFilter) { movies(filter: $filter, first: 1) {
        nodes { id } } }"""
    counted = plain.replace("nodes { id }", "nodes { id } totalCount { value precision }")
    await fetch_data(graphql, plain, filter={"genres": ["odd"]})
    assert count_commands.mongo == ["genres.find", "movies.find"]  # genres once an hour
    # when the same list is counted, then that is one command more
    await count_commands.reset()
    answer = await fetch_data(graphql, counted, filter={"genres": ["odd"]})
    assert answer["movies"]["totalCount"] == {"value": 6, "precision": "EXACT"}
    assert count_commands.mongo == ["movies.aggregate"]
    # and the whole catalogue is estimated without looking at it
    await count_commands.reset()
    answer = await fetch_data(graphql, counted)
    assert answer["movies"]["totalCount"] == {"value": 12, "precision": "ESTIMATED"}
    assert "movies.count" in count_commands.mongo
    # and kept
    await count_commands.reset()
    answer = await fetch_data(
        graphql, counted.replace("first: 1", "first: 2"), filter={"genres": ["odd"]}
    )
    assert answer["movies"]["totalCount"]["value"] == 6
    assert count_commands.mongo == ["movies.find"]


@pytest.fixture
async def long_list(runtime: Runtime) -> AsyncIterator[None]:
    """One film more than is counted."""
    rows = [
        {"_id": f"movie_{number:05}", "is_active": True, "genre_ids": ["genre_long"]}
        for number in range(models.COUNTED_EXACTLY + 1)
    ]
    await models.Movie.get_pymongo_collection().insert_many(rows)
    yield
    await library.drop()


async def test_counting_stops_at_ten_thousand(long_list: None) -> None:
    query = models.MovieQuery(
        None, models.MovieFilter(genres=("long",)), models.MovieOrder("popularity", -1), 1
    )
    # then the count says that there may be more
    (count,) = (await models.count_movies({"a": query})).values()
    assert count == models.Count(value=10_000, precision=models.CountPrecision.AT_LEAST)
    # and without the last one, that it is all
    await models.Movie.get_pymongo_collection().delete_one({"_id": "movie_00000"})
    (count,) = (await models.count_movies({"a": query})).values()
    assert count == models.Count(value=10_000, precision=models.CountPrecision.EXACT)
