"""Lean reads of a replica set with passwords and TLS whose members step down, freeze and die."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pymongo
import pytest
from pymongo import ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from models.mongo.rows import find_rows
from tests.chaos.replica_set import PASSWORD, USER, Address, Client, ReplicaSet
from tests.support.lean_reads import ReadCounts, open_lean_client
from tests.support.processes import until

FILMS = 40
DEADLINE_SECONDS = 15.0


class Finds(pymongo.monitoring.CommandListener):
    """Which members were sent finds since the last `clear`."""

    def __init__(self) -> None:
        self.members: Counter[Address] = Counter()

    def started(self, event: Any) -> None:
        if event.command_name == "find":
            self.members[event.connection_id] += 1

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


@pytest.fixture(scope="module")
async def replica_set(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaSet]:
    replica_set = ReplicaSet(tmp_path_factory.mktemp("set"))
    try:
        await replica_set.initiate()
        yield replica_set
    finally:
        replica_set.stop()


@pytest.fixture(scope="module")
def finds() -> Finds:
    return Finds()


@pytest.fixture(scope="module")
async def client(replica_set: ReplicaSet, finds: Finds) -> AsyncIterator[Client]:
    async with open_lean_client(
        replica_set.uri,
        username=USER,
        password=PASSWORD,
        event_listeners=[finds],
        timeoutMS=int(DEADLINE_SECONDS * 1000),
        connectTimeoutMS=1_000,  # after which a silent member is known to the monitors
        heartbeatFrequencyMS=500,
    ) as client:
        films = client.films.get_collection("films", write_concern=pymongo.WriteConcern(3))
        await films.insert_many([{"_id": n, "text": f"{n:02}" * 300} for n in range(FILMS)])
        yield client


def preferring(client: Client, preference: Any) -> AsyncCollection[dict[str, Any]]:
    return client.films.get_collection("films", read_preference=preference)


async def read(films: AsyncCollection[dict[str, Any]], number: int) -> None:
    (row,) = await find_rows(films, {"_id": number}, {"text": 1}, limit=1)
    assert row == {"_id": number, "text": f"{number:02}" * 300}


async def is_whole(client: Client) -> bool:
    """Whether all three members are seen, one of them as primary."""
    return client.topology_description.has_writable_server() and len(await secondaries(client)) == 2


async def secondaries(client: Client) -> set[Address]:
    return set(await client.secondaries)


async def primary(client: Client) -> Address:
    await until(lambda: is_whole(client))
    address = await client.primary
    assert address is not None
    return address


@asynccontextmanager
async def under_load(client: Client) -> AsyncIterator[dict[str, int]]:
    """Four readers of the primary and four of the secondaries; how many reads failed, by error."""
    failures: dict[str, int] = Counter()
    is_over = asyncio.Event()

    async def read_on(films: AsyncCollection[dict[str, Any]], start: int) -> None:
        number = start
        while not is_over.is_set():
            number = (number + 1) % FILMS
            try:
                await read(films, number)
            except PyMongoError as error:
                failures[type(error).__name__] += 1
            await asyncio.sleep(0.005)

    preferences = [ReadPreference.PRIMARY, ReadPreference.SECONDARY_PREFERRED] * 4
    async with asyncio.TaskGroup() as group:
        for start, preference in enumerate(preferences):
            group.create_task(read_on(preferring(client, preference), start))
        try:
            await asyncio.sleep(0.2)
            yield failures
        finally:
            is_over.set()


async def test_reads_go_to_the_members_that_are_preferred(client: Client, finds: Finds) -> None:
    await primary(client)
    for preference, members in [
        (ReadPreference.PRIMARY, {await client.primary}),
        (ReadPreference.SECONDARY_PREFERRED, await secondaries(client)),
    ]:
        finds.members.clear()
        counts = ReadCounts()
        films = preferring(client, preference)
        # when many are read at once
        for _ in range(4):
            await asyncio.gather(*(read(films, number) for number in range(FILMS)))
        # then all by those members, each has its part, and PyMongo has none
        assert set(finds.members) == members
        assert (counts.lean, counts.fallbacks) == (4 * FILMS, {})


async def test_a_wrong_password_is_the_same_error(replica_set: ReplicaSet) -> None:
    with pytest.raises(OperationFailure, match="Authentication failed"):
        async with open_lean_client(replica_set.uri, username=USER, password="wrong"):
            raise AssertionError("nobody gets in")


async def test_no_read_fails_when_the_primary_steps_down(client: Client) -> None:
    before = await primary(client)
    counts = ReadCounts()
    async with under_load(client) as failures:
        await client.admin.command("replSetStepDown", 5, force=True)
        await until(lambda: has_another_primary(client, before))
        at_election = counts.lean
        await until(lambda: counts.lean > at_election + 50)
    # then those in between waited for the new one, by PyMongo
    assert failures == {}
    assert set(counts.fallbacks) <= {"refused", "no_server", "connection_lost", "no_connection"}


async def has_another_primary(client: Client, before: Address) -> bool:
    return await client.primary not in (None, before)


async def test_a_frozen_primary_is_left_for_the_next_one(
    client: Client, replica_set: ReplicaSet
) -> None:
    before = await primary(client)
    replica_set.signal(before, signal.SIGSTOP)
    try:
        # when a read of it was sent already, or is sent before anybody knows
        started = time.monotonic()
        with pytest.raises(AutoReconnect), pymongo.timeout(0.5):
            await read(preferring(client, ReadPreference.PRIMARY), 1)
        assert time.monotonic() - started < 3
        # then the next primary is used once it is elected, and secondaries all the time
        await read(preferring(client, ReadPreference.SECONDARY), 2)
        await until(lambda: has_another_primary(client, before))
        counts = ReadCounts()
        await read(preferring(client, ReadPreference.PRIMARY), 3)
        assert counts.lean == 1
    finally:
        replica_set.signal(before, signal.SIGCONT)
    await primary(client)


async def test_no_read_fails_when_a_member_is_killed_and_comes_back(
    client: Client, replica_set: ReplicaSet
) -> None:
    victim = await primary(client)
    counts = ReadCounts()
    async with under_load(client) as failures:
        replica_set.signal(victim, signal.SIGKILL)
        await until(lambda: has_another_primary(client, victim))
        replica_set.start(victim)
        await until(lambda: is_whole(client))
        at_return = counts.lean
        await until(lambda: counts.lean > at_return + 50)
    assert failures == {}
    assert counts.fallbacks.keys() <= {"refused", "no_server", "connection_lost", "no_connection"}
