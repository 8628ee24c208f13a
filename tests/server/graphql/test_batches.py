"""Several operations in one POST, where a setting allows it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from resolvers.context import Runtime
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from tests.support.api_client import connect_runtime
from tests.support.runtimes import with_changes

NOW = 1_800_000_000.0
ASK = {"query": "{ __typename }"}
FILMS = {"query": "{ movies(first: 1) { nodes { title } } }"}
LOGIN = {
    "query": 'mutation { login(input: {email: "a@b.test", password: "x"}) { errors { code } } }'
}
LOGIN_IN_FRAGMENT = {
    "query": """mutation { ...F } fragment F on Mutation {
      login(input: {email: "a@b.test", password: "x"}) { errors { code } } }"""
}
LOGOUT = {"query": "mutation { logout(input: {}) { errors { code } } }"}
MOST = 3


async def connect(runtime: Runtime, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    changes = {"http_batch_operations": MOST, **changes}
    settings = runtime.settings.model_copy(update=changes)
    limiter = RateLimiter(settings, SlidingWindows(runtime.redis, lambda: NOW))
    limited = with_changes(runtime, settings=settings, ops={"rate_limiter": limiter})
    async with connect_runtime(limited) as client:
        yield client


@pytest.fixture
async def batching(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    async for client in connect(runtime):
        yield client


async def test_answers_come_in_order_each_as_if_alone(
    batching: httpx.AsyncClient, demo_catalog: None
) -> None:
    response = await batching.post("/graphql", json=[FILMS, {"query": "{ nope }"}, 5])
    assert response.status_code == 200
    films, invalid, no_request = response.json()
    assert films == {"data": {"movies": {"nodes": [{"title": "Metropolis"}]}}}
    for refused in (invalid, no_request):
        assert refused.keys() == {"errors"}
        assert refused["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"
    assert response.headers["cache-control"] == "no-store"


async def test_a_batch_of_one_is_an_array_of_one(batching: httpx.AsyncClient) -> None:
    response = await batching.post("/graphql", json=[ASK])
    assert response.json() == [{"data": {"__typename": "Query"}}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "A batch has at least one operation."),
        ([ASK] * (MOST + 1), "A batch has at most 3 operations."),
        ([LOGIN, LOGIN], "A batch holds at most one operation with any of "),
        ([LOGIN, ASK, LOGIN_IN_FRAGMENT], "A batch holds at most one operation with any of "),
    ],
)
async def test_a_batch_has_bounds(
    batching: httpx.AsyncClient, body: list[Any], message: str
) -> None:
    response = await batching.post("/graphql", json=body)
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["message"].startswith(message)


async def test_one_sign_in_may_come_with_other_operations(batching: httpx.AsyncClient) -> None:
    response = await batching.post("/graphql", json=[LOGIN, ASK])
    login, asked = response.json()
    assert login["data"]["login"]["errors"] == [{"code": "INVALID_CREDENTIALS"}]
    assert asked == {"data": {"__typename": "Query"}}


async def test_without_the_setting_there_are_none(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json=[ASK])
    assert response.status_code == 400
    assert "batches are not taken" in response.json()["errors"][0]["message"]


async def test_each_operation_of_a_batch_counts(runtime: Runtime) -> None:
    # given two operations a minute
    limits = {"rate_limit_mode": "enforce", "rate_limit_anonymous_max_requests": 2}
    async for client in connect(runtime, **limits):
        # when three come in one batch
        response = await client.post("/graphql", json=[ASK] * 3)
        # then the third is refused, and the answer says that none is left
        *allowed, refused = response.json()
        assert allowed == [{"data": {"__typename": "Query"}}] * 2
        assert refused["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert response.headers["ratelimit"].startswith('"anonymous";r=0;')
        assert response.status_code == 200


async def test_a_batch_is_not_taken_by_address(batching: httpx.AsyncClient) -> None:
    response = await batching.get("/graphql", params={"query": json.dumps([ASK])})
    assert response.json().keys() == {"errors"}
