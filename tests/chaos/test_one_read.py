"""Two real API processes on one Redis: what both are asked for at once is read once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from tests.chaos.stores import Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served

_FILM = "query ($id: ID!) { movie(by: {id: $id}) { id title } }"
_ASKING = 250  # of each process


async def test_500_cold_reads_of_one_film_over_two_processes_are_one_find(
    stores: Stores, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        mongo = await stack.enter_async_context(AsyncMongoClient(stores.mongod.uri))
        database = mongo["marquee"]
        served = [await _started(stack, stores, tmp_path / name) for name in ("one", "two")]
        for process in served:  # the document is known and connections are open
            await asyncio.gather(*(process.graphql(_FILM, {"id": "movie_0"}) for _ in range(20)))
        # given a film that nobody has read
        film = await database.movies.find_one({}, sort=[("popularity", 1), ("_id", 1)])
        assert film is not None
        await _forget(stores, film["_id"])
        await database.command("profile", 2)
        # when both are asked for it at once
        answers = await asyncio.gather(
            *(
                process.graphql(_FILM, {"id": film["_id"]})
                for _ in range(_ASKING)
                for process in served
            )
        )
        await database.command("profile", 0)
        # then all got it, for one read
        assert all(body["data"]["movie"]["title"] == film["title"] for _, body in answers)
        finds = {"op": "query", "command.find": "movies"}
        assert await database["system.profile"].count_documents(finds) == 1


async def _started(stack: AsyncExitStack, stores: Stores, folder: Path) -> Served:
    port = free_port()
    folder.mkdir()
    environment = {**stores.environment, "PORT": str(port), "DATA_DIR": str(folder)}
    stack.enter_context(Process(folder, "serve", environment=environment))
    return await stack.enter_async_context(Served(port))


async def _forget(stores: Stores, film_id: str) -> None:
    """From Redis, which tells both processes' memories."""
    async with Redis.from_url(stores.redis.uri) as redis:
        await redis.flushdb()
        assert await redis.get(f"movie:{film_id}") is None
    await asyncio.sleep(0.3)
