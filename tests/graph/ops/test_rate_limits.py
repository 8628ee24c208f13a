"""Cost as the graph counts it: what is reserved, what it came to, and who is told."""

from __future__ import annotations

from typing import Any

import pytest

import models
from graph.engine.answers import Answers
from graph.engine.operations import Answer, Operations, Prepared, Request
from graph.schema import open_documents
from resolvers.context import Context, Runtime
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from services.redis.pool import Client
from tests.support import titles
from tests.support.processes import until
from tests.support.runtimes import with_changes

NOW = 1_800_000_000.0
FILMS = """
query ($first: Int) {
  movies(first: $first) { totalCount { value } nodes { title genres { name } } }
}
"""


class Limited:
    """Operations on a runtime whose limits are `changes`, each by a context of its own."""

    def __init__(self, runtime: Runtime, *, by_plan: bool = True, **changes: Any) -> None:
        settings = runtime.settings.model_copy(
            update={"rate_limit_mode": "enforce", "graphql_introspection": True, **changes}
        )
        windows = SlidingWindows(runtime.redis, lambda: NOW)
        limiter = RateLimiter(settings, windows)
        self.runtime = with_changes(
            runtime, settings=settings, ops={"rate_limiter": limiter}, clock=lambda: NOW
        )
        self.operations = Operations(
            open_documents(settings),
            by_plan=by_plan,
            deadline_seconds=5,
            answers=Answers(runtime.cache),
        )

    async def __call__(self, query: str, **variables: Any) -> Answer:
        return await self.ask(Request(query, variables))

    async def ask(self, request: Request, address: str = "192.0.2.1") -> Answer:
        self.context = Context(self.runtime, client_address=address)
        admitted = await self.operations.admit(request, self.context)
        if isinstance(admitted, Prepared):
            return await self.operations.run(admitted, self.context)
        return admitted

    async def read_cost(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = await self.ask(Request(query, variables, include_cost=True))
        assert answer.errors == []
        assert answer.extensions is not None
        cost: dict[str, Any] = answer.extensions["cost"]
        return cost


async def points(redis: Client, key: str = "ratelimit:ANONYMOUS:192.0.2.1") -> int:
    stored = await redis.get(key)
    return int(stored.split()[3]) if stored else 0


@pytest.fixture
async def films(runtime: Runtime) -> None:
    """Three, of two genres together."""
    await models.Genre.insert_many([titles.genre("drama"), titles.genre("comedy")])
    drama, comedy = (models.ids.of_genre(slug) for slug in ("drama", "comedy"))
    await models.Movie.insert_many(
        [
            titles.film(1, genre_ids=[drama]),
            titles.film(2, genre_ids=[drama, comedy]),
            titles.film(3, genre_ids=[comedy]),
        ]
    )


@pytest.mark.usefixtures("films")
async def test_an_operation_costs_what_it_built_not_what_it_might_have(
    runtime: Runtime, redis: Client
) -> None:
    # given room for 20 films, of which there are 3
    limited = Limited(runtime)
    cost = await limited.read_cost(FILMS, first=20)
    # then it came to a page, its count, three films and their two genres, each built once
    assert cost["actual"] == 1 + (1 + cost_of_count(limited)) + 3 + 2
    assert cost["requested"] > cost["actual"]
    assert cost["remaining"] == cost["limit"] - cost["actual"] == 50_000 - cost["actual"]
    assert cost["resetAt"] == "2027-01-15T08:02:00.000Z"
    # and the difference is given back
    await limited.runtime.ops.rate_limiter.aclose()
    assert await points(redis) == cost["actual"]


def cost_of_count(limited: Limited) -> int:
    """What @cost adds for `totalCount`."""
    schema = limited.operations.documents.schema
    field = schema.type_map["MovieConnection"].fields["totalCount"]  # type: ignore[attr-defined]
    cost: int = field.extensions["strawberry-definition"].spec.cost
    return cost


@pytest.mark.usefixtures("films")
async def test_cost_is_sent_only_on_request(runtime: Runtime) -> None:
    limited = Limited(runtime)
    assert (await limited(FILMS, first=2)).extensions is None
    # and an answer that tells it is not kept
    cost = await limited.read_cost("{ movies(first: 3) { nodes { title } } }")
    answer = await limited("{ movies(first: 3) { nodes { title } } }")
    assert cost["actual"] == 4
    assert b"extensions" not in answer.encoded()


@pytest.mark.usefixtures("films")
async def test_a_cached_answer_costs_one_point(runtime: Runtime, redis: Client) -> None:
    # given an answer that is kept, which may take a moment after films were written
    limited, request = Limited(runtime), Request(FILMS, {"first": 2})

    async def is_cached() -> bool:
        await limited.ask(request)
        return isinstance(limited.operations.prepare(request, Context(runtime)), Answer)

    await until(is_cached, 10)
    await limited.runtime.ops.rate_limiter.aclose()
    before = await points(redis)
    # when it is asked for
    cached = await limited.ask(request)
    # then it counts as one operation of one point
    await limited.runtime.ops.rate_limiter.aclose()
    assert cached.stored is not None
    assert await points(redis) == before + 1
    # and who wants to know what it costs is told, which takes running it
    assert (await limited.read_cost(FILMS, first=2))["actual"] > 1


async def test_what_is_not_valid_counts_too(runtime: Runtime, redis: Client) -> None:
    limited = Limited(runtime, rate_limit_anonymous_max_requests=2)
    for _ in range(2):
        (error,) = (await limited("{ noSuchField }")).errors
        assert error["extensions"]["code"] != "RATE_LIMITED"
    (error,) = (await limited("{ noSuchField }")).errors
    assert error["extensions"]["code"] == "RATE_LIMITED"


async def test_over_the_limit_nothing_runs(runtime: Runtime, redis: Client) -> None:
    limited = Limited(runtime, rate_limit_anonymous_max_requests=1)
    await limited("{ __typename }")
    # when a mutation comes over the limit
    answer = await limited("mutation { logout { errors { code } } }")
    # then there is one error, and when to come back
    (error,) = answer.errors
    assert (answer.started, answer.data) == (False, None)
    assert error["message"] == "Too many operations in a short time: wait a little."
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert 60 <= error["extensions"]["retryAfterSeconds"] <= 120
    assert (await redis.get("ratelimit:ANONYMOUS:192.0.2.1")).split()[1] == b"1"
    # and another address is served
    other = await limited.ask(Request("{ __typename }", {}), "192.0.2.2")
    assert other.data == {"__typename": "Query"}


async def test_too_costly_an_operation_says_so(runtime: Runtime) -> None:
    limited = Limited(runtime, rate_limit_anonymous_max_cost=10)
    (error,) = (await limited(FILMS, first=50)).errors
    assert error["message"] == "Too many cost points in a short time: wait a little."
    assert (await limited("{ __typename }")).errors == []


@pytest.mark.parametrize("by_plan", [True, False])
async def test_the_viewer_sees_what_is_left(runtime: Runtime, by_plan: bool) -> None:
    limited = Limited(runtime, by_plan=by_plan)
    query = (
        "{ rateLimit { __typename tier limit remaining resetAt costLimit costRemaining"
        " requestedCost } }"
    )
    await limited("{ __typename }")
    answer = await limited(query)
    assert answer.data == {
        "rateLimit": {
            "__typename": "RateLimit",
            "tier": "FREE",
            "limit": 100,
            "remaining": 98,
            "resetAt": "2027-01-15T08:02:00.000Z",
            "costLimit": 50_000,
            "costRemaining": 50_000 - 1,
            "requestedCost": 1,
        }
    }


async def test_where_nothing_is_counted_there_is_no_rate_limit(runtime: Runtime) -> None:
    limited = Limited(runtime, rate_limit_mode="off")
    assert (await limited("{ rateLimit { limit } }")).data == {"rateLimit": None}
    # and a cost is told without one
    assert await limited.read_cost("{ rateLimit { limit } }") == {"requested": 1, "actual": 0}


async def test_what_graphql_core_runs_is_charged_as_reserved(
    runtime: Runtime, redis: Client
) -> None:
    limited = Limited(runtime)
    cost = await limited.read_cost("{ __schema { types { name } } rateLimit { limit } }")
    assert cost["actual"] == cost["requested"]


@pytest.mark.usefixtures("films")
async def test_cost_and_cache_are_sent_side_by_side(runtime: Runtime) -> None:
    limited = Limited(runtime)
    answer = await limited.ask(
        Request(FILMS, {"first": 1}, include_cache_hits=True, include_cost=True)
    )
    assert (answer.extensions or {}).keys() == {"cache", "cost"}
