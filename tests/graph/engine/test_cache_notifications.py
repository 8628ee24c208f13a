"""`extensions.cache`: which tier answered, told to who asks for it in development."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from resolvers.context import Runtime
from services.settings.settings import Environment
from tests.conftest import CountCommands
from tests.support.api_client import Socket, connect_runtime
from tests.support.titles import film, film_id, genre, store

FILMS = "{ movies(first: 10) { nodes { title genres { name } } } }"
ASKING = {"query": FILMS, "extensions": {"cache": True}}


@pytest.fixture
async def films(runtime: Runtime) -> None:
    await store([genre("drama"), *(film(n, genre_ids=["genre_drama"]) for n in range(3))])


async def read_cache_report(client: httpx.AsyncClient, body: Any = ASKING) -> Any:
    """What the tiers did."""
    answer = (await client.post("/graphql", json=body)).json()
    assert len(answer["data"]["movies"]["nodes"]) == 3
    return answer["extensions"]["cache"]


def of(level: str, keys: dict[str, int]) -> dict[str, Any]:
    """All of these answered by one level."""
    totals = dict.fromkeys(("memory", "redis", "database", "stale"), 0)
    kinds = {kind: {level: count} for kind, count in sorted(keys.items())}
    return {**totals, level: sum(keys.values()), "kinds": kinds}


async def test_it_tells_of_each_tier_in_turn(
    client: httpx.AsyncClient, runtime: Runtime, films: None
) -> None:
    keys = {"movie": 3, "movie_list": 1, "genre": 1}
    assert await read_cache_report(client) == of("database", keys)
    assert await read_cache_report(client) == of("memory", keys)
    runtime.cache.clear_memory()
    assert await read_cache_report(client) == of("redis", keys)
    # and of what is stale
    await runtime.cache.mark_stale([f"movie:{film_id(n)}" for n in range(3)])
    assert await read_cache_report(client) == {
        "memory": 2,
        "redis": 0,
        "database": 0,
        "stale": 3,
        "kinds": {"genre": {"memory": 1}, "movie": {"stale": 3}, "movie_list": {"memory": 1}},
    }


async def test_without_a_cache_everything_is_the_databases(runtime: Runtime, films: None) -> None:
    uncached = replace(runtime, cache=type(runtime.cache)(runtime.redis, tiers="none"))
    async with serving(uncached) as client:
        answer = await read_cache_report(client)
    assert answer == of("database", {"movie": 3, "movie_list": 1, "genre": 1})


@asynccontextmanager
async def serving(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    async with connect_runtime(runtime) as client:
        yield client


async def test_a_whole_answer_neither_hides_nor_keeps_it(
    client: httpx.AsyncClient, films: None, count_commands: CountCommands
) -> None:
    plain = {"query": FILMS}
    # given an answer that is kept whole
    first = (await client.post("/graphql", json=plain)).json()
    assert first.keys() == {"data"}
    # then who asks for the tiers is told of them, and nobody else is
    assert (await read_cache_report(client))["memory"] == 5
    again = await client.post("/graphql", json=plain)
    assert again.json() == first


@pytest.mark.parametrize("extensions", [{}, None, {"cache": False}, {"cache": "yes"}, {"x": True}])
async def test_cache_details_are_sent_only_on_request(
    client: httpx.AsyncClient, films: None, extensions: Any
) -> None:
    answer = await client.post("/graphql", json={"query": FILMS, "extensions": extensions})
    assert answer.json().keys() == {"data"}


async def test_cache_details_are_never_sent_in_production(runtime: Runtime, films: None) -> None:
    live = runtime.settings.model_copy(update={"environment": Environment.PRODUCTION})
    async with serving(replace(runtime, settings=live)) as client:
        answer = await client.post("/graphql", json=ASKING)
    assert answer.json().keys() == {"data"}


async def test_cache_details_are_sent_over_get_and_websockets_too(
    client: httpx.AsyncClient, socket: Socket, films: None
) -> None:
    url = {"query": FILMS, "extensions": '{"cache": true}'}
    answer = await client.get("/graphql", params=url)
    assert answer.json()["extensions"]["cache"]["database"] == 5
    assert answer.headers["cache-control"] == "no-store"
    await socket.initialised()
    await socket.send({"type": "subscribe", "id": "1", "payload": ASKING})
    message = await socket.receive()
    assert message["payload"]["extensions"]["cache"].keys() == {
        "memory",
        "redis",
        "database",
        "stale",
        "kinds",
    }
