"""The cache tiers under load while Redis dies and comes back, and while MongoDB stands still.

Short by default; CHAOS_REDIS_SECONDS=30 and CHAOS_MONGODB_SECONDS=20 are the promised lengths.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

from services.cache.cache import Cache
from services.redis import pool
from services.settings.settings import Settings
from tests.chaos.stores import DEADLINE_SECONDS, Stores, freeze_process
from tests.support.processes import Served, until

REDIS_SECONDS = float(os.environ.get("CHAOS_REDIS_SECONDS", "8"))
MONGODB_SECONDS = float(os.environ.get("CHAOS_MONGODB_SECONDS", "5"))
READERS = 4
SLACK_SECONDS = 2.0  # of a busy machine
FILM = """query ($id: ID!) { movie(by: {id: $id}) {
  id title genres { name } credits(first: 5) { person { name } } } }"""
PAGE = """query ($first: Int, $slug: String!) {
  movies(first: $first, filter: {genres: [$slug]}) { nodes { id title genres { name } } } }"""
ALL = "query ($first: Int) { movies(first: $first, orderBy: {field: TITLE}) { nodes { id } } }"


class Read(NamedTuple):
    """One answer: when it came, how long it took, what levels answered how many keys."""

    at: float
    seconds: float
    levels: Counter[str]
    errors: list[Any]

    @property
    def is_whole(self) -> bool:
        return not self.errors


async def read(served: Served, query: str, variables: dict[str, Any]) -> Read:
    """Asked with what the tiers did, so no whole answer hides them."""
    started = time.monotonic()
    body = {"query": query, "variables": variables, "extensions": {"cache": True}}
    response = await served.client.post("/graphql", json=body)
    now, answer = time.monotonic(), response.json()
    assert response.status_code == 200, answer
    cache = answer.get("extensions", {}).get("cache", {})
    levels = Counter(
        {name: cache.get(name, 0) for name in ("memory", "redis", "database", "stale")}
    )
    return Read(now, now - started, levels, answer.get("errors", []))


def hit_rate(reads: list[Read]) -> float:
    """The share of entity reads that the database did not have to answer."""
    levels = sum((one.levels for one in reads), Counter())
    return 1 - levels["database"] / max(1, levels.total())


class Load:
    """Readers that ask for films and pages, the popular ones more often, one after another."""

    def __init__(self, served: Served, films: list[str]) -> None:
        self._served = served
        self._films = films
        self.reads: list[Read] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._keep_reading(number)) for number in range(READERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(one) for one in done} == {asyncio.CancelledError}, done

    async def _keep_reading(self, seed: int) -> None:
        dice = random.Random(seed)
        weights = [1 / rank for rank in range(1, len(self._films) + 1)]
        while True:
            if dice.random() < 0.3:
                slug = dice.choice(["drama", "comedy", "horror"])
                operation: tuple[str, dict[str, Any]] = (PAGE, {"first": 20, "slug": slug})
            else:
                operation = (FILM, {"id": dice.choices(self._films, weights)[0]})
            self.reads.append(await read(self._served, *operation))

    def since(self, moment: float, until_moment: float = float("inf")) -> list[Read]:
        return [one for one in self.reads if moment <= one.at < until_moment]


async def all_films(served: Served) -> list[str]:
    _, body = await served.graphql(ALL, {"first": 100})
    return [node["id"] for node in body["data"]["movies"]["nodes"]]


async def test_redis_killed_and_restarted_under_load_costs_no_answer(
    served: Served, stores: Stores
) -> None:
    load = Load(served, await all_films(served))
    async with load.running():
        # given readers who are mostly answered by the tiers
        await asyncio.sleep(REDIS_SECONDS / 4)
        assert hit_rate(load.since(time.monotonic() - 1)) > 0.8
        # when Redis is killed, and started again later, empty
        stores.redis.process.kill()
        stores.redis.process.wait()
        await asyncio.sleep(REDIS_SECONDS / 4)
        stores.start_redis()
        restarted = time.monotonic()
        await asyncio.sleep(REDIS_SECONDS / 2)
    # then nobody got an error, nor waited long
    assert [one.errors for one in load.reads if one.errors] == []
    assert len(load.reads) > 100
    assert max(one.seconds for one in load.reads) < SLACK_SECONDS
    # and ten seconds later at the latest the tiers answer again
    tail = load.since(min(restarted + 10, load.reads[-1].at - 1))
    assert hit_rate(tail) > 0.8
    # memory, too: it is told of changes again
    assert sum(one.levels["memory"] for one in tail) > 0
    await until(served.is_healthy, 10)


async def test_while_mongodb_stands_still_what_is_cached_goes_on_fresh_or_stale(
    served: Served, stores: Stores
) -> None:
    films = await all_films(served)
    cached, stale, unknown = films[:20], films[20:30], films[60:68]
    for id_ in (*cached, *stale):
        assert (await read(served, FILM, {"id": id_})).is_whole
    # given films that are fresh, some that are stale, and some that are in no tier
    own = Settings(_env_file=None, redis_url=stores.redis.uri)
    async with aclosing(pool.connect(own)) as redis:
        assert await Cache(redis).mark_stale(f"movie:{id_}" for id_ in stale) == len(stale)
        assert await Cache(redis).invalidate(f"movie:{id_}" for id_ in unknown) == len(unknown)
    await asyncio.sleep(0.2)  # the process is told of it
    with freeze_process(stores.mongod):
        frozen_at = time.monotonic()
        hanging = [asyncio.create_task(read(served, FILM, {"id": id_})) for id_ in unknown]
        while time.monotonic() - frozen_at < MONGODB_SECONDS:
            for id_ in (*cached, *stale):
                one = await read(served, FILM, {"id": id_})
                # then the first two answer, at once
                assert one.is_whole, one
                assert one.seconds < SLACK_SECONDS
                assert bool(one.levels["stale"]) is (id_ in stale)
            await asyncio.sleep(0.05)
        # and the third say why, in time
        for one in await asyncio.gather(*hanging):
            (error,) = one.errors
            assert error["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
            assert one.seconds < DEADLINE_SECONDS + SLACK_SECONDS

    # and all is well by itself: nothing stale, nothing refused
    async def recovered() -> bool:
        answers = [await read(served, FILM, {"id": id_}) for id_ in (*stale, *unknown)]
        return all(one.is_whole and not one.levels["stale"] for one in answers)

    await until(recovered, 20)
    await until(served.is_healthy, 20)
