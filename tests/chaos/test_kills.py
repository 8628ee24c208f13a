"""SIGKILL and SIGSTOP of everything between a report and MongoDB, and of MongoDB.

CI=true takes the promised 60 seconds, a run without it 10; CHAOS_KILL_SECONDS sets another length,
and CHAOS_KILL_SEED gives another order. A worker is by itself for a third of the time.

Redis flushes its file with every write here: with everysec, one that is killed in the midst of a
slow flush may lose what it answered meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from redis.asyncio import Redis

from models.mongo.replica_set import ensure_initiated
from services.settings.settings import Settings
from tests.chaos.fault_injection import FaultInjector, Marquee
from tests.chaos.playback_load import READ, Viewer, viewers
from tests.chaos.stores import Stores
from tests.support.processes import Process, Served, until
from tests.support.thoroughness import IS_FULL

SECONDS = float(os.environ.get("CHAOS_KILL_SECONDS") or (60 if IS_FULL else 10))
SEED = int(os.environ.get("CHAOS_KILL_SEED", "20"))
PEOPLE, FILMS = 10, 5
SETTLED_SECONDS = 60.0
Key = tuple[str, str]


@pytest.fixture
async def own_stores(tmp_path: Path) -> AsyncIterator[Stores]:
    """With the demo catalogue; what either acknowledges is on disk."""
    stores = Stores(tmp_path, persist=True, fsync="always")
    try:
        await ensure_initiated(stores.mongod.uri)
        with Process(tmp_path / "load", "import", "demo", environment=stores.environment) as load:
            assert await load.ended() == 0, load.output
        yield stores
    finally:
        stores.stop()


class History:
    """Positions as MongoDB has them on record, looked at all the time."""

    def __init__(self, uri: str) -> None:
        self._client: AsyncMongoClient[Any] = AsyncMongoClient(
            uri, readConcernLevel="majority", timeoutMS=2000
        )
        self.seen: dict[Key, list[float]] = defaultdict(list)
        self.looks = 0

    async def look(self) -> dict[Key, float]:
        database = self._client["marquee"]
        emails = {row["_id"]: row["email"] async for row in database["users"].find({})}
        positions = {}
        async for row in database["viewing_progress"].find({}):
            key = emails[row["user_id"]], row["playable_id"]
            positions[key] = row["position_seconds"]
            self.seen[key].append(row["position_seconds"])
        self.looks += 1
        return positions

    async def keep_looking(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(PyMongoError):  # it was just killed, or hangs
                await self.look()
            await asyncio.sleep(0.3)

    async def aclose(self) -> None:
        await self._client.close()

    @property
    def steps_back(self) -> dict[Key, list[tuple[float, float]]]:
        steps = {}
        for key, seen in self.seen.items():
            if back := [(one, two) for one, two in pairwise(seen) if two < one]:
                steps[key] = back
        return steps


LEAST_REPORTS = 20_000 if SECONDS >= 60 else int(20 * SECONDS)


async def test_nothing_acknowledged_is_lost_or_goes_backwards(
    own_stores: Stores, tmp_path: Path
) -> None:
    history = History(own_stores.mongod.uri)
    with ExitStack() as stack:
        marquee = Marquee(own_stores, tmp_path / "run", stack, PLAYBACK_STREAMS_FREE="100")
        marquee.start("api", "worker-1")
        async with Served(marquee.port) as served:
            # given fifty who report without a pause
            watching = await viewers(served, PEOPLE, FILMS)
            mischief = FaultInjector(marquee, own_stores, SEED)
            await watched_through(marquee, served, watching, mischief, history)
            acknowledged = sum(one.acknowledged for one in watching)
            print(
                f"{acknowledged} acknowledged, {sum(one.refused for one in watching)} refused, "
                f"{sum(one.requests_failed for one in watching)} requests failed; "
                f"{history.looks} looks; {dict(mischief.done)}"
            )
            # then all that was acknowledged comes to be in MongoDB, and is read back
            await until(lambda: is_stored(history, watching), SETTLED_SECONDS)
            for one in watching:
                _, body = await served.graphql(READ, {"id": one.film}, one.token)
                read = body["data"]["movie"]["progress"]["positionSeconds"]
                assert one.acknowledged <= read <= one.sent, one
            await until(lambda: nothing_waits(own_stores), SETTLED_SECONDS)
            assert await is_stored(history, watching)
            await history.aclose()
    # and MongoDB has never seen a position go back
    assert len(history.seen) == PEOPLE * FILMS
    assert history.steps_back == {}
    assert history.looks > SECONDS / 2
    assert acknowledged >= LEAST_REPORTS


async def is_up(marquee: Marquee, served: Served) -> bool:
    marquee.revive()
    return await served.answers() and await served.is_healthy()


async def watched_through(
    marquee: Marquee,
    served: Served,
    watching: list[Viewer],
    mischief: FaultInjector,
    history: History,
) -> None:
    """All report, and MongoDB is looked at, until the mischief is over and all is well again."""
    stop = asyncio.Event()
    looking = asyncio.create_task(history.keep_looking(stop))
    reporting = [asyncio.create_task(one.watch(served, stop)) for one in watching]
    try:
        # one worker, whose entries wait for its next start; then another, which claims them
        await mischief.go_on(SECONDS / 3, lambda: True)
        marquee.start("worker-2")
        await mischief.go_on(
            SECONDS * 2 / 3,
            lambda: (
                sum(one.acknowledged for one in watching) >= LEAST_REPORTS
                and history.looks > SECONDS / 2
            ),
        )
        await until(lambda: is_up(marquee, served), SETTLED_SECONDS)
    finally:
        stop.set()
        await asyncio.gather(looking, *reporting)


async def is_stored(history: History, watching: list[Viewer]) -> bool:
    try:
        stored = await history.look()
    except PyMongoError:
        return False
    return all(
        one.acknowledged <= stored.get((one.email, one.film), -1) <= one.sent for one in watching
    )


async def nothing_waits(stores: Stores) -> bool:
    """Neither in the streams nor among the repairs."""
    client: AsyncMongoClient[Any]
    async with (
        Redis.from_url(stores.redis.uri) as redis,
        AsyncMongoClient(stores.mongod.uri) as client,
    ):
        waiting = [await redis.xlen(f"progress:stream:{{p{shard}}}") for shard in range(8)]
        repairs = await client["marquee"]["progress_repairs"].count_documents({})
        return sum(waiting) + repairs == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_worker_stops_cleanly_on_sigterm(
    settings: Settings, tmp_path: Path, number: signal.Signals
) -> None:
    environment = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": settings.redis_url or "",
        "DATA_DIR": str(tmp_path),
    }
    with Process(tmp_path, "worker", environment=environment) as worker:
        await until(lambda: minds_signals(worker))
        await asyncio.sleep(1)  # at work
        worker.send(number)
        assert await worker.ended() == 0
        assert "Traceback" not in worker.output


def minds_signals(process: Process) -> bool:
    """It has begun: before that a signal ends it at once."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
