"""Automatic persisted queries: a miss, a registration, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

import models
from resolvers.context import Runtime
from services.limits.abuse_rules import Signal
from services.limits.abuse_watch import AbuseWatch
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows
from services.redis.pool import Client
from tests.support.api_client import connect_runtime
from tests.support.documents import (
    NOT_FOUND,
    REQUIRED,
    by_hash,
    code_of,
    encode_parts,
    sha256_of,
)
from tests.support.runtimes import with_changes

TEXT = "query Kind { __typename }"
KIND = {"data": {"__typename": "Query"}}


@asynccontextmanager
async def connect(runtime: Runtime, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a process of its own, with limits."""
    changed = runtime.settings.model_copy(update=settings)
    ops = {
        "rate_limiter": RateLimiter(changed, SlidingWindows(runtime.redis)),
        "abuse_watch": AbuseWatch(changed, runtime.redis),
    }
    async with connect_runtime(with_changes(runtime, settings=changed, ops=ops)) as client:
        yield client


async def test_a_hash_is_unknown_until_its_text_came_with_it(client: httpx.AsyncClient) -> None:
    # given a hash that nobody registered, asked for in both ways
    asked = by_hash(TEXT)
    assert code_of(await client.get("/graphql", params=encode_parts(asked))) == NOT_FOUND
    answer = await client.post("/graphql", json=asked)
    assert code_of(answer) == NOT_FOUND
    assert answer.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    # when the text comes with it
    assert (await client.post("/graphql", json=by_hash(TEXT, with_text=True))).json() == KIND
    # then the hash is enough
    assert (await client.get("/graphql", params=encode_parts(asked))).json() == KIND
    assert (await client.get(f"/graphql/d/{sha256_of(TEXT)}/Kind")).json() == KIND


async def test_a_text_comes_by_get_as_well(client: httpx.AsyncClient) -> None:
    params = encode_parts(by_hash(TEXT, with_text=True))
    assert (await client.get("/graphql", params=params)).json() == KIND
    assert (await client.post("/graphql", json=by_hash(TEXT))).json() == KIND


async def test_a_hash_of_another_text_registers_nothing(client: httpx.AsyncClient) -> None:
    body = by_hash(TEXT) | {"query": "{ other: __typename }"}
    assert code_of(await client.post("/graphql", json=body)) == "VALIDATION_FAILED"
    assert code_of(await client.post("/graphql", json=by_hash(TEXT))) == NOT_FOUND


async def test_what_does_not_run_is_not_registered(client: httpx.AsyncClient) -> None:
    for text in ("{ nope }", "{", "query ($a: Int!) { genres { id @skip(if: $a) } }"):
        await client.post("/graphql", json=by_hash(text, with_text=True))
        assert code_of(await client.post("/graphql", json=by_hash(text))) == NOT_FOUND


async def test_a_registration_costs_points_and_its_use_none(runtime: Runtime) -> None:
    async with connect(runtime, rate_limit_mode="enforce") as client:
        body = by_hash(TEXT, with_text=True)
        body["extensions"]["cost"] = True
        # when a text is registered, and sent again
        costs = [
            (await client.post("/graphql", json=body)).json()["extensions"]["cost"]
            for _ in range(2)
        ]
    # then the first time costs more, whatever it came to
    assert [(cost["requested"], cost["actual"]) for cost in costs] == [(50, 50), (0, 0)]


async def test_who_has_no_points_left_registers_nothing(runtime: Runtime) -> None:
    limits = {"rate_limit_mode": "enforce", "rate_limit_anonymous_max_cost": 60}
    async with connect(runtime, **limits) as client:
        first, second = "{ a: __typename }", "{ b: __typename }"
        assert "data" in (await client.post("/graphql", json=by_hash(first, with_text=True))).json()
        answer = await client.post("/graphql", json=by_hash(second, with_text=True))
        assert code_of(answer) == "RATE_LIMITED"
    async with connect(runtime) as client:
        assert "data" in (await client.post("/graphql", json=by_hash(first))).json()
        assert code_of(await client.post("/graphql", json=by_hash(second))) == NOT_FOUND


async def test_who_misuses_the_service_registers_nothing(runtime: Runtime) -> None:
    changed = runtime.settings.model_copy(update={"abuse_mode": "enforce", "abuse_exempt": ""})
    watch = AbuseWatch(changed, runtime.redis)
    address = "192.0.2.1"
    own = with_changes(runtime, settings=changed, ops={"abuse_watch": watch})
    async with connect_runtime(own, client=(address, 1)) as client:
        # given a text that was registered before the misuse
        known, new = "{ a: __typename }", "{ b: __typename }"
        await client.post("/graphql", json=by_hash(known, with_text=True))
        watch.record_signal(address, Signal.FAILED_SIGN_IN, 15)
        await watch.sync()
        # then what is known runs, and a text alone, but no new one is registered
        assert "data" in (await client.post("/graphql", json=by_hash(known))).json()
        assert "data" in (await client.post("/graphql", json={"query": new})).json()
        answer = await client.post("/graphql", json=by_hash(new, with_text=True))
        assert code_of(answer) == REQUIRED
        assert code_of(await client.post("/graphql", json=by_hash(new))) == NOT_FOUND


async def test_any_process_knows_it_at_once_and_after_redis_lost_everything(
    runtime: Runtime, redis: Client
) -> None:
    async with connect(runtime) as one, connect(runtime) as other, connect(runtime) as third:
        # when one process registers a text
        await one.post("/graphql", json=by_hash(TEXT, with_text=True))
        # then the next request to another one is answered
        assert (await other.post("/graphql", json=by_hash(TEXT))).json() == KIND
        # and when Redis has forgotten it, one that never saw it
        await redis.flushall()
        assert (await third.post("/graphql", json=by_hash(TEXT))).json() == KIND
    # and it is in Redis again
    async with connect(runtime) as fourth:
        await models.RegisteredDocument.get_pymongo_collection().delete_many({})
        assert (await fourth.post("/graphql", json=by_hash(TEXT))).json() == KIND


async def test_many_who_ask_for_one_unknown_id_cost_one_look(
    runtime: Runtime, count_commands: Any
) -> None:
    async with connect(runtime) as client:
        await count_commands.reset()
        asked = [client.post("/graphql", json={"documentId": "others-v1"}) for _ in range(20)]
        answers = await asyncio.gather(*asked)
    assert {code_of(answer) for answer in answers} == {NOT_FOUND}
    assert len(count_commands.mongo) < 5


async def test_a_text_that_is_not_the_hash_s_is_not_run(
    runtime: Runtime, redis: Client, client: httpx.AsyncClient
) -> None:
    # given somebody wrote another text into Redis and MongoDB
    sha = sha256_of(TEXT)
    await redis.hset("documents:texts:{documents}", sha, "{ other: __typename }")
    await models.store_registered_document(sha, "{ other: __typename }")
    # then it does not run under the hash
    assert code_of(await client.post("/graphql", json=by_hash(TEXT))) == NOT_FOUND
