"""What processes log of a store that is away: one line each, whatever else fails because of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.stores import Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served, until

AWAY_SECONDS = 8.0
FILMS = "{ movies(first: 3, orderBy: {field: TITLE}) { nodes { title } } }"


@pytest.fixture
async def processes(stores: Stores, tmp_path: Path) -> AsyncIterator[tuple[list[Process], Served]]:
    port = free_port()
    environment = {
        **stores.environment,
        "PORT": str(port),
        "DATA_DIR": str(tmp_path / "data"),
        "REDIS_TIMEOUT_MS": "2000",  # a busy machine is no outage
        "RATE_LIMIT_MODE": "enforce",
        "RATE_LIMIT_ANONYMOUS_MAX_REQUESTS": "100000",
        "ABUSE_MODE": "enforce",
        "THROTTLES": "true",
    }
    with ExitStack() as running:
        both = [
            running.enter_context(Process(tmp_path / name, name, environment=environment))
            for name in ("serve", "worker")
        ]
        await both[1].says("worker_started")
        async with Served(port) as served:
            await until(served.is_healthy)
            yield both, served


def complaints(process: Process) -> list[str]:
    """Lines of warnings and errors, but for requests that failed."""
    lines = [line for line in process.output.splitlines() if "[warning" in line or "[error" in line]
    assert "Traceback" not in process.output
    return [line for line in lines if "store_unfit" not in line and "misconfigured" not in line]


@pytest.mark.parametrize(("store", "event"), [("redis", "redis"), ("mongod", "database")])
async def test_an_outage_of_a_store_is_one_line_of_each_process(
    stores: Stores, processes: tuple[list[Process], Served], store: str, event: str
) -> None:
    both, served = processes
    assert [complaints(process) for process in both] == [[], []]
    # when the store falls silent while requests come and workers run
    pid = getattr(stores, store).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + AWAY_SECONDS
        while loop.time() < ends_at:
            await served.graphql(FILMS)
            await asyncio.sleep(0.2)
    finally:
        os.kill(pid, signal.SIGCONT)
    # then each process has said so once, and that it is over once
    for process in both:
        await process.says(f"{event}_recovered")
        told = [line for line in complaints(process) if f"{event}_unavailable" not in line]
        assert told == []
        assert process.output.count(f"{event}_unavailable") == 1
        assert process.output.count(f"{event}_recovered") == 1
