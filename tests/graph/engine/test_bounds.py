"""Bounds on what clients send: refused before anything is done, and part of the cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from graph.engine.operations import Answer, Operations, Prepared, Request
from graph.schema import open_documents
from resolvers.context import Context, Runtime
from services.settings.settings import Settings
from tests.support.api_client import GraphQL, fetch_data
from tests.support.titles import film, genre, store

BY_LIST = "query ($g: [String!]) { movies(first: 1, filter: {genres: $g}) { nodes { id } } }"
BY_FILTER = "query ($f: MovieFilter) { movies(first: 1, filter: $f) { nodes { id } } }"
BY_IDS = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
TOO_MUCH: dict[str, tuple[str, dict[str, Any], str]] = {
    "12,000 genres": (BY_LIST, {"g": ["drama"] * 12_000}, "$g` has at most 20 items"),
    "21 genres": (BY_LIST, {"g": ["drama"] * 21}, "$g` has at most 20 items"),
    "one slug of 200 KB": (BY_LIST, {"g": ["x" * 200_000]}, "$g` has at most 100 characters"),
    "a slug of 200 KB, no list": (BY_LIST, {"g": "x" * 200_000}, "$g` has at most 100 characters"),
    "genres in an object": (
        BY_FILTER,
        {"f": {"genres": ["x"] * 21}},
        "$f.genres` has at most 20 items",
    ),
    "genres left out": (
        BY_FILTER,
        {"f": {"excludeGenres": ["x"] * 20_000}},
        "$f.excludeGenres` has at most 20 items",
    ),
    "a person": (BY_FILTER, {"f": {"personId": "p" * 129}}, "$f.personId` has at most 128"),
    "a language": (BY_FILTER, {"f": {"language": "e" * 36}}, "$f.language` has at most 35"),
    "an IMDb id": (
        "query ($i: String!) { movie(by: {imdbId: $i}) { id } }",
        {"i": "t" * 200_000},
        "$i` has at most 20 characters",
    ),
    "ids": (BY_IDS, {"ids": ["movie_1"] * 101}, "$ids` has at most 100 items"),
    "a value of an enum": (
        "query ($c: MovieCategory) { movies(first: 1, category: $c) { nodes { id } } }",
        {"c": "x" * 200_000},
        "$c` has at most 128 characters",
    ),
    "a number": (
        "query ($n: Int) { movies(first: $n) { nodes { id } } }",
        {"n": "9" * 200_000},
        "$n` has at most 128 characters",
    ),
    "a condition": (
        "query ($on: Boolean!) { genres { id @include(if: $on) slug } }",
        {"on": ["x"] * 20_000},
        "Variable '$on' has invalid value",
    ),
    "a list in the document": (
        "{ movies(first: 1, filter: {genres: [" + '"a" ' * 21 + "]}) { nodes { id } } }",
        {},
        "movies.filter.genres` has at most 20 items",
    ),
    "a text in the document": (
        '{ movie(by: {imdbId: "' + "t" * 21 + '"}) { id } }',
        {},
        "movie.by.imdbId` has at most 20 characters",
    ),
    "a text in a list's variable's place": (
        'query ($a: String!) { movies(first: 1, filter: {genres: [$a "x"]}) { nodes { id } } }',
        {"a": "x" * 101},
        "$a` has at most 100 characters",
    ),
    "a default": (
        "query ($g: [String!] = [" + '"a" ' * 21 + "]) "
        "{ movies(first: 1, filter: {genres: $g}) { nodes { id } } }",
        {},
        "$g` has at most 20 items",
    ),
    "in a fragment": (
        "query ($g: [String!]) { ...F } fragment F on Query "
        "{ movies(first: 1, filter: {genres: $g}) { nodes { id } } }",
        {"g": ["x"] * 21},
        "$g` has at most 20 items",
    ),
    "a number longer than Python converts": (
        "{ movies(first: " + "9" * 5_000 + ") { nodes { id } } }",
        {},
        "A number has at most 128 characters",
    ),
    "a long number as an id": (
        "{ node(id: " + "9" * 129 + ") { id } }",
        {},
        "A number has at most 128 characters",
    ),
    "an infinite number": (
        "{ movies(first: 1, filter: {minRating: 1e309}) { nodes { id } } }",
        {},
        "A number is too large",
    ),
    "an infinite default": (
        "query ($r: Float = -1e309) { movies(first: 1, filter: {minRating: $r}) { nodes { id } } }",
        {},
        "A number is too large",
    ),
    "introspection": ('{ __type(name: "' + "x" * 2_049 + '") { name } }', {}, "__type.name` has"),
}


@pytest.fixture(params=["plan", "core"])
def operations(request: pytest.FixtureRequest) -> Operations:
    documents = open_documents(Settings(_env_file=None))
    return Operations(documents, by_plan=request.param == "plan", deadline_seconds=5)


def prepare(
    operations: Operations, runtime: Runtime, query: str, variables: Mapping[str, Any]
) -> Prepared | Answer:
    return operations.prepare(Request(query, variables), Context(runtime))


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_is_beyond_its_bound_is_refused_before_anything_is_done(
    operations: Operations, runtime: Runtime, what: str
) -> None:
    query, variables, message = TOO_MUCH[what]
    # when it comes, then the request is refused with the place and the bound
    answer = prepare(operations, runtime, query, variables)
    assert isinstance(answer, Answer)
    (error,) = answer.body()["errors"]
    assert message in error["message"]
    assert error["extensions"]["code"] == "VALIDATION_FAILED"
    assert "data" not in answer.body()
    assert len(error["message"]) <= 300


def test_what_is_within_its_bound_runs(operations: Operations, runtime: Runtime) -> None:
    for query, variables in (
        (BY_LIST, {"g": ["drama"] * 20}),
        (BY_LIST, {"g": "x" * 100}),
        (BY_LIST, {"g": None}),
        (BY_FILTER, {"f": {"genres": None, "personId": "person_" + "1" * 90}}),
        (BY_IDS, {"ids": ["movie_1"] * 100}),
    ):
        assert isinstance(prepare(operations, runtime, query, variables), Prepared)


def test_each_entry_of_a_list_costs_a_point(operations: Operations, runtime: Runtime) -> None:
    def cost(query: str, variables: Mapping[str, Any] | None = None) -> int:
        prepared = prepare(operations, runtime, query, variables or {})
        assert isinstance(prepared, Prepared)
        return prepared.cost

    # given the same without a list
    bare = cost(BY_LIST)
    assert cost(BY_LIST, {"g": ["a", "b", "c"]}) == bare + 3
    assert cost(BY_LIST, {"g": "a"}) == bare
    assert cost(BY_FILTER, {"f": {"genres": ["a"], "excludeGenres": ["b", "c"]}}) == bare + 3
    literal = '{ movies(first: 1, filter: {genres: ["a", "b"]}) { nodes { id } } }'
    assert cost(literal) == bare + 2


PAGE = "query ($first: Int, $last: Int) { movies(first: $first, last: $last) { nodes { id } } }"


@pytest.mark.parametrize(
    ("query", "variables", "films"),
    [
        (PAGE, {"first": None, "last": 100}, 100),
        (PAGE, {"first": 100, "last": None}, 100),
        (PAGE, {"last": 70}, 70),
        (PAGE, {"first": 3, "last": 70}, 70),
        (PAGE, {"first": None, "last": None}, 20),
        (PAGE, {}, 20),
        ("{ movies(first: null, last: 100) { nodes { id } } }", {}, 100),
        ("query ($last: Int) { movies(first: 5, last: $last) { nodes { id } } }", {"last": 90}, 90),
        ("query ($last: Int) { movies(first: 5, last: $last) { nodes { id } } }", {}, 5),
        ("query ($n: Int = 50) { movies(last: $n) { nodes { id } } }", {}, 50),
    ],
)
def test_the_greatest_slicing_argument_that_has_a_value_counts(
    operations: Operations, runtime: Runtime, query: str, variables: dict[str, Any], films: int
) -> None:
    prepared = prepare(operations, runtime, query, variables)
    assert isinstance(prepared, Prepared)
    assert prepared.cost == films + 1


async def test_genres_that_do_not_exist_leave_nothing_in_redis(
    graphql: GraphQL, runtime: Runtime
) -> None:
    await store([genre("drama"), film(1, genre_ids=["genre_drama"])])
    # when a film is asked for by one genre that exists and 19 that do not
    genres = ["drama", *(f"nothing-{number}" * 8 for number in range(19))]
    data = await fetch_data(graphql, BY_LIST, g=genres)
    # then it is found
    assert data["movies"]["nodes"] == [{"id": "movie_00001"}]
    # and Redis has one list under one tag
    redis = runtime.redis
    assert [key async for key in redis.scan_iter("*lists:*")] == [b"lists:movies:genre:drama"]
    for pattern in ("*nothing*", "*x*x*x*x*"):
        assert [key async for key in redis.scan_iter(pattern)] == []
    # and of no genre that exists, as of none at all, nothing is found
    for chosen in (["nothing"], []):
        assert (await fetch_data(graphql, BY_LIST, g=chosen))["movies"]["nodes"] == []
    assert len((await fetch_data(graphql, BY_LIST, g=None))["movies"]["nodes"]) == 1
