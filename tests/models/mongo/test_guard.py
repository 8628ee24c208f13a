"""MongoDB away, silent or refusing: who asks hears it at once, and it is used again by itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pymongo
import pytest
import structlog
from pymongo import AsyncMongoClient, UpdateOne, WriteConcern
from pymongo.errors import OperationFailure, WTimeoutError

from models.mongo.guard import DatabaseGuard, guard_database, latest_refusal
from models.mongo.reading import database_errors
from models.mongo.refusals import describe_refusal
from services.errors import UpstreamUnavailable
from tests.support.processes import until
from tests.support.relay import Relay, start_relay

Client = AsyncMongoClient[dict[str, Any]]


@pytest.fixture
async def relayed(mongodb_uri: str) -> AsyncIterator[tuple[Relay, Client, DatabaseGuard]]:
    """A client that goes through a relay, and the guard of its calls."""
    async with start_relay(mongodb_uri.partition("?")[0]) as relay:
        address = f"mongodb://127.0.0.1:{relay.port}/"
        client: Client = AsyncMongoClient(
            address, directConnection=True, timeoutMS=600, serverSelectionTimeoutMS=600
        )

        async def ping() -> None:
            with pymongo.timeout(1):
                await client.admin.command("ping")

        await ping()
        guard = DatabaseGuard(ping, lambda: client.topology_description.has_known_servers)
        with guard_database(guard):
            yield relay, client, guard
        await guard.aclose()
        await client.close()


async def read(client: Client) -> float:
    """One read through the guard; how long the refusal took, or -1 when it was answered."""
    started = time.monotonic()
    try:
        with database_errors():
            await client.test.films.find_one({})
    except UpstreamUnavailable:
        return time.monotonic() - started
    return -1


async def is_answered(client: Client) -> bool:
    return await read(client) == -1


@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_after_a_failure_calls_fail_at_once_until_it_answers_again(
    relayed: tuple[Relay, Client, DatabaseGuard], fault: str
) -> None:
    relay, client, _ = relayed
    assert await is_answered(client)
    # when it goes away, and one call found that out
    if fault == "cut":
        relay.cut()
    else:
        relay.is_silent = True
    assert await read(client) >= 0
    # then the next ones do not wait
    for _ in range(5):
        assert 0 <= await read(client) < 0.3
    # and when it is back, it is used by itself
    relay.mend()
    await until(lambda: is_answered(client), 10)


async def test_a_refusal_is_told_as_one_and_logged_once_with_its_code(
    relayed: tuple[Relay, Client, DatabaseGuard],
) -> None:
    _, client, _ = relayed
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            with pytest.raises(UpstreamUnavailable, match="refused the operation"):
                with database_errors():
                    await client.test.command("noSuchCommandAtAll")
    (line,) = [one for one in logged if one["event"] == "database_refused"]
    assert (line["code"], line["name"]) == (59, "CommandNotFound")
    # and nobody else is kept from it
    assert await is_answered(client)


async def search_without_an_index(client: Client) -> None:
    await client.test.refusals.insert_one({"_id": 1})
    cursor = await client.test.refusals.aggregate([{"$match": {"$text": {"$search": "x"}}}])
    await cursor.to_list()


async def write_with_concern(client: Client) -> None:
    concern = WriteConcern("all")
    films = client.test.get_collection("refusals", write_concern=concern)
    await films.update_one({"_id": 2}, {"$set": {"a": 1}}, upsert=True)


async def write_many_with_concern(client: Client) -> None:
    films = client.test.get_collection("refusals", write_concern=WriteConcern("all"))
    await films.bulk_write([UpdateOne({"_id": 3}, {"$set": {"a": 1}}, upsert=True)])


async def sign_in_wrongly(client: Client) -> None:
    host, port = await client.address or ("", 0)
    stranger: Client = AsyncMongoClient(host, port, username="ada", password="wrong")
    async with stranger:
        await stranger.test.refusals.find_one()


@pytest.mark.parametrize(
    ("operation", "code", "name", "remedy"),
    [
        (search_without_an_index, 27, "IndexNotFound", "indexes apply"),
        (write_with_concern, 79, "UnknownReplWriteConcern", "MONGODB_WRITE_CONCERN"),
        (write_many_with_concern, 79, "UnknownReplWriteConcern", "MONGODB_WRITE_CONCERN"),
        (sign_in_wrongly, 18, "AuthenticationFailed", "password"),
    ],
)
async def test_each_refusal_says_what_it_is(
    relayed: tuple[Relay, Client, DatabaseGuard],
    operation: Callable[[Client], Awaitable[None]],
    code: int,
    name: str,
    remedy: str,
) -> None:
    _, client, _ = relayed
    assert latest_refusal() is None
    with structlog.testing.capture_logs() as logged:
        with pytest.raises(UpstreamUnavailable, match="refused the operation"):
            with database_errors():
                await operation(client)
    await client.test.refusals.drop()
    (line,) = [one for one in logged if one["event"] == "database_refused"]
    assert (line["code"], line["name"]) == (code, name)
    assert remedy in line["why"]
    # and /ready knows it
    refusal = latest_refusal()
    assert refusal is not None and f"{name} ({code})" in str(refusal)


def test_a_user_without_rights_is_told_apart() -> None:
    answer = {"ok": 0, "code": 13, "codeName": "Unauthorized", "errmsg": "not authorized on films"}
    refusal = describe_refusal(OperationFailure("not authorized on films", 13, answer))
    assert (refusal.code, refusal.name) == (13, "Unauthorized")
    assert "readWrite" in refusal.why and "films" not in refusal.why


async def test_a_write_that_waits_too_long_for_members_is_a_silence_of_nobody_else(
    relayed: tuple[Relay, Client, DatabaseGuard],
) -> None:
    _, _, guard = relayed
    late = WTimeoutError("waiting for replication timed out", 64, {"code": 64})
    with pytest.raises(UpstreamUnavailable, match="in time"), database_errors():
        raise late
    guard.check()


async def test_a_slow_command_keeps_nobody_else_out_for_long(
    relayed: tuple[Relay, Client, DatabaseGuard],
) -> None:
    _, client, guard = relayed
    guard.record_failure("a slow command")
    with pytest.raises(UpstreamUnavailable):
        guard.check()
    await until(lambda: is_answered(client), 2)


async def test_one_lost_connection_refuses_nobody(
    relayed: tuple[Relay, Client, DatabaseGuard],
) -> None:
    relay, client, _ = relayed
    assert await is_answered(client)
    relay.reset()
    assert await is_answered(client)
