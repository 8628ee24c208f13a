"""Categories and orders that tell the truth about dates, votes and views."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from resolvers.context import Runtime
from tests.support.api_client import GraphQL, fetch_data
from tests.support.titles import film, film_id, store

QUERY = """query ($category: MovieCategory, $orderBy: MovieOrder) {
  movies(first: 50, category: $category, orderBy: $orderBy) { nodes { id } } }"""


async def listed(graphql: GraphQL, **variables: Any) -> list[int]:
    nodes = (await fetch_data(graphql, QUERY, **variables))["movies"]["nodes"]
    return [int(node["id"].removeprefix("movie_")) for node in nodes]


@pytest.fixture
async def dated(runtime: Runtime) -> None:
    """Films with a day, with a year only, and with neither; two of them to come."""
    this_year = datetime.now(UTC).year
    await store(
        [
            film(1, release_date="1999-03-31", year=1999),
            film(2, release_date=None, year=1999),
            film(3, release_date=None, year=2005),
            film(4, release_date="1999-01-01", year=1999),
            film(5, release_date=None, year=None),
            film(6, release_date=None, year=this_year),
            film(7, release_date=None, year=this_year + 1),
            film(8, release_date=f"{this_year + 2}-01-01", year=this_year + 2),
            film(9, release_date=None, year=999),
        ]
    )


@pytest.mark.usefixtures("dated")
async def test_the_year_counts_where_the_day_of_release_is_unknown(graphql: GraphQL) -> None:
    assert await listed(graphql, category="NEW_RELEASES") == [6, 3, 1, 4, 2, 9]
    assert await listed(graphql, category="UPCOMING") == [7, 8]
    rising = {"field": "RELEASE_DATE", "direction": "ASC"}
    assert await listed(graphql, orderBy=rising) == [5, 9, 2, 4, 1, 3, 6, 7, 8]
    falling = {"field": "RELEASE_DATE", "direction": "DESC"}
    assert await listed(graphql, orderBy=falling) == [8, 7, 6, 3, 1, 4, 2, 9, 5]


@pytest.mark.usefixtures("dated")
async def test_an_edit_of_the_date_moves_a_film_in_its_order(graphql: GraphQL) -> None:
    for changes, expected in (
        ({"release_date": "2010-05-05", "year": 2010}, [6, 2, 3]),
        ({"release_date": None, "year": 2006}, [6, 2, 3]),
        ({"release_date": None, "year": None}, [6, 3, 1]),
    ):
        edit = await models.edit_movie(film_id(2), changes, None)
        assert edit is not None and edit.after.released == (
            changes["release_date"] or (changes["year"] and str(changes["year"]))
        )
        stored = await models.movie_to_edit(film_id(2), None)
        assert stored == edit.after
        page, _ = await models.read_movie_page(
            models.MovieQuery(
                models.MovieCategory.NEW_RELEASES,
                models.MovieFilter(),
                models.MovieOrder.of(models.MovieCategory.NEW_RELEASES, None),
                3,
                today=datetime.now(UTC).date().isoformat(),
            ),
            None,
        )
        assert [int(id_.removeprefix("movie_")) for id_ in page.ids] == expected


async def test_few_votes_do_not_lead_the_top_rated(runtime: Runtime, graphql: GraphQL) -> None:
    # given films of one vote and of many, one without votes and one without a rating
    await store(
        [
            film(1, rating=10.0, vote_count=1),
            film(2, rating=8.7, vote_count=300),
            film(3, rating=8.5, vote_count=25_000),
            film(4, rating=9.5, vote_count=3),
            film(5, rating=3.0, vote_count=1000),
            film(6, rating=9.0, vote_count=0),
            film(7, rating=None, vote_count=0),
            film(8, rating=1.0, vote_count=1),
        ]
    )
    # then many high votes are first, few votes of any height stand about the middle
    assert await listed(graphql, category="TOP_RATED") == [3, 2, 4, 1, 6, 8, 5]
    # and the plain order by rating is that of the ratings
    order = {"field": "RATING", "direction": "DESC"}
    assert (await listed(graphql, orderBy=order))[:3] == [1, 4, 6]


async def test_unwatched_films_trend_by_popularity_behind_all_watched_ones(
    runtime: Runtime, graphql: GraphQL
) -> None:
    # given films of falling popularity
    await store(film(number, popularity=100.0 - number) for number in range(1, 5))
    assert await listed(graphql, category="TRENDING") == [1, 2, 3, 4]
    # when one was viewed long ago, one twice two weeks ago and one today
    now = datetime.now(UTC)
    viewed = [(2, now - timedelta(days=2000)), (3, now - timedelta(days=14)), (4, now)]
    viewings = [
        models.ViewingRecord(
            id=f"viewing_{at}", playable_id=film_id(number), user_id="user_1", completed=True,
            started_at=started_at, last_seen_at=now, stamp_ms=1,
        )
        for at, (number, started_at) in enumerate([viewed[1], *viewed])
    ]  # fmt: skip
    await models.write_viewings(viewings, timedelta(days=3650))
    assert await models.count_views(viewings) == 4
    # then lists read from now on begin with the newest views
    await runtime.redis.flushdb()
    runtime.cache.clear_memory()
    assert await listed(graphql, category="TRENDING") == [4, 3, 2, 1]


async def test_films_of_an_earlier_release_get_their_sort_values_with_the_indexes(
    runtime: Runtime, graphql: GraphQL
) -> None:
    # given films stored without them
    await store(
        film(number, year=1990 + number, release_date=None, rating=5.0 + number / 100, vote_count=9)
        for number in range(1, 5)
    )
    unset = dict.fromkeys(("released", "weighted_rating", "trend"), "")
    await models.Movie.get_pymongo_collection().update_many({}, {"$unset": unset})
    # when
    await models.apply_indexes()
    # then
    assert await listed(graphql, category="NEW_RELEASES") == [4, 3, 2, 1]
    assert await listed(graphql, category="TOP_RATED") == [4, 3, 2, 1]
    assert await listed(graphql, category="TRENDING") != []
