"""Playback that begins while one of the two stores is away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from tests.chaos.stores import DEADLINE_SECONDS, Stores, freeze_process
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, until

SLACK_SECONDS = 4.0  # of a busy machine
REGISTER = """mutation { register(input: {
  email: "ada@example.org", password: "correct horse battery", displayName: "Ada"
}) { tokens { accessToken } } }"""
FILMS = "{ movies(first: 2) { nodes { id runtimeSeconds } } }"
START = """mutation ($id: ID!, $key: String!) {
  startPlayback(input: {playableId: $id, device: {key: "tv"}, idempotencyKey: $key}) {
    session { id state positionSeconds } errors { code } } }"""
REPORT = """mutation ($id: ID!, $n: Int!, $at: Float!) {
  reportProgress(input: {sessionId: $id, sequence: $n, positionSeconds: $at}) {
    applied errors { code } progress { positionSeconds } } }"""
PLAYING = "{ viewer { nowPlaying { id } } }"


@pytest.fixture
async def served(stores: Stores, tmp_path: Path) -> AsyncIterator[Served]:
    async with Redis.from_url(stores.redis.uri) as redis:
        await redis.flushdb()
    async with AsyncMongoClient[dict[str, Any]](stores.mongod.uri) as client:
        for name in ("users", "logins", "playback_sessions"):
            await client["marquee"][name].delete_many({})
    environment = {**stores.environment, "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    with Process(tmp_path, "serve", environment=environment):
        async with Served(int(environment["PORT"])) as served:
            yield served


async def viewer(served: Served) -> tuple[str, list[str]]:
    """A token, and two films that are in the cache."""
    _, body = await served.graphql(REGISTER)
    _, films = await served.graphql(FILMS)
    token = body["data"]["register"]["tokens"]["accessToken"]
    film_ids = [one["id"] for one in films["data"]["movies"]["nodes"]]
    for id_ in film_ids:
        await served.graphql("query ($id: ID!) { movie(by: {id: $id}) { title } }", {"id": id_})
    return token, film_ids


async def started(served: Served, token: str, film: str, key: str) -> dict[str, Any]:
    _, body = await served.graphql(START, {"id": film, "key": key}, token)
    session: dict[str, Any] = body["data"]["startPlayback"]["session"]
    return session


async def test_without_mongodb_a_cached_film_starts_by_redis_alone(
    served: Served, stores: Stores
) -> None:
    # given two films in the cache, and that MongoDB hangs
    token, (film, _) = await viewer(served)
    began = time.monotonic()
    with freeze_process(stores.mongod):
        # when one is started, and started again by the same key
        session = await started(served, token, film, "tap")
        again = await started(served, token, film, "tap")
        # then it plays, though nobody can tell where it was left
        assert (session["state"], session["positionSeconds"]) == ("PLAYING", 0.0)
        assert again == session
        assert time.monotonic() - began < 4 * DEADLINE_SECONDS + SLACK_SECONDS

    # and once MongoDB is back, its reports count
    async def counts() -> bool:
        report = {"id": session["id"], "n": 0, "at": 30.0}
        _, body = await served.graphql(REPORT, report, token)
        payload = (body.get("data") or {}).get("reportProgress") or {}
        return payload.get("progress") == {"positionSeconds": 30.0}

    await until(counts, 30)
    _, body = await served.graphql(PLAYING, token=token)
    assert body["data"]["viewer"]["nowPlaying"] == [{"id": session["id"]}]


async def test_without_redis_a_film_starts_by_mongodb_alone(served: Served, stores: Stores) -> None:
    # given that Redis hangs
    token, (film, _) = await viewer(served)
    with freeze_process(stores.redis):
        # when a film is started, twice by the same key, and reported
        session = await started(served, token, film, "tap")
        assert await started(served, token, film, "tap") == session
        report = {"id": session["id"], "n": 0, "at": 30.0}
        _, body = await served.graphql(REPORT, report, token)
        # then its report is stored
        assert body["data"]["reportProgress"]["progress"] == {"positionSeconds": 30.0}
    await until(served.is_healthy, 20)

    # and once Redis is back, it learns of the session by one of its next reports
    sequence = 0

    async def plays() -> bool:
        nonlocal sequence
        sequence += 1
        report = {"id": session["id"], "n": sequence, "at": 30.0 + sequence}
        _, body = await served.graphql(REPORT, report, token)
        assert body["data"]["reportProgress"]["errors"] == []
        _, body = await served.graphql(PLAYING, token=token)
        playing = (body.get("data") or {}).get("viewer") or {}
        return {"id": session["id"]} in (playing.get("nowPlaying") or [])

    await until(plays, 20)


async def test_a_process_starts_degraded_without_mongodb_and_heals_by_itself(
    stores: Stores, tmp_path: Path
) -> None:
    # given a MongoDB that is away
    stores.mongod.process.kill()
    stores.mongod.process.wait()
    environment = {**stores.environment, "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    try:
        with Process(tmp_path, "serve", environment=environment) as process:
            async with Served(int(environment["PORT"])) as served:
                # when a process starts, then it serves, and says what it lacks
                await until(lambda: served_as(served, "degraded"), 30)
                started = time.monotonic()
                _, body = await served.graphql("{ movies(first: 3) { nodes { id } } }")
                assert body["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
                assert time.monotonic() - started < SLACK_SECONDS
                # and when it is there, everything works by itself
                stores.start_mongod()
                await until(lambda: served_as(served, "healthy"), 30)
                _, body = await served.graphql("{ movies(first: 3) { nodes { id } } }")
                assert len(body["data"]["movies"]["nodes"]) == 3
            assert "Traceback" not in process.output
    finally:
        if not stores.mongod.is_alive:
            stores.start_mongod()


async def served_as(served: Served, status: str) -> bool:
    return await served.ready() == (200, status)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("MONGODB_URI", "mongodb://ada:12345#rest@127.0.0.1:27017/?replicaSet=rs0"),
        ("MONGODB_URI", "mongodb://ada:12/345@127.0.0.1:27017/"),
        ("MONGODB_URI", "nonsense"),
        ("REDIS_URL", "redis://:12345/rest@127.0.0.1:6379/0"),
        ("REDIS_URL", "nonsense"),
    ],
)
async def test_an_address_that_cannot_be_read_is_one_line_without_its_password(
    tmp_path: Path, stores: Stores, name: str, address: str
) -> None:
    environment = {**stores.environment, "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    with Process(tmp_path, "serve", environment={**environment, name: address}) as process:
        assert await process.ended() == 1
        assert name in process.output
        assert "12345" not in process.output and "ada" not in process.output
        assert "Traceback" not in process.output
        assert len(process.output.strip().splitlines()) <= 2
