"""GraphQL over HTTP as it should go: methods, media types, statuses and headers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from resolvers.context import Runtime
from tests.support.api_client import GraphQL, token_for

JSON = "application/json; charset=utf-8"
GRAPHQL_JSON = "application/graphql-response+json; charset=utf-8"
ASK = "{ __typename }"
ANSWER = {"data": {"__typename": "Query"}}
MUTATION = 'mutation { login(input: {email: "a@b.test", password: "x"}) { errors { code } } }'


def code_of(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    code: str = error["extensions"]["code"]
    return code


async def test_a_query_is_posted(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": ASK})
    assert (response.status_code, response.json()) == (200, ANSWER)
    assert response.headers["content-type"] == JSON
    assert response.headers["cache-control"] == "no-store"
    assert "Accept" in response.headers["vary"]


async def test_a_query_is_gotten_with_its_variables(
    client: httpx.AsyncClient, demo_catalog: None
) -> None:
    document = "query A($n: Int) { movies(first: $n) { nodes { title } } } query B { __typename }"
    parameters = {"query": document, "variables": '{"n": 1}', "operationName": "A"}
    response = await client.get("/graphql", params=parameters)
    assert response.json() == {"data": {"movies": {"nodes": [{"title": "Metropolis"}]}}}


@pytest.mark.parametrize(
    "address",
    [
        "query={q}&",
        "&query={q}",
        "query={q}&&variables=%7B%7D",
        "&&query={q}&&&",
        "query={q}&utm_source",
        "flag&query={q}&=&other=",
    ],
)
async def test_empty_parts_of_an_address_are_ignored(
    client: httpx.AsyncClient, address: str
) -> None:
    response = await client.get("/graphql?" + address.format(q="%7B__typename%7D"))
    assert (response.status_code, response.json()) == (200, ANSWER)


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    response = await client.head("/graphql", params={"query": ASK})
    whole = await client.get("/graphql", params={"query": ASK})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_mutations_need_post(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/graphql", params={"query": MUTATION})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert method == "HEAD" or code_of(response) == "VALIDATION_FAILED"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW", "QUERY"])
async def test_other_methods_get_an_allow_header(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/graphql", json={"query": ASK})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
    assert code_of(response) == "VALIDATION_FAILED"


async def test_options_tells_the_methods(client: httpx.AsyncClient) -> None:
    response = await client.options("/graphql")
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert "content-length" not in response.headers


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/json", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("", JSON),
        ("application/graphql-response+json", GRAPHQL_JSON),
        ("application/json, application/graphql-response+json", GRAPHQL_JSON),
        ("application/graphql-response+json; q=0.5, application/json", JSON),
        ("application/graphql-response+json;q=0, */*;q=0.1", JSON),
        # what urql and Apollo send
        (
            "application/graphql-response+json, application/graphql+json, application/json, "
            "text/event-stream, multipart/mixed",
            GRAPHQL_JSON,
        ),
        ("application/graphql-response+json,application/json;q=0.9", GRAPHQL_JSON),
    ],
)
async def test_the_answer_is_of_the_type_the_client_wants(
    client: httpx.AsyncClient, accept: str, content_type: str
) -> None:
    response = await client.post("/graphql", json={"query": ASK}, headers={"accept": accept})
    assert (response.status_code, response.json()) == (200, ANSWER)
    assert response.headers["content-type"] == content_type


@pytest.mark.parametrize(
    "accept", ["text/html", "image/png", "nonsense", "application/json;q=0", "*/*;q=x"]
)
async def test_a_type_we_do_not_have_is_not_acceptable(
    client: httpx.AsyncClient, accept: str
) -> None:
    response = await client.post("/graphql", json={"query": ASK}, headers={"accept": accept})
    assert (response.status_code, code_of(response)) == (406, "VALIDATION_FAILED")
    assert response.headers["content-type"] == JSON


@pytest.mark.parametrize(
    "document",
    ["{", "{ nope }", "query ($n: Int!) { movies(first: $n) { nodes { id } } }", "query A{a} {b}"],
)
@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (GRAPHQL_JSON, 400)])
async def test_what_cannot_run_has_no_data_and_the_status_of_its_type(
    client: httpx.AsyncClient, document: str, accept: str, status: int
) -> None:
    headers = {"accept": accept.partition(";")[0]}
    response = await client.post("/graphql", json={"query": document}, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (status, accept)
    assert response.json().keys() == {"errors"}
    codes = {error["extensions"]["code"] for error in response.json()["errors"]}
    assert codes == {"VALIDATION_FAILED"}


async def test_a_field_that_fails_leaves_status_200_and_its_siblings(
    client: httpx.AsyncClient,
) -> None:
    headers = {"accept": "application/graphql-response+json"}
    ask = {"query": '{ bad: node(id: "?") { id } __typename }'}
    response = await client.post("/graphql", json=ask, headers=headers)
    assert response.status_code == 200
    assert response.json()["data"] == {"bad": None, "__typename": "Query"}
    assert code_of(response) == "VALIDATION_FAILED"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; profile=x",
        "application/json; profile=x; charset=utf-8",
    ],
)
async def test_json_is_json_however_it_is_written(
    client: httpx.AsyncClient, content_type: str
) -> None:
    body = json.dumps({"query": ASK})
    headers = {"content-type": content_type}
    response = await client.post("/graphql", content=body, headers=headers)
    assert response.json() == ANSWER


@pytest.mark.parametrize(
    "parts",
    [
        {"variables": None, "operationName": None, "extensions": None},
        {"variables": {}, "operationName": "", "extensions": {}},
        {"unknown": 1},
    ],
)
async def test_null_and_empty_parts_are_as_good_as_absent(
    client: httpx.AsyncClient, parts: dict[str, Any]
) -> None:
    response = await client.post("/graphql", json={"query": ASK, **parts})
    assert response.json() == ANSWER


async def test_the_operation_named_is_the_one_that_runs(client: httpx.AsyncClient) -> None:
    document = "query A { a: __typename } query B { b: __typename }"
    response = await client.post("/graphql", json={"query": document, "operationName": "B"})
    assert response.json() == {"data": {"b": "Query"}}


async def test_of_equal_keys_the_last_counts(client: httpx.AsyncClient) -> None:
    body = '{"query": "{ nope }", "query": "{ __typename }"}'
    headers = {"content-type": "application/json"}
    response = await client.post("/graphql", content=body, headers=headers)
    assert response.json() == ANSWER


@pytest.mark.parametrize(
    "request_id", ["proxy-1234.abc", "short", "x" * 65, "eight or more", 'a"b{c}d<e>']
)
async def test_a_client_s_request_id_is_never_ours(
    client: httpx.AsyncClient, request_id: str
) -> None:
    first = await client.post("/graphql", json={"query": ASK}, headers={"x-request-id": request_id})
    second = await client.post(
        "/graphql", json={"query": ASK}, headers={"x-request-id": request_id}
    )
    ids = {first.headers["x-request-id"], second.headers["x-request-id"]}
    assert len(ids) == 2
    assert {len(id_) for id_ in ids} == {16}


async def test_refused_requests_have_an_id_as_well(client: httpx.AsyncClient) -> None:
    for response in (await client.get("/nowhere"), await client.put("/graphql")):
        assert len(response.headers["x-request-id"]) == 16


async def test_an_access_token_says_who_asks(graphql: GraphQL, runtime: Runtime) -> None:
    # given a token of an account that has been deleted since
    status, body = await graphql("{ viewer { email } }", token=token_for(runtime))
    # then it is a good token still, of nobody
    assert (status, body) == (200, {"data": {"viewer": None}})


async def test_large_answers_are_compressed(client: httpx.AsyncClient, demo_catalog: None) -> None:
    ask = {"query": "{ movies(first: 100) { nodes { title overview } } }"}
    response = await client.post("/graphql", json=ask, headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert {"Accept", "Accept-Encoding"} <= set(response.headers["vary"].split(", "))
    assert len(response.json()["data"]["movies"]["nodes"]) == 100
