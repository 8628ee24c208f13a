"""Connections of the lean reads: an answer reaches its own request or nobody, whatever happens."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pymongo
import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    AutoReconnect,
    ExecutionTimeout,
    NetworkTimeout,
    PyMongoError,
    WaitQueueTimeoutError,
)

from models.mongo.rows import find_rows, read_lean
from tests.support.lean_reads import Client, ReadCounts, open_lean_client
from tests.support.relay import Relay, start_relay

Collection = AsyncCollection[dict[str, Any]]
FILMS = 50
SLOW = {"$where": "sleep(1000) || true"}


class Relayed(NamedTuple):
    relay: Relay
    client: Client
    films: Collection


@pytest.fixture(scope="module")
async def stored(mongodb_uri: str, worker_name: str) -> AsyncIterator[str]:
    """The name of a database with films, each of which tells its own number in many bytes."""
    async with pymongo.AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        database = client[f"lean_connections_{worker_name}"]
        await database.films.drop()
        await database.films.insert_many(
            [{"_id": n, "n": n, "text": f"{n:02}" * 500 * (n % 5)} for n in range(FILMS)]
        )
        yield database.name
        await client.drop_database(database.name)


@pytest.fixture
async def relayed(mongodb_uri: str, stored: str) -> AsyncIterator[Relayed]:
    """A client of four connections, two for lean reads, whose answers go through a relay."""
    async with start_relay(mongodb_uri.partition("?")[0]) as relay:
        uri = f"mongodb://127.0.0.1:{relay.port}/?directConnection=true"
        async with open_lean_client(uri, maxPoolSize=4, timeoutMS=5_000) as client:
            films = client[stored].films
            await read(films, 1)
            yield Relayed(relay, client, films)
            relay.mend()


async def read(films: Collection, number: int) -> None:
    """Read one film; whatever comes is that film."""
    (row,) = await find_rows(films, {"_id": number}, {"n": 1, "text": 1}, limit=1)
    assert row == {"_id": number, "n": number, "text": f"{number:02}" * 500 * (number % 5)}


def uses(client: Client) -> tuple[int, ...]:
    """What PyMongo's pools count as in use."""
    pools = [server.pool for server in client._topology._servers.values()]
    return tuple(pool.requests + pool.active_sockets + pool.operation_count for pool in pools)


async def test_an_answer_cut_at_every_byte_is_read(relayed: Relayed) -> None:
    counts = ReadCounts()
    for at in range(1, 260):
        relayed.relay.split_answers_at = at
        await read(relayed.films, 0)
    assert (counts.lean, counts.fallbacks) == (259, {})


async def test_who_is_cancelled_at_random_leaves_no_answer_to_others(relayed: Relayed) -> None:
    # given fifty readers at a time on two connections, each of a film of its own
    rng = random.Random(7)
    outcomes = {"read": 0, "cancelled": 0}
    counts = ReadCounts()

    async def read_or_leave(number: int) -> None:
        task = asyncio.ensure_future(read(relayed.films, number % FILMS))
        if rng.random() < 0.4:
            await asyncio.sleep(rng.random() * 0.03)
            task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, asyncio.CancelledError):
            outcomes["cancelled"] += 1
            return
        assert outcome is None, outcome
        outcomes["read"] += 1

    # when many of them leave at any moment
    for _ in range(16):
        await asyncio.gather(*(read_or_leave(number) for number in range(FILMS)))
    # then every other one had its own film, and those who come after them as well
    assert outcomes["cancelled"] > 50 and outcomes["read"] > 200
    assert counts.fallbacks == {}
    await asyncio.gather(*(read(relayed.films, number) for number in range(FILMS)))


