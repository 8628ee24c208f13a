"""A command given up half-way: its answer must never be taken for another's (CVE-2023-28858)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import models
from resolvers.context import Runtime
from services.cache.cache import Cache
from services.limits.rate_limit import RateLimiter
from services.limits.sliding_window import SlidingWindows, WindowLimits, WindowResult
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.api_client import build_silent_app, connect_app
from tests.support.playback_fixtures import build_offline_report, film, viewer_of
from tests.support.relay import Relay
from tests.support.runtimes import playback_on, with_changes

_DELAY_SECONDS = 0.3
_PEOPLE = 12


@pytest.fixture
async def one_connection(relay: Relay, settings: Settings) -> AsyncIterator[Client]:
    """A client with a single connection, so that the next command must use the last one's."""
    changed = {"redis_url": relay.uri, "redis_max_connections": 1, "redis_timeout_ms": 5000}
    redis = pool.connect(settings.model_copy(update=changed))
    yield redis
    await redis.aclose()


async def _get(redis: Client, key: str) -> object:
    return await redis.get(key)


async def _pipeline(redis: Client, key: str) -> object:
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.get(key)
        pipeline.get(key)
        first, second = await pipeline.execute()
    assert first == second
    return first


async def _transaction(redis: Client, key: str) -> object:
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.get(key)
        (value,) = await pipeline.execute()
    return value


async def _script(redis: Client, key: str) -> object:
    return await redis.eval("return redis.call('GET', KEYS[1])", 1, key)


async def _many(redis: Client, key: str) -> object:
    (value,) = await redis.mget([key])
    return value


@pytest.mark.parametrize("ask", [_get, _pipeline, _transaction, _script, _many])
async def test_a_cancelled_commands_answer_reaches_nobody_else(
    redis: Client,
    one_connection: Client,
    relay: Relay,
    ask: Callable[[Client, str], Awaitable[object]],
) -> None:
    # given two people's secrets, and answers that come late
    for number in range(_PEOPLE):
        await redis.set(f"secret:{number}", f"of {number}")
    await one_connection.ping()
    relay.delay_seconds = _DELAY_SECONDS
    for number in range(0, _PEOPLE, 2):
        # when one is asked for, has been sent, and is given up before its answer is here
        reading = asyncio.ensure_future(ask(one_connection, f"secret:{number}"))
        await asyncio.sleep(_DELAY_SECONDS / 4)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        # then the next one gets its own
        assert await ask(one_connection, f"secret:{number + 1}") == f"of {number + 1}".encode()


async def test_a_command_that_timed_out_answers_nobody_else(
    redis: Client, relay: Relay, settings: Settings
) -> None:
    changed = {"redis_url": relay.uri, "redis_max_connections": 1, "redis_timeout_ms": 200}
    impatient = pool.connect(settings.model_copy(update=changed))
    await redis.set("secret:0", "of 0")
    await redis.set("secret:1", "of 1")
    await impatient.ping()
    # given an answer that comes after its asker's patience
    relay.delay_seconds = 0.4
    with pytest.raises(pool.Failure):
        await impatient.get("secret:0")
    relay.delay_seconds = 0.0
    # then the next one waits for its own
    assert await impatient.get("secret:1") == b"of 1"
    await impatient.aclose()


async def test_scripts_gathered_in_one_pipeline_keep_their_answers_apart(
    relay: Relay, one_connection: Client
) -> None:
    # given limits, each of another number, that are asked for at once through one connection
    windows = SlidingWindows(one_connection)
    relay.delay_seconds = _DELAY_SECONDS / 3
    for _ in range(2):
        tasks = [
            asyncio.ensure_future(
                windows.acquire(f"w:{number}", WindowLimits(60_000, number, 1000), 0, 0)
            )
            for number in range(1, _PEOPLE)
        ]
        await asyncio.sleep(_DELAY_SECONDS / 6)
        # when every other one is given up
        for one in tasks[::2]:
            one.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        # then the others have theirs
        assert all(isinstance(one, asyncio.CancelledError) for one in results[::2])
        assert not any(one.is_local for one in results if isinstance(one, WindowResult))
        remaining = [
            one.remaining_requests for one in results[1::2] if isinstance(one, WindowResult)
        ]
        assert remaining == list(range(2, _PEOPLE, 2))


@pytest.fixture
async def delayed(relay: Relay, runtime: Runtime) -> AsyncIterator[Runtime]:
    """A process of its own whose Redis answers late, over two connections."""
    settings = runtime.settings.model_copy(
        update={
            "redis_url": relay.uri,
            "redis_max_connections": 2,
            "redis_timeout_ms": 5000,
            "rate_limit_mode": "enforce",
        }
    )
    redis = pool.connect(settings)
    yield with_changes(
        runtime,
        settings=settings,
        redis=redis,
        state_redis=redis,
        cache=Cache(redis, tiers="redis"),
        playback=playback_on(runtime, settings, redis),
        ops={"rate_limiter": RateLimiter(settings, SlidingWindows(redis))},
    )
    await redis.aclose()


async def test_who_gives_up_a_request_leaves_nothing_for_the_next(
    delayed: Runtime, relay: Relay
) -> None:
    # given people with accounts, each with something in Redis
    people = [viewer_of(delayed, f"person {number}") for number in range(_PEOPLE)]
    playable = await film("arrival")
    tokens = []
    for number, person in enumerate(people):
        assert person.viewer is not None
        await models.User(
            id=person.viewer.user_id,
            email=f"person{number}@example.org",
            password_hash="-",
            display_name=f"Person {number}",
        ).insert()
        await build_offline_report(person, playable, 100.0 + number)
        tokens.append(
            delayed.accounts.access_tokens.issue(
                user_id=person.viewer.user_id, role="USER", tier="FREE", login_id="login_1",
                now=delayed.clock(),
            )
        )  # fmt: skip
    app = build_silent_app(delayed)
    query = (
        "query ($id: ID!) { viewer { displayName progress(playableId: $id) { positionSeconds } } }"
    )
    async with connect_app(app) as client:

        async def ask(number: int) -> Any:
            headers = {"authorization": f"Bearer {tokens[number]}"}
            body = {"query": query, "variables": {"id": playable}}
            response = await client.post("/graphql", json=body, headers=headers, timeout=60)
            return response.json()["data"]["viewer"]

        # when many ask, and every other one goes away at some moment
        relay.delay_seconds = _DELAY_SECONDS / 6
        for moment in (0.01, 0.03, 0.06, 0.09, 0.15):
            tasks = [asyncio.ensure_future(ask(number)) for number in range(_PEOPLE)]
            await asyncio.sleep(moment)
            for one in tasks[::2]:
                one.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            # then everybody else is told of themselves
            for number in range(1, _PEOPLE, 2):
                assert results[number] == {
                    "displayName": f"Person {number}",
                    "progress": {"positionSeconds": 100.0 + number},
                }
