"""A process whose stores are reset and fall silent beneath it, through relays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from tests.chaos.stores import Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, until
from tests.support.relay import Relay, start_relay

REGISTER = """mutation ($email: EmailAddress!) { register(input: {
  email: $email, password: "correct horse battery", displayName: "Ada"
}) { tokens { accessToken } } }"""
FILMS = "{ movies(first: 5) { nodes { id } } }"
START = """mutation ($id: ID!, $key: String!) {
  startPlayback(input: {playableId: $id, device: {key: "tv"}, idempotencyKey: $key}) {
    session { id } errors { code } } }"""
FILM = "query ($id: ID!) { movie(by: {id: $id}) { title genres { name } } }"
REPORT = """mutation ($id: ID!, $n: Int!, $at: Float!) {
  reportProgress(input: {sessionId: $id, sequence: $n, positionSeconds: $at}) {
    applied errors { code } } }"""
DEADLINE_MS = 5000  # of both stores: a read that waits for one is easily told


class Relayed(NamedTuple):
    served: Served
    redis: Relay
    mongodb: Relay
    process: Process


@pytest.fixture
async def relayed(stores: Stores, tmp_path: Path) -> AsyncIterator[Relayed]:
    async with Redis.from_url(stores.redis.uri) as redis:
        await redis.flushdb()
    mongod = stores.mongod.uri.partition("?")[0]
    async with start_relay(stores.redis.uri) as redis, start_relay(mongod) as mongodb:
        environment = {
            **stores.environment,
            "REDIS_URL": redis.uri,
            "MONGODB_URI": f"mongodb://127.0.0.1:{mongodb.port}/?directConnection=true",
            "MONGODB_TIMEOUT_MS": str(DEADLINE_MS),
            "PORT": str(free_port()),
            "DATA_DIR": str(tmp_path),
        }
        with Process(tmp_path, "serve", environment=environment) as process:
            async with Served(int(environment["PORT"])) as served:
                yield Relayed(served, redis, mongodb, process)
                redis.mend()
                mongodb.mend()
        await asyncio.sleep(0.3)  # for the relays to see the end of their connections


async def list_films(served: Served) -> list[str]:
    _, body = await served.graphql(FILMS)
    return [node["id"] for node in body["data"]["movies"]["nodes"]]


def codes(body: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in body.get("errors", [])}


async def test_mutations_over_resets_are_answered_or_told_as_an_outage(relayed: Relayed) -> None:
    # given a viewer who plays a film
    served = relayed.served
    film, *_ = await list_films(served)
    _, body = await served.graphql(REGISTER, {"email": "ada@example.org"})
    token = body["data"]["register"]["tokens"]["accessToken"]
    _, body = await served.graphql(START, {"id": film, "key": "first"}, token)
    session = body["data"]["startPlayback"]["session"]["id"]
    # when connections to Redis are reset again and again, idle and in use
    told: set[str] = set()
    applied = 0
    for number in range(1, 60):
        relayed.redis.resets_after_answers = number % 10 < 5
        if number % 7 == 0:
            relayed.redis.reset()
        report = {"id": session, "n": number, "at": float(number)}
        start = {"id": film, "key": f"tap-{number}"}
        answers = await asyncio.gather(
            served.graphql(REPORT, report, token),
            served.graphql(START, start, token) if number % 20 == 0 else asyncio.sleep(0),
        )
        for answer in answers:
            if answer is not None:
                status, body = answer
                assert status == 200
                told |= codes(body)
                applied += bool(
                    ((body.get("data") or {}).get("reportProgress") or {}).get("applied")
                )
        await asyncio.sleep(0.01)
    # then what is told is an outage, if anything, and most of it worked
    assert told <= {"UPSTREAM_UNAVAILABLE"}
    assert applied >= 30
    relayed.redis.mend()
    await until(served.is_healthy, 10)
    assert "Traceback" not in relayed.process.output


async def test_with_both_stores_silent_copies_in_memory_answer_at_once(relayed: Relayed) -> None:
    # given films that the process has in memory
    served = relayed.served
    await relayed.process.says("cache_warmed")
    films = await list_films(served)
    for film in [*films, *films]:
        await served.graphql(FILM, {"id": film})
    # when both stores fall silent, and that has been noticed by nobody but the tracking of changes
    relayed.redis.is_silent = relayed.mongodb.is_silent = True
    await asyncio.sleep(2)
    # then each film comes from memory, long before a deadline
    waits = []
    for film in films:
        started = time.monotonic()
        _, body = await served.graphql(FILM, {"id": film})
        waits.append(time.monotonic() - started)
        assert codes(body) == set() and body["data"]["movie"]["genres"]
    assert max(waits) < DEADLINE_MS / 1000 / 3, waits
    # and when they are back, everything works by itself
    relayed.redis.mend()
    relayed.mongodb.mend()
    await until(served.is_healthy, 20)


async def test_a_closed_port_of_mongodb_is_known_at_once(relayed: Relayed) -> None:
    served = relayed.served
    films = await list_films(served)
    relayed.mongodb.cut()
    # when what is in no cache is asked for
    waits = []
    for first in range(6, 12):
        started = time.monotonic()
        _, body = await served.graphql(f"{{ movies(first: {first}) {{ nodes {{ id }} }} }}")
        waits.append(time.monotonic() - started)
        assert codes(body) == {"UPSTREAM_UNAVAILABLE"}
    # then nobody waits for the deadline
    assert max(waits) < DEADLINE_MS / 1000 / 3, waits
    relayed.mongodb.mend()
    await until(served.is_healthy, 20)
    assert await list_films(served) == films
