"""A live API, and a Redis and a MongoDB of its own that freeze, die and come back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.chaos.stores import DEADLINE_SECONDS, Stores, freeze_process
from tests.support.api_client import ISSUE_QUERY
from tests.support.processes import Served, until

SLACK_SECONDS = 2.0  # of a busy machine


async def titles(served: Served, first: int) -> list[str]:
    status, body = await served.graphql(ISSUE_QUERY, {"first": first})
    assert (status, body.keys()) == (200, {"data"}), body
    return [film["title"] for film in body["data"]["movies"]["nodes"]]


async def refusal(served: Served, first: int) -> tuple[dict[str, Any], float]:
    """The one error of a page that is not cached, and the seconds it took."""
    started = time.monotonic()
    status, body = await served.graphql(ISSUE_QUERY, {"first": first})
    assert (status, body["data"]) == (200, {"movies": None})
    (error,) = body["errors"]
    return error, time.monotonic() - started


async def test_without_redis_browsing_answers_as_before(served: Served, stores: Stores) -> None:
    expected = await titles(served, 5)
    with freeze_process(stores.redis):
        # when Redis hangs, and pages are asked for that are in no memory
        started = time.monotonic()
        for first in range(6, 16):
            assert (await titles(served, first))[:5] == expected
        # then the first waits for it a moment, and the others go straight to MongoDB
        assert time.monotonic() - started < SLACK_SECONDS
        assert await served.ready() == (200, "degraded")
    # and it is used again, by itself, once it answers
    await until(served.is_healthy, 10)
    await until(lambda: refills(served, stores), 10)


async def test_a_redis_that_died_is_found_again(served: Served, stores: Stores) -> None:
    expected = await titles(served, 5)
    stores.redis.process.kill()
    stores.redis.process.wait()
    for first in range(6, 16):
        assert (await titles(served, first))[:5] == expected
    assert await served.ready() == (200, "degraded")
    stores.start_redis()
    await until(served.is_healthy, 10)
    await until(lambda: refills(served, stores), 10)


async def refills(served: Served, stores: Stores) -> bool:
    """Whether what is read now is kept in Redis."""
    async with Redis.from_url(stores.redis.uri) as redis:
        await redis.flushdb()
        query = "query ($n: Int) { movies(first: $n, category: TOP_RATED) { nodes { id } } }"
        await served.graphql(query, {"n": 1 + time.monotonic_ns() % 100})
        return bool(await redis.dbsize() > 0)


@pytest.mark.parametrize("how", ["hangs", "dies"])
async def test_without_mongodb_what_is_cached_answers_and_the_rest_says_why(
    served: Served, stores: Stores, how: str
) -> None:
    # given a page that was read
    expected = await titles(served, 5)
    if how == "hangs":
        with freeze_process(stores.mongod):
            await is_served_from_the_cache(served, expected)
    else:
        stores.mongod.process.kill()
        stores.mongod.process.wait()
        await is_served_from_the_cache(served, expected)
        stores.start_mongod()
    # then all is well again by itself once MongoDB answers
    await until(served.is_healthy, 30)
    await until(lambda: is_readable(served), 30)
    assert (await titles(served, 9))[:5] == expected


async def is_served_from_the_cache(served: Served, expected: list[str]) -> None:
    for _ in range(3):
        assert await titles(served, 5) == expected
    # and what is not cached is refused with a code, in time, by all who ask at once
    for error, seconds in await asyncio.gather(*(refusal(served, 9) for _ in range(5))):
        assert error["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
        assert "127.0.0.1" not in str(error)
        assert seconds < DEADLINE_SECONDS + SLACK_SECONDS
    assert await served.ready() == (200, "degraded")
    # and signing in is refused in the same way
    sign_in = """mutation { login(input: {email: "a@marquee.test", password: "long password"}) {
      errors { code } } }"""
    _, body = await served.graphql(sign_in)
    assert "UPSTREAM_UNAVAILABLE" in str(body)


async def is_readable(served: Served) -> bool:
    _, body = await served.graphql(ISSUE_QUERY, {"first": 9})
    return "errors" not in body


async def test_without_both_memory_answers_and_readiness_says_so(
    served: Served, stores: Stores
) -> None:
    # The first read fills Redis, whose word of that empties memory; the second one fills memory.
    expected = await titles(served, 5)
    await asyncio.sleep(0.2)
    assert await titles(served, 5) == expected
    with freeze_process(stores.redis), freeze_process(stores.mongod):
        assert await titles(served, 5) == expected
        error, seconds = await refusal(served, 9)
        assert error["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
        assert seconds < DEADLINE_SECONDS + SLACK_SECONDS
        assert await served.ready() == (503, "unhealthy")
        assert await served.answers()
    await until(served.is_healthy, 30)
    await until(lambda: is_readable(served), 30)


REPORT = """mutation ($id: ID!, $n: Int!, $at: Float!) {
  reportProgress(input: {sessionId: $id, sequence: $n, positionSeconds: $at}) {
    applied progress { positionSeconds durable } errors { code } } }"""


async def watching(served: Served) -> tuple[str, str]:
    """A session, and the token of who watches."""
    _, body = await served.graphql(
        """mutation { register(input: {email: "ada@example.org", password: "another velvet cactus",
        displayName: "Ada"}) { tokens { accessToken } } }"""
    )
    token = body["data"]["register"]["tokens"]["accessToken"]
    _, body = await served.graphql("{ movies(first: 1) { nodes { id } } }")
    film = body["data"]["movies"]["nodes"][0]["id"]
    _, body = await served.graphql(
        """mutation ($id: ID!) { startPlayback(input: {playableId: $id, device: {key: "tv"}}) {
        session { id } } }""",
        {"id": film},
        token,
    )
    return body["data"]["startPlayback"]["session"]["id"], token


async def test_a_report_goes_to_whichever_store_answers_or_is_refused(
    served: Served, stores: Stores
) -> None:
    # given somebody who watches
    session, token = await watching(served)

    async def report(number: int) -> dict[str, Any]:
        variables = {"id": session, "n": number, "at": 42.0 + number}
        _, body = await served.graphql(REPORT, variables, token)
        return body

    # when Redis hangs
    with freeze_process(stores.redis):
        started = time.monotonic()
        payload = (await report(1))["data"]["reportProgress"]
        # then MongoDB has it before the answer
        assert (payload["applied"], payload["errors"]) == (True, [])
        assert payload["progress"] == {"positionSeconds": 43.0, "durable": True}
        assert time.monotonic() - started < SLACK_SECONDS
        # and when that hangs, too, nobody says that it was stored
        with freeze_process(stores.mongod):
            started = time.monotonic()
            (error,) = (await report(2))["errors"]
            assert error["extensions"] == {"code": "UPSTREAM_UNAVAILABLE", "retryAfterSeconds": 1}
            assert time.monotonic() - started < 2 * DEADLINE_SECONDS + SLACK_SECONDS
    # and sent again, it is
    await until(served.is_healthy, 30)

    async def is_applied() -> bool:
        data = (await report(2))["data"]
        return bool(data and data["reportProgress"]["progress"]["positionSeconds"] == 44.0)

    await until(is_applied, 30)