async def test_an_answer_to_another_request_reaches_nobody(relayed: Relayed) -> None:
    # given an answer whose header names another request, once
    def answer_another(data: bytes) -> bytes:
        if b"firstBatch" not in data:
            return data
        relayed.relay.alter_answer = None
        (answers,) = struct.unpack_from("<i", data, 8)
        return data[:8] + struct.pack("<i", answers + 1) + data[12:]

    relayed.relay.alter_answer = answer_another
    counts = ReadCounts()
    # when a film is read, then PyMongo reads it, and the next one goes the lean way again
    await read(relayed.films, 3)
    assert (counts.lean, counts.fallbacks) == (0, {"malformed": 1})
    await read(relayed.films, 4)
    assert counts.lean == 1


async def test_what_comes_unasked_ends_the_connection(relayed: Relayed) -> None:
    # given an answer that comes twice, once
    def answer_twice(data: bytes) -> bytes:
        if b"firstBatch" not in data:
            return data
        relayed.relay.alter_answer = None
        return data + data

    relayed.relay.alter_answer = answer_twice
    for number in range(5):
        await read(relayed.films, number)


async def test_a_silence_ends_at_the_deadline_and_the_connection_with_it(relayed: Relayed) -> None:
    relayed.relay.is_mute = True
    started = time.monotonic()
    with pytest.raises(NetworkTimeout), pymongo.timeout(0.3):
        await read(relayed.films, 1)
    assert 0.25 < time.monotonic() - started < 3
    # and when it answers again, so does the next read, with nothing that was left over
    relayed.relay.mend()
    for number in range(5):
        await read(relayed.films, number)


async def read_too_slowly(films: Collection) -> PyMongoError:
    """How a read ends that takes longer than its time; a starved server is too late to say it."""
    for _ in range(5):
        with pytest.raises((ExecutionTimeout, NetworkTimeout)) as ended, pymongo.timeout(0.3):
            await find_rows(films, SLOW, {"_id": 1})
        if isinstance(ended.value, ExecutionTimeout):
            break
    return ended.value


async def test_the_server_ends_what_is_slow_and_the_connection_stays(relayed: Relayed) -> None:
    counts = ReadCounts()
    assert isinstance(await read_too_slowly(relayed.films), ExecutionTimeout)
    assert counts.fallbacks == {}
    before = uses(relayed.client)
    await read(relayed.films, 2)
    assert uses(relayed.client) == before


async def test_no_more_connections_than_half_the_pool_and_waiting_ends(relayed: Relayed) -> None:
    # given both connections in use for a second
    slow = [
        asyncio.ensure_future(find_rows(relayed.films, {"_id": n, **SLOW}, {"_id": 1}))
        for n in range(2)
    ]
    await asyncio.sleep(0.2)
    # when a third read waits, then by its own deadline, and not as an outage
    with pytest.raises(WaitQueueTimeoutError), pymongo.timeout(0.2):
        await read(relayed.films, 1)
    # and a patient one gets its turn
    await read(relayed.films, 2)
    assert [await one for one in slow] == [[{"_id": 0}], [{"_id": 1}]]
    assert uses(relayed.client) == (2 * 3,)


async def test_who_waits_for_a_full_pool_of_the_driver_is_told_so(relayed: Relayed) -> None:
    """Not that nothing answers, which would keep everybody from the database."""
    films = relayed.films
    async with read_lean(relayed.client, enabled=True):  # these have no connection yet
        # given all that are left used by the driver
        finds = [films.find_one({"_id": n, **SLOW}, {"_id": 1}) for n in range(3)]
        slow = [asyncio.ensure_future(one) for one in finds]
        await asyncio.sleep(0.2)
        # when a read waits for one
        with pytest.raises(WaitQueueTimeoutError), pymongo.timeout(0.2):
            await read(films, 1)
        # then a patient one gets its turn
        await read(films, 2)
        assert [await one for one in slow] == [{"_id": n} for n in range(3)]


async def test_resets_of_idle_connections_are_unseen(relayed: Relayed) -> None:
    for number in range(5):
        await asyncio.gather(*(read(relayed.films, n) for n in range(4)))
        relayed.relay.reset()
        await asyncio.sleep(0.05)
        await read(relayed.films, number)


