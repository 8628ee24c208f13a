"""Stores that answer and are not fit: each process says so once, and `check` says the same."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from services.embedded import servers
from tests.chaos.stores import Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, until

SEARCH = '{ search(query: "dune", kinds: [MOVIE]) { nodes { __typename } } }'
PASSWORD = "velvet-and-lamps"


@pytest.fixture(scope="module")
async def stand_alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a MongoDB that is no replica set and has a film, but no index."""
    folder, port = tmp_path_factory.mktemp("stand-alone"), free_port()
    command = [servers.find_mongod(None), "--dbpath", folder, "--port", port]
    command += ["--bind_ip", "127.0.0.1", "--logpath", folder / "log"]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    uri = f"mongodb://127.0.0.1:{port}/"

    try:
        await until(lambda: is_open(port))
        async with AsyncMongoClient[dict[str, Any]](uri) as client:
            await client.marquee.movies.insert_one({"title": "Dune"})
        yield uri
    finally:
        process.terminate()
        process.wait()


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@pytest.fixture(scope="module")
async def locked_redis(stores: Stores) -> AsyncIterator[str]:
    """The address of a Redis, with a wrong password in it."""
    async with Redis.from_url(stores.redis.uri) as redis:
        await redis.execute_command("ACL", "SETUSER", "films", "on", f">{PASSWORD}", "~*", "+@all")
    yield stores.redis.uri.replace("redis://", "redis://films:wrong@")


def warnings(process: Process) -> list[str]:
    return [line for line in process.output.splitlines() if "store_unfit" in line]


def environment_of(stores: Stores, folder: Path, **changes: str) -> dict[str, str]:
    own = {"PORT": str(free_port()), "DATA_DIR": str(folder / "data"), "DEMO_CLIP": "false"}
    return {**stores.environment, **own, **changes}


async def test_serve_tells_of_a_stand_alone_server_without_indexes_and_of_a_wrong_database(
    stores: Stores, tmp_path: Path, stand_alone: str
) -> None:
    wrong = stores.redis.uri.replace("/0", "/99")
    environment = environment_of(stores, tmp_path, MONGODB_URI=stand_alone, REDIS_URL=wrong)
    with Process(tmp_path / "run", "serve", environment=environment) as process:
        async with Served(int(environment["PORT"])) as served:
            await until(lambda: len(warnings(process)) == 3, 20)
            text = "\n".join(warnings(process))
            assert "stand-alone" in text
            assert "movies.search" in text and "indexes apply" in text
            assert "REDIS_URL" in text and "no database of this number" in text
            # and a search says what it lacks, to the client by a code and in the log by its cause
            _, body = await served.graphql(SEARCH)
            (error,) = body["errors"]
            assert error["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
            assert "search index is not built" in error["message"]
            await process.says("search_index_missing")
            await process.says("database_refused")
            assert "IndexNotFound" in process.output
            ready = (await served.client.get("/ready")).json()
            assert ready["checks"]["database"] == "degraded"
            assert "IndexNotFound (27)" in ready["causes"]["database"]
        assert len(warnings(process)) == 3


@pytest.mark.parametrize("command", ["serve", "worker"])
async def test_a_set_that_the_server_does_not_belong_to_is_a_mistake_and_no_outage(
    stores: Stores, tmp_path: Path, stand_alone: str, command: str
) -> None:
    # given an address that names a set, of a server of none, and one of another set
    for uri, actual in (
        (stand_alone + "?replicaSet=rs0", "is of no replica set"),
        (stores.mongod.uri.replace("rs0", "films"), "is of the set rs0"),
    ):
        environment = environment_of(stores, tmp_path, MONGODB_URI=uri)
        with Process(tmp_path / "run", command, environment=environment) as process:
            # then the process does not wait for it, and says why
            assert await process.ended() == 1
            assert actual in process.output
            assert "Traceback" not in process.output


async def test_a_worker_tells_of_a_wrong_password_and_shows_none(
    stores: Stores, tmp_path: Path, stand_alone: str, locked_redis: str
) -> None:
    environment = environment_of(stores, tmp_path, MONGODB_URI=stand_alone, REDIS_URL=locked_redis)
    with Process(tmp_path / "run", "worker", environment=environment) as process:
        await until(lambda: len(warnings(process)) == 3, 20)
        text = "\n".join(warnings(process))
        assert "stand-alone" in text and "indexes apply" in text
        assert "the user or the password is wrong" in text
        assert "films:wrong" not in process.output


async def test_dev_builds_its_indexes_and_tells_the_rest(
    stores: Stores, tmp_path: Path, stand_alone: str
) -> None:
    changes = {"MONGODB_URI": stand_alone, "MONGODB_DATABASE": "dev", "LOG_LEVEL": "warning"}
    environment = environment_of(stores, tmp_path, **changes)
    with Process(tmp_path / "run", "dev", environment=environment) as process:
        await process.says("store_unfit")
        await process.says("Marquee is running.")
        (line,) = warnings(process)
        assert "stand-alone" in line


async def test_check_tells_the_same(
    stores: Stores, tmp_path: Path, stand_alone: str, locked_redis: str
) -> None:
    environment = environment_of(stores, tmp_path, MONGODB_URI=stand_alone, REDIS_URL=locked_redis)
    with Process(tmp_path / "run", "check", "--production", environment=environment) as process:
        assert await process.ended() == 1
    lines = process.output.splitlines()
    assert any("MONGODB_URI" in one and "stand-alone" in one for one in lines)
    assert any("MONGODB_URI" in one and "lacks indexes: " in one for one in lines)
    assert any("REDIS_URL" in one and "password is wrong" in one for one in lines)
    assert "films:wrong" not in process.output


async def test_stores_that_are_fit_are_not_told_of(stores: Stores, tmp_path: Path) -> None:
    environment = environment_of(stores, tmp_path)
    with Process(tmp_path / "run", "serve", environment=environment) as process:
        async with Served(int(environment["PORT"])) as served:
            await until(served.is_healthy)
            tasks = (await served.client.get("/ready")).json()["tasks"]
            assert tasks["store findings"] == "running"
        assert warnings(process) == []
