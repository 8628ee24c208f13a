"""Answers are compressed for the clients' own headers, unless they do not want that."""

from __future__ import annotations

import httpx
import pytest

ASK = {"query": "{ movies(first: 60) { nodes { title overview } } }"}
APOLLO_4 = "application/graphql-response+json,application/json;q=0.9"
URQL_6 = (
    "application/graphql-response+json, application/graphql+json, application/json, "
    "text/event-stream, multipart/mixed"
)
BROWSER = "gzip, deflate, br, zstd"


@pytest.mark.parametrize("accept", [APOLLO_4, URQL_6, "application/json", "*/*"])
@pytest.mark.parametrize(
    ("encodings", "coding"), [(BROWSER, "zstd"), ("gzip, deflate, br", "br"), ("gzip", "gzip")]
)
async def test_answers_of_both_types_are_compressed(
    client: httpx.AsyncClient, demo_catalog: None, accept: str, encodings: str, coding: str
) -> None:
    headers = {"accept": accept, "accept-encoding": encodings}
    async with client.stream("POST", "/graphql", json=ASK, headers=headers) as response:
        size = len(b"".join([part async for part in response.aiter_raw()]))
    plain = await client.post("/graphql", json=ASK, headers={"accept-encoding": "identity"})
    assert response.headers["content-encoding"] == coding
    assert size < len(plain.content) / 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("value", ["1", "true", ""])
async def test_a_request_may_ask_for_no_compression(
    client: httpx.AsyncClient, demo_catalog: None, method: str, value: str
) -> None:
    headers = {"accept": APOLLO_4, "accept-encoding": BROWSER, "x-no-compression": value}
    part = {"params": ASK} if method == "GET" else {"json": ASK}
    response = await client.request(method, "/graphql", headers=headers, **part)  # type: ignore[arg-type]
    assert "content-encoding" not in response.headers
    assert len(response.json()["data"]["movies"]["nodes"]) == 60


async def test_no_compression_holds_for_every_route(
    client: httpx.AsyncClient, demo_catalog: None
) -> None:
    ask = {"query": "{ movies(first: 1) { nodes { poster { url } } } }"}
    (film,) = (await client.post("/graphql", json=ask)).json()["data"]["movies"]["nodes"]
    path = httpx.URL(film["poster"]["url"]).path
    headers = {"accept-encoding": "gzip"}
    assert (await client.get(path, headers=headers)).headers["content-encoding"] == "gzip"
    plain = await client.get(path, headers={**headers, "x-no-compression": "1"})
    assert (plain.status_code, "content-encoding" in plain.headers) == (200, False)