async def test_resets_and_half_answers_in_use_are_read_again_or_fail_as_ever(
    relayed: Relayed,
) -> None:
    counts = ReadCounts()
    for fault in ("resets_after_answers", "halves_answers"):
        setattr(relayed.relay, fault, True)
        for number in range(6):
            try:
                with pymongo.timeout(0.4):
                    await read(relayed.films, number)
            except PyMongoError as error:
                assert isinstance(error, AutoReconnect)
        relayed.relay.mend()
        await read(relayed.films, 7)
    assert set(counts.fallbacks) <= {"connection_lost", "no_connection", "no_server"}
    assert counts.fallbacks["connection_lost"] >= 1


async def test_connections_go_back_to_the_driver_at_the_end(mongodb_uri: str, stored: str) -> None:
    async with open_lean_client(mongodb_uri) as client:
        await asyncio.gather(*(read(client[stored].films, n) for n in range(20)))
        assert uses(client)[0] > 0
        async with read_lean(client, enabled=True):
            await read(client[stored].films, 5)
        held = uses(client)
    assert uses(client) == (0,) != held


async def test_a_connection_that_ended_in_the_drivers_hands_takes_no_place(
    mongodb_uri: str, stored: str
) -> None:
    async with open_lean_client(mongodb_uri, maxPoolSize=4, timeoutMS=2_000) as client:
        films = client[stored].films
        (pool,) = (server.pool for server in client._topology._servers.values())
        for number in range(4):
            # given an idle connection of PyMongo's own that has just ended, unknown to it
            await asyncio.gather(*(client.admin.command("ping") for _ in range(2)))
            for conn in pool.conns:
                conn.conn.conn[0].abort()
            await asyncio.sleep(0.01)
            # when more is read at once than there are connections
            await asyncio.gather(*(read(films, n) for n in range(number, number + 8)))
            async with read_lean(client, enabled=True):
                await read(films, number)


async def test_connections_idle_for_too_long_are_not_used_again(
    mongodb_uri: str, stored: str
) -> None:
    async with open_lean_client(mongodb_uri, maxIdleTimeMS=50) as client:
        films = client[stored].films
        (pool,) = (server.pool for server in client._topology._servers.values())
        await read(films, 1)
        opened = pool.next_connection_id
        await read(films, 2)
        assert pool.next_connection_id == opened
        await asyncio.sleep(0.1)
        await read(films, 3)
        assert pool.next_connection_id > opened


class Events(pymongo.monitoring.CommandListener):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def started(self, event: Any) -> None:
        self.seen.append(event)

    succeeded = failed = started


async def test_listeners_are_told_what_the_driver_tells(mongodb_uri: str, stored: str) -> None:
    events = Events()
    async with open_lean_client(mongodb_uri, event_listeners=[events]) as client:
        films = client[stored].films
        seen: list[list[Any]] = []
        for enabled in (True, False):
            async with read_lean(client, enabled=enabled):
                events.seen.clear()
                await find_rows(films, {"n": 1}, {"n": 1}, sort=[("_id", 1)], limit=2)
                await find_rows(films, {}, {"n": 1}, sort=[("_id", 1)], limit=0)
                with pytest.raises(PyMongoError):
                    await find_rows(films, {"n": {"$bogus": 1}}, {"n": 1})
                seen.append([describe(event) for event in events.seen])
    lean, driver = seen
    assert lean == driver and len(lean) == 6


def describe(event: Any) -> tuple[Any, ...]:
    """What both ways must say of a command; sessions and clocks are the driver's own."""
    own = {"lsid", "$clusterTime", "maxTimeMS", "operationTime"}
    details = [getattr(event, name, None) for name in ("command", "reply", "failure")]
    shown = [{k: v for k, v in one.items() if k not in own} if one else None for one in details]
    return type(event), event.command_name, event.database_name, event.connection_id, *shown
