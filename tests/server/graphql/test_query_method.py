"""The method QUERY, where a setting allows it: a body as POST has it, safe as GET is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from resolvers.context import Runtime
from tests.support.api_client import connect_runtime, token_for

ASK = {"query": "query ($first: Int) { movies(first: $first) { nodes { title } } }"}
MUTATION = {"query": "mutation { logout(input: {}) { errors { code } } }"}
ORIGIN = "https://web.test"


@pytest.fixture
async def asking(runtime: Runtime, demo_catalog: None) -> AsyncIterator[httpx.AsyncClient]:
    changes = {"http_query_method": True, "cors_origin": ORIGIN}
    settings = runtime.settings.model_copy(update=changes)
    async with connect_runtime(replace(runtime, settings=settings)) as client:
        yield client


async def test_a_query_is_answered_as_by_post_and_cached_as_by_get(
    asking: httpx.AsyncClient,
) -> None:
    body = {**ASK, "variables": {"first": 1}}
    response = await asking.request("QUERY", "/graphql", json=body)
    posted = await asking.post("/graphql", json=body)
    assert (response.status_code, response.json()) == (200, posted.json())
    assert response.headers["cache-control"].startswith("public, max-age=")
    assert posted.headers["cache-control"] == "no-store"
    # when it is asked again with the answer's tag
    headers = {"if-none-match": response.headers["etag"]}
    again = await asking.request("QUERY", "/graphql", json=body, headers=headers)
    # then there is nothing new
    assert (again.status_code, again.content) == (304, b"")


async def test_a_mutation_needs_post(asking: httpx.AsyncClient) -> None:
    response = await asking.request("QUERY", "/graphql", json=MUTATION)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_its_body_is_json_of_a_bounded_size(asking: httpx.AsyncClient) -> None:
    response = await asking.request("QUERY", "/graphql", content=b"{}")
    assert response.status_code == 415
    response = await asking.request("QUERY", "/graphql", json={"query": "#" * 300_000})
    assert response.status_code == 413
    response = await asking.request("QUERY", "/graphql", json=[ASK])
    assert response.status_code == 400


async def test_cookies_without_our_header_are_not_read(
    asking: httpx.AsyncClient, runtime: Runtime
) -> None:
    viewer = {"query": "{ viewer { id } }"}
    headers = {"cookie": f"marquee_access={token_for(runtime)}"}
    response = await asking.request("QUERY", "/graphql", json=viewer, headers=headers)
    (error,) = response.json().get("errors", [{"extensions": {"code": None}}])
    assert error["extensions"]["code"] in (None, "UNAUTHENTICATED")
    assert not (response.json().get("data") or {}).get("viewer")


async def test_options_and_preflights_tell_of_it(asking: httpx.AsyncClient) -> None:
    response = await asking.options("/graphql")
    assert response.headers["allow"] == "GET, HEAD, POST, QUERY, OPTIONS"
    assert response.headers["accept-query"] == "application/json"
    headers = {"origin": ORIGIN, "access-control-request-method": "QUERY"}
    preflight = await asking.options("/graphql", headers=headers)
    assert preflight.status_code == 200
    assert "QUERY" in preflight.headers["access-control-allow-methods"]
