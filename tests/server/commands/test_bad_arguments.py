"""Well-formed requests that ask for what cannot be: coded, located, and no fault of ours."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from resolvers.context import Runtime
from tests.support.api_client import GraphQL, token_for

BY_TITLE = "{ movies(orderBy: {field: TITLE}, first: 2) { pageInfo { endCursor } } }"
AFTER = "query ($after: String) { movies(first: 2, after: $after) { nodes { title } } }"


async def the_error(graphql: GraphQL, query: str, **variables: Any) -> dict[str, Any]:
    status, body = await graphql(query, variables)
    assert status == 200
    (error,) = body["errors"]
    assert "Traceback" not in str(body)
    assert len(error["message"]) < 400
    return dict(error)


async def code_of(graphql: GraphQL, query: str, **variables: Any) -> str:
    return str((await the_error(graphql, query, **variables))["extensions"]["code"])


# ---- what the schema does not have, or has of another type


@pytest.mark.parametrize(
    "query",
    [
        "{ nope }",
        "{ movies { nodes { nope } } }",
        "{ movies(nope: 1) { nodes { id } } }",
        "{ movies }",
        "{ __typename { id } }",
        "query ($a: Nope) { movies { nodes { id } } }",
        "{ ...F } fragment F on Nope { id }",
        "{ movies(category: NOPE) { nodes { id } } }",
        "{ movies(orderBy: {field: NOPE}) { nodes { id } } }",
        "{ movies @nope { nodes { id } } }",
        "fragment F on Query { __typename }",
    ],
)
async def test_what_the_schema_does_not_have_is_refused(graphql: GraphQL, query: str) -> None:
    status, body = await graphql(query)
    assert (status, body.keys()) == (200, {"errors"})
    assert {error["extensions"]["code"] for error in body["errors"]} == {"VALIDATION_FAILED"}


@pytest.mark.parametrize(
    "query",
    [
        '{ movies(first: "2") { nodes { id } } }',
        "{ movies(first: 1.5) { nodes { id } } }",
        "{ movies(first: 99999999999) { nodes { id } } }",
        "{ movies(first: " + "9" * 5000 + ") { nodes { id } } }",
        "{ movies(first: true) { nodes { id } } }",
        "{ movies(filter: {genres: [1]}) { nodes { id } } }",
        '{ movies(filter: {language: "!!"}) { nodes { id } } }',
        "{ movies(orderBy: {field: null}) { nodes { id } } }",
        "{ movie(by: null) { id } }",
        "{ movie(by: {}) { id } }",
        "{ movie(by: {id: null}) { id } }",
        '{ movie(by: {id: "movie_1", tmdbId: 1}) { id } }',
        "{ nodes(ids: [null]) { id } }",
    ],
    ids=lambda query: query[:60],
)
async def test_a_literal_of_another_type_is_refused(graphql: GraphQL, query: str) -> None:
    error = await the_error(graphql, query)
    assert error["extensions"] == {"code": "VALIDATION_FAILED"}
    assert "path" not in error


@pytest.mark.parametrize(
    ("type_", "argument", "value"),
    [
        ("Int", "first", "2"),
        ("Int", "first", 1.5),
        ("Int", "first", 1e300),
        ("Int", "first", [1]),
        ("Int", "first", {"a": 1}),
        ("MovieFilter", "filter", {"nope": 1}),
        ("MovieFilter", "filter", {"genres": [[["deep"]]]}),
        ("MovieFilter", "filter", {"genres": {"$ne": None}}),
        ("MovieFilter", "filter", {"language": "not a language"}),
        ("MovieOrder", "orderBy", {"field": None}),
        ("MovieCategory", "category", "nope"),
    ],
    ids=str,
)
async def test_a_variable_of_another_type_is_refused(
    graphql: GraphQL, type_: str, argument: str, value: object
) -> None:
    query = f"query ($v: {type_}) {{ movies({argument}: $v) {{ nodes {{ id }} }} }}"
    error = await the_error(graphql, query, v=value)
    assert error["extensions"] == {"code": "VALIDATION_FAILED"}


@pytest.mark.parametrize("by", [{}, {"id": None}, {"id": "movie_1", "tmdbId": 1}, None], ids=str)
async def test_exactly_one_key_finds_a_film(graphql: GraphQL, by: object) -> None:
    query = "query ($by: MovieBy!) { movie(by: $by) { id } }"
    assert await code_of(graphql, query, by=by) == "VALIDATION_FAILED"


async def test_a_required_variable_is_required(graphql: GraphQL) -> None:
    query = "query ($id: ID!) { node(id: $id) { id } }"
    assert await code_of(graphql, query) == "VALIDATION_FAILED"


async def test_a_variable_nested_900_deep_is_only_of_the_wrong_type(
    client: httpx.AsyncClient,
) -> None:
    query = "query ($g: [String!]) { movies(filter: {genres: $g}) { nodes { id } } }"
    nested = "[" * 900 + "1" + "]" * 900
    body = f'{{"query": "{query}", "variables": {{"g": {nested}}}}}'
    headers = {"content-type": "application/json"}
    response = await client.post("/graphql", content=body, headers=headers)
    (error,) = response.json()["errors"]
    assert (response.status_code, error["extensions"]["code"]) == (200, "VALIDATION_FAILED")


# ---- pages


@pytest.mark.parametrize("name", ["first", "last"])
@pytest.mark.parametrize("size", [0, -1, 101, 2_147_483_647, -2_147_483_648])
async def test_a_page_has_1_to_100_films(graphql: GraphQL, name: str, size: int) -> None:
    error = await the_error(graphql, f"{{ movies({name}: {size}) {{ nodes {{ id }} }} }}")
    assert error["message"] == f"`{name}` must be between 1 and 100."
    assert error["extensions"] == {"code": "VALIDATION_FAILED", "argumentPath": [name]}
    assert error["path"] == ["movies"]


@pytest.mark.parametrize("size", [0, 101])
async def test_credits_are_1_to_100_as_well(
    graphql: GraphQL, demo_catalog: None, size: int
) -> None:
    query = f"{{ movies(first: 1) {{ nodes {{ credits(first: {size}) {{ job }} }} }} }}"
    error = await the_error(graphql, query)
    assert error["path"] == ["movies", "nodes", 0, "credits"]
    assert error["extensions"]["code"] == "VALIDATION_FAILED"


async def test_first_and_last_are_not_given_together(graphql: GraphQL) -> None:
    error = await the_error(graphql, "{ movies(first: 1, last: 1) { nodes { id } } }")
    assert error["message"] == "Give either `first` or `last`, not both."
    assert error["extensions"]["code"] == "VALIDATION_FAILED"


@pytest.mark.parametrize("arguments", ["first: 1, before: $c", "last: 1, after: $c"])
async def test_cursors_go_with_their_direction(graphql: GraphQL, arguments: str) -> None:
    query = f"query ($c: String) {{ movies({arguments}) {{ nodes {{ id }} }} }}"
    assert await code_of(graphql, query, c="x") == "VALIDATION_FAILED"


async def test_a_cursor_of_another_order_is_refused(graphql: GraphQL, demo_catalog: None) -> None:
    _, body = await graphql(BY_TITLE)
    cursor = body["data"]["movies"]["pageInfo"]["endCursor"]
    error = await the_error(graphql, AFTER, after=cursor)
    assert error["message"] == "`after` was made for another order."
    assert error["extensions"] == {"code": "INVALID_CURSOR", "argumentPath": ["after"]}


async def test_an_altered_cursor_is_refused(graphql: GraphQL, demo_catalog: None) -> None:
    _, body = await graphql("{ movies(first: 2) { pageInfo { endCursor } } }")
    cursor = body["data"]["movies"]["pageInfo"]["endCursor"]
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    # when any one byte of it is another
    for index in range(0, len(raw), 5):
        altered = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        after = base64.urlsafe_b64encode(altered).decode().rstrip("=")
        assert await code_of(graphql, AFTER, after=after) == "INVALID_CURSOR"
    # while the whole one is good
    status, answer = await graphql(AFTER, {"after": cursor})
    assert (status, len(answer["data"]["movies"]["nodes"])) == (200, 2)


@pytest.mark.parametrize("cursor", ["", "x", "é", "\0", "AAAA", "%%%", "=" * 9, "A" * 4_000])
async def test_nonsense_is_no_cursor(graphql: GraphQL, cursor: str) -> None:
    error = await the_error(graphql, AFTER, after=cursor)
    assert error["message"] == "`after` is not a cursor of this API."
    assert error["extensions"]["code"] == "INVALID_CURSOR"


# ---- ids

MALFORMED = ["", "x", "movie_", "_1", "film_1", "movie_é", "movie_1\n", "movie_" + "1" * 97]


@pytest.mark.parametrize("id_", MALFORMED)
@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ("node(id: $id)", ["id"]),
        ('nodes(ids: ["movie_1", $id])', ["ids", "1"]),
        ("movie(by: {id: $id})", ...),
        ("person(id: $id)", ...),
    ],
)
async def test_a_malformed_id_is_an_error(
    graphql: GraphQL, field: str, argument: object, id_: str
) -> None:
    query = f"query ($id: ID!) {{ it: {field} {{ id }} }}"
    error = await the_error(graphql, query, id=id_)
    assert error["message"] == "This is not an id of this API."
    assert (error["path"], error["extensions"]["code"]) == (["it"], "VALIDATION_FAILED")
    assert argument in (..., error["extensions"].get("argumentPath"))


async def test_an_unknown_id_is_null_and_no_error(graphql: GraphQL) -> None:
    query = """{
      node(id: "movie_0") { id }
      movie(by: {id: "movie_0"}) { id }
      byTmdb: movie(by: {tmdbId: -5}) { id }
      byImdb: movie(by: {imdbId: "nope\\u0000"}) { id }
      ofAnotherKind: movie(by: {id: "person_0"}) { id }
      person(id: "person_0") { id }
      nodes(ids: ["movie_0", "user_0", "session_0", "progress_0", "show_0"]) { id }
    }"""
    expected = {
        "node": None,
        "movie": None,
        "byTmdb": None,
        "byImdb": None,
        "ofAnotherKind": None,
        "person": None,
        "nodes": [None] * 5,
    }
    assert await graphql(query) == (200, {"data": expected})


async def test_at_most_100_nodes_at_once(graphql: GraphQL) -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert await code_of(graphql, query, ids=["movie_0"] * 101) == "VALIDATION_FAILED"


async def test_filters_that_nothing_fits_find_nothing(graphql: GraphQL, demo_catalog: None) -> None:
    query = "query ($f: MovieFilter) { movies(filter: $f) { nodes { id } } }"
    for nothing in (
        {"genres": ["nope"]},
        {"genres": ["$where"]},
        {"yearFrom": 2_147_483_647, "yearTo": -2_147_483_648},
        {"minRating": 1e308},
    ):
        assert await graphql(query, {"f": nothing}) == (200, {"data": {"movies": {"nodes": []}}})


# ---- documents


async def test_of_several_operations_one_must_be_named(client: httpx.AsyncClient) -> None:
    document = "query A { __typename } query B { __typename }"
    for name in (None, "C"):
        body = {"query": document, "operationName": name}
        response = await client.post("/graphql", json=body)
        (error,) = response.json()["errors"]
        assert response.json().keys() == {"errors"}
        assert error["extensions"]["code"] == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    "document",
    [
        "{ __typename " * 400,
        "{" + "a " * 20_000 + "}",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ ...f0 }"
        + "".join(f" fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(24))
        + " fragment f24 on Query { __typename }",
        "{ movies(filter: {genres: " + "[" * 450 + "]" * 450 + "}) { nodes { id } } }",
        "{ movies { nodes " + "{ similar " * 60 + "{ id }" + "}" * 60 + "} }",
    ],
    ids=["unclosed", "long", "circular", "doubling", "deep list", "deep"],
)
async def test_hostile_documents_are_refused_quickly(graphql: GraphQL, document: str) -> None:
    error = await the_error(graphql, document)
    assert error["extensions"]["code"] in ("VALIDATION_FAILED", "COST_LIMIT_EXCEEDED")


# ---- who may what


async def test_subscriptions_do_not_run_over_http(client: httpx.AsyncClient) -> None:
    body = {"query": "subscription { liveMetrics { cursor } }"}
    response = await client.post("/graphql", json=body)
    (error,) = response.json()["errors"]
    assert (response.status_code, error["extensions"]["code"]) == (400, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    ("is_signed_in", "code"), [(False, "UNAUTHENTICATED"), (True, "SESSION_NOT_FOUND")]
)
async def test_progress_needs_a_viewer_and_a_session(
    graphql: GraphQL, runtime: Runtime, is_signed_in: bool, code: str
) -> None:
    token = token_for(runtime) if is_signed_in else None
    query = """mutation { reportProgress(
      input: {sessionId: "session_0", sequence: 1, positionSeconds: 1}) { errors { code } } }"""
    status, body = await graphql(query, token=token)
    assert status == 200
    assert f"'{code}'" in str(body)
