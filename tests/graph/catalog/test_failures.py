"""What is gone, too great or refused takes nothing else of the answer along."""

from __future__ import annotations

import pytest

import models
from tests.support.api_client import GraphQL, fetch_data
from tests.support.titles import credit, film, film_id, genre, person, store

LARGEST = 2**63 - 1


async def test_a_credit_of_a_person_who_is_gone_takes_nothing_along(graphql: GraphQL) -> None:
    credits_ = [credit(film_id(1), 1), credit(film_id(1), 2)]
    await store([film(1, credits=credits_), person(1, "Buster Keaton")])
    data = await fetch_data(
        graphql, "{ movies(first: 1) { nodes { id credits { person { name } title { id } } } } }"
    )
    assert data["movies"]["nodes"] == [
        {
            "id": film_id(1),
            "credits": [
                {"person": {"name": "Buster Keaton"}, "title": {"id": film_id(1)}},
                {"person": None, "title": {"id": film_id(1)}},
            ],
        }
    ]


@pytest.mark.parametrize("views", [[3_000_000_000], [1_500_000_000] * 2, [2**31], [LARGEST]])
async def test_counters_and_their_sums_pass_32_bits(graphql: GraphQL, views: list[int]) -> None:
    films = [
        film(number, views=count, vote_count=count, genre_ids=["genre_drama"])
        for number, count in enumerate(views)
    ]
    await store([genre("drama"), *films])
    data = await fetch_data(
        graphql,
        "{ movies(first: 5) { nodes { views voteCount } }"
        " movieStatistics { genre { slug } totalViews } }",
    )
    assert [node["views"] for node in data["movies"]["nodes"]] == views
    assert [node["voteCount"] for node in data["movies"]["nodes"]] == views
    assert data["movieStatistics"] == [{"genre": {"slug": "drama"}, "totalViews": sum(views)}]


async def test_figures_of_a_genre_that_is_gone_are_still_told(graphql: GraphQL) -> None:
    await store([genre("drama"), film(1, genre_ids=["genre_drama"])])
    await models.Genre.get_pymongo_collection().delete_many({})
    data = await fetch_data(graphql, "{ movieStatistics { genre { slug } count } }")
    assert data["movieStatistics"] == [{"genre": None, "count": 1}]


async def test_a_refused_root_field_keeps_the_others(graphql: GraphQL) -> None:
    await store([film(1, title="The General")])
    _, body = await graphql(
        '{ movie(by: {id: "movie_00001"}) { title } search(query: "") { nodes { __typename } }'
        ' movies(first: 0) { nodes { id } } genres { slug } nodes(ids: ["?"]) { id } }'
    )
    assert body["data"] == {
        "movie": {"title": "The General"},
        "search": None,
        "movies": None,
        "genres": [],
        "nodes": None,
    }
    assert [error["path"] for error in body["errors"]] == [["search"], ["movies"], ["nodes"]]


async def test_a_refused_mutation_does_not_hide_one_that_took_effect(graphql: GraphQL) -> None:
    _, body = await graphql(
        'mutation { logout { revokedSessions } deleteMovie(input: {id: "movie_00001"}) '
        "{ accepted } warmCache { job { id } } }"
    )
    assert set(body["data"]) == {"logout", "deleteMovie", "warmCache"}
    assert body["data"]["deleteMovie"] is None
    codes = {error["path"][0]: error["extensions"]["code"] for error in body["errors"]}
    assert codes["deleteMovie"] == codes["warmCache"] == "UNAUTHENTICATED"
