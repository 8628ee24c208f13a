"""Headers in several lines mean what one line with all of them means; some may come only once."""

from __future__ import annotations

import httpx
import pytest

from resolvers.context import Runtime
from server.middleware.header_lines import combine_lines
from tests.support.api_client import token_for

ASK = {"query": "{ __typename }"}
GRAPHQL_JSON = "application/graphql-response+json; charset=utf-8"
Lines = list[tuple[str, str]]


@pytest.mark.parametrize(
    "accept",
    [
        ["application/json", "text/html"],
        ["text/html", "application/json"],
        ["image/png", "*/*;q=0.1", "text/css"],
    ],
)
async def test_each_line_of_accept_counts(client: httpx.AsyncClient, accept: list[str]) -> None:
    lines: Lines = [("accept", value) for value in accept]
    response = await client.post("/graphql", json=ASK, headers=lines)
    assert (response.status_code, response.json()) == (200, {"data": {"__typename": "Query"}})


async def test_the_preferred_type_may_stand_in_any_line(client: httpx.AsyncClient) -> None:
    own, plain = "application/graphql-response+json", "application/json;q=0.9"
    for lines in ([("accept", own), ("accept", plain)], [("accept", plain), ("accept", own)]):
        response = await client.post("/graphql", json=ASK, headers=lines)
        assert response.headers["content-type"] == GRAPHQL_JSON


@pytest.mark.parametrize("path", ["/graphql?query=%7Bgenres%7Bname%7D%7D", "poster"])
async def test_each_line_of_if_none_match_counts(
    client: httpx.AsyncClient, demo_catalog: None, path: str
) -> None:
    # given the tag of a public answer, or of a file
    if path == "poster":
        ask = {"query": "{ movies(first: 1) { nodes { poster { url } } } }"}
        (film,) = (await client.post("/graphql", json=ask)).json()["data"]["movies"]["nodes"]
        path = httpx.URL(film["poster"]["url"]).path
    etag = ""
    for _ in range(2):
        etag = (await client.get(path)).headers.get("etag", "")
    assert etag
    # when it comes in one of several lines
    first: Lines = [("if-none-match", etag), ("if-none-match", '"another"')]
    last: Lines = [("if-none-match", '"a", "b"'), ("if-none-match", etag)]
    neither: Lines = [("if-none-match", '"a"'), ("if-none-match", '"b"')]
    # then it is found
    statuses = [(await client.get(path, headers=one)).status_code for one in (first, last, neither)]
    assert statuses == [304, 304, 200]


@pytest.mark.parametrize("name", ["authorization", "content-type", "origin"])
async def test_a_header_of_one_value_comes_once(
    client: httpx.AsyncClient, runtime: Runtime, name: str
) -> None:
    value = {
        "authorization": f"Bearer {token_for(runtime)}",
        "content-type": "application/json",
        "origin": "https://app.example",
    }[name]
    request = client.build_request("POST", "/graphql", json=ASK)
    request.headers = httpx.Headers(
        [*[one for one in request.headers.multi_items() if one[0] != name], (name, value)]
    )
    assert (await client.send(request)).status_code == 200
    # when the same value comes twice
    request = client.build_request("POST", "/graphql", json=ASK)
    request.headers = httpx.Headers(
        [*[one for one in request.headers.multi_items() if one[0] != name], *[(name, value)] * 2]
    )
    response = await client.send(request)
    # then it is refused as GraphQL
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["message"] == f"A request has one {name.title()} header."
    assert error["extensions"]["code"] == "VALIDATION_FAILED"
    assert "x-request-id" in response.headers


async def test_a_repeated_token_is_refused_on_every_route(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    lines: Lines = [("authorization", f"Bearer {token_for(runtime)}")] * 2
    for path in ("/health", "/media/a/b/c", "/art/posters/a.svg", "/nowhere"):
        assert (await client.get(path, headers=lines)).status_code == 400, path


def test_cookies_are_joined_as_cookies_and_lists_as_lists() -> None:
    lines = [
        (b"cookie", b"a=1"),
        (b"accept", b"x/y"),
        (b"cookie", b"b=2; c=3"),
        (b"host", b"test"),
        (b"accept", b"*/*"),
    ]
    assert combine_lines(lines) == [
        (b"cookie", b"a=1; b=2; c=3"),
        (b"accept", b"x/y, */*"),
        (b"host", b"test"),
    ]
