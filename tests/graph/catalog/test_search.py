"""Search through the front door, on MongoDB's own text indexes."""

from __future__ import annotations

from typing import Any

import pytest

import models
from resolvers.context import Runtime
from tests.conftest import CountCommands
from tests.support.api_client import GraphQL
from tests.support.titles import film, person, show, store

SEARCH = """query ($query: String!, $kinds: [SearchKind!], $filter: MovieFilter,
    $first: Int, $after: String) {
  search(query: $query, kinds: $kinds, filter: $filter, first: $first, after: $after) {
    edges { cursor score node { __typename ... on Movie { id title } ... on TvShow { id status }
      ... on Person { id name } } }
    nodes { __typename }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


@pytest.fixture
async def library(runtime: Runtime) -> None:
    await store(
        [
            film(1, title="The Lighthouse", overview="Two keepers and a storm.", year=2019),
            film(2, title="Storm Front", overview="A lighthouse, at last.", year=1990),
            film(3, title="Lighthouse Keepers", is_active=False),
            film(4, title="It", overview="A clown."),
            film(5, title="Les Amants", original_title="Les Âmes du phare"),
            show(1, title="Lighthouse Lane", overview="Life by the sea.", year=2005),
            person(1, "Ada Lighthouse"),
            person(2, "Eve Storm"),
        ]
    )


async def search(graphql: GraphQL, query: str, **variables: Any) -> Any:
    status, body = await graphql(SEARCH, {"query": query, **variables})
    assert (status, body.keys()) == (200, {"data"}), body
    return body["data"]["search"]


async def refused(graphql: GraphQL, query: str, **variables: Any) -> str:
    _, body = await graphql(SEARCH, {"query": query, **variables})
    assert body["data"] == {"search": None}
    (error,) = body["errors"]
    return str(error["extensions"]["code"])


def ids_of(page: Any) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


async def test_all_kinds_are_found_a_name_above_a_description(
    graphql: GraphQL, library: None
) -> None:
    page = await search(graphql, "lighthouse")
    # then titles and names come before the film that only tells of one; deleted ones never
    assert set(ids_of(page)[:3]) == {"movie_00001", "show_00001", "person_00001"}
    assert ids_of(page)[3:] == ["movie_00002"]
    scores = [edge["score"] for edge in page["edges"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[3] > 0
    assert [node["__typename"] for node in page["nodes"]] == [
        edge["node"]["__typename"] for edge in page["edges"]
    ]
    assert page["pageInfo"]["hasNextPage"] is False


async def test_kinds_and_filters_leave_out(graphql: GraphQL, library: None) -> None:
    page = await search(graphql, "lighthouse", kinds=["PERSON", "TV_SHOW"])
    assert set(ids_of(page)) == {"show_00001", "person_00001"}
    # a filter is for titles; people always fit
    page = await search(graphql, "lighthouse", filter={"yearFrom": 2000, "yearTo": 2010})
    assert set(ids_of(page)) == {"show_00001", "person_00001"}
    assert ids_of(await search(graphql, "lighthouse", kinds=[])) == []


async def test_any_word_is_enough_in_any_case_and_accent(graphql: GraphQL, library: None) -> None:
    page = await search(graphql, "STORM keepers")
    assert set(ids_of(page)) == {"movie_00001", "movie_00002", "person_00002"}
    assert ids_of(await search(graphql, "ames")) == ["movie_00005"]
    assert ids_of(await search(graphql, "it")) == ["movie_00004"]


@pytest.mark.parametrize(
    "query",
    ['"storm front" lane', "storm -front", "--storm", '"storm"', "storm\\", "storm $where [.*]"],
)
async def test_nothing_in_a_query_is_an_operator(
    graphql: GraphQL, library: None, query: str
) -> None:
    result_ids = ids_of(await search(graphql, query, kinds=["MOVIE"]))
    assert set(result_ids) == {"movie_00001", "movie_00002"}


@pytest.mark.parametrize("query", [".*", "", "  ", '"-"', "-", "a" * 101, "light.*"])
async def test_patterns_and_empty_queries_find_nothing(
    graphql: GraphQL, library: None, query: str
) -> None:
    if query == "light.*":
        assert ids_of(await search(graphql, query)) == []
    else:
        assert await refused(graphql, query) == "VALIDATION_FAILED"


async def test_bad_pages_are_refused(graphql: GraphQL, library: None) -> None:
    assert await refused(graphql, "storm", first=0) == "VALIDATION_FAILED"
    assert await refused(graphql, "storm", after="x") == "INVALID_CURSOR"
    # a cursor of another list is no cursor here
    _, body = await graphql("{ movies(first: 1) { pageInfo { endCursor } } }")
    other = body["data"]["movies"]["pageInfo"]["endCursor"]
    assert await refused(graphql, "storm", after=other) == "INVALID_CURSOR"


async def test_pages_go_through_all_kinds_once_among_equal_scores(graphql: GraphQL) -> None:
    # given forty things of one name, so of few different scores
    await store(
        [
            *(film(number, title="Harbour") for number in range(15)),
            *(show(number, title="Harbour") for number in range(15)),
            *(person(number, "Harbour") for number in range(10)),
        ]
    )
    # when they are paged through, one of them gone meanwhile and one come that is behind
    seen: list[str] = []
    after = None
    while True:
        page = await search(graphql, "harbour", first=7, after=after)
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += ids_of(page)
        after = page["pageInfo"]["endCursor"]
        if len(seen) == 7:
            await models.Movie.get_pymongo_collection().delete_one({"_id": "movie_00000"})
            await store([person(99, "Harbour")])
        if not page["pageInfo"]["hasNextPage"]:
            break
    # then each that stood throughout was met once
    assert len(seen) == len(set(seen))
    assert len(set(seen) - {"movie_00000", "person_00099"}) == 39


async def test_a_search_costs_the_same_at_every_size(
    graphql: GraphQL, runtime: Runtime, count_commands: CountCommands
) -> None:
    await store([film(n, title="Quay") for n in range(20)] + [show(1, title="Quay")])
    await store([person(number, "Quay") for number in range(20)])
    costs = []
    for first in (5, 40):
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        await count_commands.reset()
        assert len(ids_of(await search(graphql, "quay", first=first))) == first
        commands = sorted(count_commands.mongo)
        costs.append([name for name in commands if name.endswith("aggregate")])
    assert costs == [["movies.aggregate", "people.aggregate", "shows.aggregate"]] * 2
    # and again, for a minute, none
    await count_commands.reset()
    assert len(ids_of(await search(graphql, "quay", first=40))) == 40
    assert count_commands.mongo == []
