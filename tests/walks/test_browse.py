"""Browse, end to end: the commands a page costs do not grow with the page."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from resolvers.context import Runtime
from tests.conftest import CountCommands
from tests.support.api_client import ISSUE_QUERY, GraphQL

ALIASED = ISSUE_QUERY.replace("movies(", "again: movies(")
WIDE = """
query ($first: Int) {
  movies(first: $first, orderBy: {field: TITLE, direction: ASC}) {
    edges { cursor node {
      id title poster { url }
      credits(first: 3, department: CAST) { character person { name } }
      similar(first: 5) { title genres { name } }
    } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


async def films(graphql: GraphQL, query: str, first: int) -> list[dict[str, Any]]:
    status, body = await graphql(query, {"first": first})
    assert (status, body.keys()) == (200, {"data"})
    (page,) = body["data"].values()
    return list(page["nodes"])


async def test_the_catalogue_is_real(graphql: GraphQL, demo_catalog: None) -> None:
    # when somebody asks what the README asks
    movies = await films(graphql, ISSUE_QUERY, 20)
    # then it is films that exist, with who made them
    assert len(movies) == 20
    metropolis = next(film for film in movies if film["title"] == "Metropolis")
    assert metropolis["year"] == 1927
    names = [credit["person"]["name"] for credit in metropolis["credits"]]
    assert "Fritz Lang" in names
    assert all(film["genres"] and film["credits"] for film in movies)


@pytest.mark.parametrize("first", [1, 10, 50])
async def test_a_page_costs_four_commands_cold_and_none_warm(
    graphql: GraphQL,
    runtime: Runtime,
    demo_catalog: None,
    count_commands: CountCommands,
    first: int,
) -> None:
    # when nothing is cached
    await count_commands.reset()
    movies = await films(graphql, ISSUE_QUERY, first)
    # then the page, its genres and its people are one command each, whatever its size
    assert len(movies) == first
    cold = Counter(count_commands.mongo)
    assert cold == {"movies.find": 1, "genres.find": 1, "people.find": 1}
    # when all is cached: as an answer, as records in memory, as records in Redis
    await count_commands.reset()
    assert await films(graphql, ISSUE_QUERY, first) == movies
    assert await films(graphql, ALIASED, first) == movies
    runtime.cache.clear_memory()
    assert await films(graphql, ISSUE_QUERY, first) == movies
    # then MongoDB is not asked
    assert count_commands.mongo == []


async def test_a_wide_page_costs_the_same_at_every_size(
    graphql: GraphQL, runtime: Runtime, demo_catalog: None, count_commands: CountCommands
) -> None:
    costs = []
    for first in (1, 10, 50):
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        await count_commands.reset()
        _, body = await graphql(WIDE, {"first": first})
        assert len(body["data"]["movies"]["edges"]) == first
        mongo, redis = Counter(count_commands.mongo), await count_commands.redis_commands()
        costs.append((mongo, redis["mget"]))
    # then only MongoDB commands per collection and Redis round trips that do not grow
    assert costs[0] == costs[1] == costs[2]
    assert max(costs[0][0].values()) <= 2
    assert sum(costs[0][0].values()) <= 4


async def test_one_batch_is_one_mget(
    graphql: GraphQL, runtime: Runtime, demo_catalog: None, count_commands: CountCommands
) -> None:
    # given everything in Redis and nothing in memory
    await films(graphql, ISSUE_QUERY, 50)
    runtime.cache.clear_memory()
    await count_commands.reset()
    await films(graphql, ISSUE_QUERY, 50)
    # then the page, its films, genres and people are one MGET each, and nothing else
    assert await count_commands.redis_commands() == {"mget": 4}


async def test_paging_through_meets_every_film_once(graphql: GraphQL, demo_catalog: None) -> None:
    page = """query ($after: String) { movies(first: 37, after: $after, orderBy: {field: TITLE}) {
      nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
    back = """query ($before: String) { movies(last: 37, before: $before, orderBy: {field: TITLE}) {
      nodes { id } pageInfo { hasPreviousPage startCursor } } }"""
    seen: list[str] = []
    after = None
    while True:
        _, body = await graphql(page, {"after": after})
        connection = body["data"]["movies"]
        assert connection["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += [film["id"] for film in connection["nodes"]]
        after = connection["pageInfo"]["endCursor"]
        if not connection["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) >= 150
    # and backwards from the last one meets the same ones
    turned: list[str] = []
    before = after
    while True:
        _, body = await graphql(back, {"before": before})
        connection = body["data"]["movies"]
        turned = [film["id"] for film in connection["nodes"]] + turned
        before = connection["pageInfo"]["startCursor"]
        if not connection["pageInfo"]["hasPreviousPage"]:
            break
    assert turned == seen[:-1]


async def test_the_answer_has_the_shape_of_the_query(graphql: GraphQL, demo_catalog: None) -> None:
    query = """{
      drama: movies(first: 3, filter: {genres: ["drama"], yearTo: 1930}) {
        nodes { __typename year genres { slug } }
      }
      genres { slug }
      featured: movies(category: FEATURED, first: 1) { nodes { isFeatured id } }
      newest: movies(orderBy: {field: RELEASE_DATE}, first: 1) { nodes { year } }
      service { version services }
      health { status checks { name status } }
    }"""
    status, body = await graphql(query)
    assert (status, body.keys()) == (200, {"data"})
    data = body["data"]
    for film in data["drama"]["nodes"]:
        assert film["__typename"] == "Movie"
        assert film["year"] <= 1930
        assert "drama" in [genre["slug"] for genre in film["genres"]]
    assert {"drama", "comedy"} <= {genre["slug"] for genre in data["genres"]}
    assert data["featured"]["nodes"][0]["isFeatured"] is True
    newest = data["newest"]["nodes"][0]["year"]  # where the day is not known, the year counts
    assert all(film["year"] <= newest for film in data["drama"]["nodes"])
    assert data["health"] == {
        "status": "HEALTHY",
        "checks": [
            {"name": "database", "status": "HEALTHY"},
            {"name": "cache", "status": "HEALTHY"},
        ],
    }
    # and a film found in a list is found by its id
    id_ = data["featured"]["nodes"][0]["id"]
    _, again = await graphql("query ($id: ID!) { node(id: $id) { __typename id } }", {"id": id_})
    assert again == {"data": {"node": {"__typename": "Movie", "id": id_}}}
