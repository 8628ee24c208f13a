"""MongoDB away, silent or refusing: who asks hears it at once, and it is used again by itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pymongo
import pytest
import structlog
from pymongo import AsyncMongoClient

from models.mongo.guard import DatabaseGuard, guard_database
from models.mongo.reading import database_errors
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
