"""Processes and stores that are killed or frozen in a random order, and come back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.stores import Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process

VICTIMS = ["redis", "mongod", "api", "worker"]  # they come back in this order
_LONGER = 4
Strike = tuple[str, str]


class Marquee:
    """The API and workers as processes of their own, killed and started as often as wished."""

    def __init__(self, stores: Stores, folder: Path, stack: ExitStack, **extra: str) -> None:
        self.port = free_port()
        self._stack = stack
        self._folder = folder
        self._environment = {
            **stores.environment,
            "PORT": str(self.port),
            "DATA_DIR": str(folder),
            "PROGRESS_CLAIM_IDLE_SECONDS": "0.5",
            "RATE_LIMIT_MODE": "off",
            **extra,
        }
        self._starts = 0
        self.running: dict[str, Process] = {}

    def start(self, *names: str) -> None:
        """`api`, or any name for a worker."""
        for name in names:
            self._starts += 1
            command = "serve" if name == "api" else "worker"
            folder = self._folder / f"{name}-{self._starts}"
            process = Process(folder, command, environment=self._environment)
            self.running[name] = self._stack.enter_context(process)

    def revive(self) -> None:
        """As a supervisor does: one that starts while a store is away says so and ends."""
        self.start(*(name for name, process in self.running.items() if process.has_ended))

    async def kill(self, *names: str) -> None:
        for name in names:
            self.running[name].send(signal.SIGKILL)
        for name in names:
            await self.running[name].ended()

    @property
    def last_words(self) -> dict[str, str]:
        """The end of what each that runs now has said, for whoever looks why a test failed."""
        return {name: process.output[-2000:] for name, process in self.running.items()}


class FaultInjector:
    """What it does is told by its seed; `done` counts it."""

    def __init__(self, marquee: Marquee, stores: Stores, seed: int) -> None:
        self._marquee = marquee
        self._stores = stores
        self._dice = random.Random(seed)
        self._to_come: list[Strike] = []
        self.done: Counter[str] = Counter()

    async def go_on(self, seconds: float, is_enough: Callable[[], bool]) -> None:
        """One or two victims at a time, so long at least; longer on a slow machine, until it is
        enough, but not without end. At the end all run."""
        begun = time.monotonic()
        while (past := time.monotonic() - begun) < seconds * _LONGER:
            if past >= seconds and is_enough():
                break
            await asyncio.sleep(self._dice.uniform(0.3, 1.0))
            strikes = dict(self._draw(self._dice.choice([1, 1, 2])))
            come_back = [await self._strike(one, strikes[one]) for one in VICTIMS if one in strikes]
            await asyncio.sleep(self._dice.uniform(0.3, 1.2))
            for again in come_back:
                again()
            self._marquee.revive()

    def _draw(self, many: int) -> list[Strike]:
        """All eight in a random order, then all eight again."""
        if len(self._to_come) < many:
            fresh = [(victim, how) for victim in VICTIMS for how in ("kills", "freezes")]
            self._dice.shuffle(fresh)
            self._to_come += fresh
        drawn, self._to_come = self._to_come[:many], self._to_come[many:]
        return drawn

    async def _strike(self, victim: str, how: str) -> Callable[[], object]:
        """What brings it back. Stores start in this thread: they end with the one they start in."""
        self.done[f"{how} {victim}"] += 1
        name = victim
        if victim == "worker":
            name = self._dice.choice([one for one in self._marquee.running if one != "api"])
        if how == "freezes":
            pid = self._pid(name)
            os.kill(pid, signal.SIGSTOP)
            return lambda: os.kill(pid, signal.SIGCONT)
        if name in self._marquee.running:
            await self._marquee.kill(name)
            return lambda: self._marquee.start(name)
        server = self._stores.redis if name == "redis" else self._stores.mongod
        server.process.kill()
        server.process.wait()
        return self._stores.start_redis if name == "redis" else self._stores.start_mongod

    def _pid(self, name: str) -> int:
        if name in self._marquee.running:
            return self._marquee.running[name].pid
        return (self._stores.redis if name == "redis" else self._stores.mongod).pid
