"""Statuses in both profiles: as the suite graphql-http has them, and as the specification does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

import httpx
import pytest

from resolvers.context import Runtime
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from tests.support.api_client import connect_runtime
from tests.support.runtimes import with_changes

JSON, GRAPHQL_JSON = "application/json", "application/graphql-response+json"
NOW = 1_800_000_000.0
MUTATION = "mutation { logout(input: {}) { errors { code } } }"
NEEDS_INT = "query ($n: Int!) { movies(first: $n) { totalCount } }"
TWO = "query A { a: __typename } query B { b: __typename }"


class Row(NamedTuple):
    """What is sent, and its status: for JSON in both profiles, then for the type of its own."""

    name: str
    sent: dict[str, Any] | bytes
    json: int
    audit: int
    draft: int
    json_draft: int | None = None  # where the draft has another one for JSON, too


ROWS = [
    Row("success", {"query": "{ __typename }"}, 200, 200, 200),
    Row("partial success", {"query": '{ node(id: "?") { id } __typename }'}, 200, 200, 294),
    Row("no data, but executed", {"query": '{ node(id: "?") { id } }'}, 200, 200, 294),
    Row("no JSON", b"NONSENSE", 400, 400, 400),
    Row("JSON that ends early", b'{"query":', 400, 400, 400),
    Row("no object", b"[1]", 400, 400, 422, 422),
    Row("no document", {"qeury": "{ __typename }"}, 400, 400, 422, 422),
    Row("variables of a wrong shape", {"query": NEEDS_INT, "variables": [7]}, 400, 400, 422, 422),
    Row("no syntax", {"query": "{"}, 200, 400, 400),
    Row("an unknown field", {"query": "{ nope }"}, 200, 400, 422),
    Row("too deep", {"query": "{a" * 40 + "}" * 40}, 200, 400, 422),
    Row("no such operation", {"query": "query A{a}", "operationName": "B"}, 200, 400, 422),
    Row("which operation?", {"query": TWO}, 200, 400, 422),
    Row("a missing variable", {"query": NEEDS_INT}, 200, 400, 422),
    Row("a variable of another type", {"query": NEEDS_INT, "variables": {"n": "x"}}, 200, 400, 422),
    Row("an unknown id", {"documentId": "0" * 64}, 200, 400, 422),
]  # fmt: skip


@pytest.fixture
async def draft(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    settings = runtime.settings.model_copy(update={"http_profile": "draft"})
    async with connect_runtime(replace(runtime, settings=settings)) as client:
        yield client


async def post(client: httpx.AsyncClient, row: Row, accept: str) -> int:
    body = row.sent if isinstance(row.sent, bytes) else json.dumps(row.sent).encode()
    headers = {"accept": accept, "content-type": "application/json"}
    response = await client.post("/graphql", content=body, headers=headers)
    assert response.headers["content-type"].startswith(accept)
    assert ("data" in response.json()) == (row.audit == 200)
    return response.status_code


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_the_audit_profile(client: httpx.AsyncClient, row: Row) -> None:
    assert await post(client, row, JSON) == row.json
    assert await post(client, row, GRAPHQL_JSON) == row.audit


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_the_draft_profile(draft: httpx.AsyncClient, row: Row) -> None:
    assert await post(draft, row, JSON) == (row.json_draft or row.json)
    assert await post(draft, row, GRAPHQL_JSON) == row.draft


@pytest.mark.parametrize(
    ("method", "options", "status", "headers"),
    [
        ("GET", {"params": {"query": MUTATION}}, 405, {"allow": "POST"}),
        ("PUT", {"json": {}}, 405, {"allow": "GET, HEAD, POST, OPTIONS"}),
        ("POST", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, {}),
        ("POST", {"json": {}, "headers": {"accept": "text/html"}}, 406, {}),
        ("POST", {"json": {"query": "#" * 300_000}}, 413, {}),
        ("POST", {"json": {}, "headers": {"authorization": "Bearer x"}}, 422, {}),
        (
            "POST",
            {"json": {"query": "{ __typename }"}, "headers": {"authorization": "Bearer x"}},
            401,
            {"www-authenticate": 'Bearer error="invalid_token"'},
        ),
    ],
)
async def test_what_the_draft_refuses_before_it_reads_a_document(
    draft: httpx.AsyncClient,
    method: str,
    options: dict[str, Any],
    status: int,
    headers: dict[str, str],
) -> None:
    options = {"headers": {"accept": GRAPHQL_JSON}, **options}
    response = await draft.request(method, "/graphql", **options)
    assert response.status_code == status
    assert {name: response.headers[name] for name in headers} == headers


async def test_who_is_over_the_limit_is_told_so_by_the_draft(runtime: Runtime) -> None:
    # given one operation a minute
    changes = {
        "http_profile": "draft",
        "rate_limit_mode": "enforce",
        "rate_limit_anonymous_max_requests": 1,
    }
    settings = runtime.settings.model_copy(update=changes)
    limiter = RateLimiter(settings, SlidingWindows(runtime.redis, lambda: NOW))
    limited = with_changes(runtime, settings=settings, ops={"rate_limiter": limiter})
    async with connect_runtime(limited) as client:
        ask = {"json": {"query": "{ __typename }"}, "headers": {"accept": GRAPHQL_JSON}}
        # when two are asked for
        responses = [await client.post("/graphql", **ask) for _ in range(2)]  # type: ignore[arg-type]
    # then the second has to wait
    assert [one.status_code for one in responses] == [200, 429]
    assert int(responses[1].headers["retry-after"]) > 0
