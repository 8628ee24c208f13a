"""SIGKILL of the API and of the worker at any point between a report and MongoDB."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import defaultdict
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient

from tests.chaos.stores import Stores
from tests.fake_provider import free_port
from tests.processes import Process, Served, until

FILMS = 6
ROUNDS = ["api", "worker", "both", "worker", "api"]
SIGN_IN = """mutation { register(input: {
  email: "ada@example.org", password: "correct horse battery", displayName: "Ada"
}) { tokens { accessToken } } }"""
START = """mutation ($id: ID!) {
  startPlayback(input: {playableId: $id, device: {key: "tv"}}) { session { id } } }"""
REPORT = """mutation ($id: ID!, $n: Int!, $at: Float!) {
  reportProgress(input: {sessionId: $id, sequence: $n, positionSeconds: $at}) {
    applied progress { positionSeconds } errors { code } } }"""
READ = "query ($id: ID!) { movie(by: {id: $id}) { progress { positionSeconds } } }"


class Marquee:
    """The API and a worker as processes of their own, killed and started as often as wished."""

    def __init__(self, stores: Stores, folder: Path, stack: ExitStack) -> None:
        self.port = free_port()
        self._stack = stack
        self._folder = folder
        self._environment = {
            **stores.environment,
            "PORT": str(self.port),
            "DATA_DIR": str(folder),
            "PROGRESS_CLAIM_IDLE_SECONDS": "0.5",
        }
        self._starts = 0
        self.running: dict[str, Process] = {}

    def start(self, *names: str) -> None:
        for name in names:
            self._starts += 1
            command = {"api": "serve", "worker": "worker"}[name]
            folder = self._folder / f"{name}-{self._starts}"
            process = Process(folder, command, environment=self._environment)
            self.running[name] = self._stack.enter_context(process)

    async def kill(self, *names: str) -> None:
        for name in names:
            self.running[name].send(signal.SIGKILL)
        for name in names:
            await self.running[name].ended()


class Watcher:
    """Reports positions one after the other; knows what was acknowledged, and what was sent."""

    def __init__(self, film: str, session: str, token: str) -> None:
        self.film = film
        self.acknowledged = 0.0
        self.sent = 0.0
        self._session = session
        self._token = token

    async def watch(self, served: Served, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.sent += 1
            given = {"id": self._session, "n": int(self.sent), "at": self.sent}
            with suppress(httpx.TransportError):  # the API was just killed
                _, body = await served.graphql(REPORT, given, self._token)
                told = body["data"]["reportProgress"]
                if told["applied"]:
                    self.acknowledged = told["progress"]["positionSeconds"]
            await asyncio.sleep(0.01)


async def watchers(served: Served) -> tuple[str, list[Watcher]]:
    _, body = await served.graphql(SIGN_IN)
    token = body["data"]["register"]["tokens"]["accessToken"]
    _, body = await served.graphql(f"{{ movies(first: {FILMS}) {{ nodes {{ id }} }} }}")
    found = []
    for film in (one["id"] for one in body["data"]["movies"]["nodes"]):
        _, body = await served.graphql(START, {"id": film}, token)
        found.append(Watcher(film, body["data"]["startPlayback"]["session"]["id"], token))
    return token, found


async def in_mongodb(client: AsyncMongoClient[Any]) -> dict[str, float]:
    rows = client["marquee"]["viewing_progress"].find({})
    return {row["playable_id"]: row["position_seconds"] async for row in rows}


async def test_nothing_acknowledged_is_lost_or_goes_backwards(
    stores: Stores, tmp_path: Path
) -> None:
    dice = random.Random(20)
    history: dict[str, list[float]] = defaultdict(list)
    async with AsyncMongoClient(stores.mongod.uri) as client:
        with ExitStack() as stack:
            marquee = Marquee(stores, tmp_path, stack)
            marquee.start("api", "worker")
            async with Served(marquee.port) as served:
                token, found = await watchers(served)
                for victims in ROUNDS:
                    # given six films that are being watched
                    stop = asyncio.Event()
                    watching = [asyncio.create_task(one.watch(served, stop)) for one in found]
                    await asyncio.sleep(dice.uniform(0.5, 1.5))
                    # when the API, the worker or both are killed in the middle of it
                    names = ["api", "worker"] if victims == "both" else [victims]
                    await marquee.kill(*names)
                    stop.set()
                    await asyncio.gather(*watching)
                    for film, position in (await in_mongodb(client)).items():
                        history[film].append(position)
                    marquee.start(*names)
                    await until(served.answers)
                    # then all that was acknowledged is read back at once
                    for one in found:
                        _, body = await served.graphql(READ, {"id": one.film}, token)
                        read = body["data"]["movie"]["progress"]["positionSeconds"]
                        assert one.acknowledged <= read <= one.sent

                # and comes to be in MongoDB
                async def arrived() -> bool:
                    stored = await in_mongodb(client)
                    return all(
                        one.acknowledged <= stored.get(one.film, -1) <= one.sent for one in found
                    )

                await until(arrived, 20)
                assert all(one.acknowledged > 10 for one in found)
        for film, position in (await in_mongodb(client)).items():
            history[film].append(position)
    # and MongoDB has never seen a position go back
    assert len(history) == FILMS
    assert all(seen == sorted(seen) for seen in history.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_worker_that_is_asked_to_stop_does_so_cleanly(
    stores: Stores, tmp_path: Path, number: signal.Signals
) -> None:
    with ExitStack() as stack:
        marquee = Marquee(stores, tmp_path, stack)
        marquee.start("worker")
        await asyncio.sleep(2)
        marquee.running["worker"].send(number)
        assert await marquee.running["worker"].ended(12) == 0
        assert "Traceback" not in marquee.running["worker"].output
