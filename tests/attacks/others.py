"""What others feel: the latency of requests that a process of its own sends, from another address.

In the attacker's own process its busy loop would be measured too.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

ROOT = Path(__file__).parents[2]
_SOURCE = "127.0.0.2"
_PAUSE_SECONDS = 0.005
_QUERY = {"query": "{ __typename }"}


class Latency(NamedTuple):
    """Milliseconds of so many requests."""

    requests: int
    p50: float
    p99: float
    longest: float

    def __str__(self) -> str:
        return (
            f"{self.requests} requests, p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms, "
            f"longest {self.longest:.1f} ms"
        )


class Measurement:
    """A process that measures until it is asked for what it has."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.latency = Latency(0, 0, 0, 0)

    async def finish(self) -> None:
        out, _ = await self._process.communicate(b"\n")
        self.latency = Latency(*json.loads(out))


@asynccontextmanager
async def measure_others(port: int) -> AsyncIterator[Measurement]:
    """Measure while the block lasts; `latency` has the result behind it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(port), cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    measurement = Measurement(process)
    try:
        await process.stdout.readline()  # it has begun
        yield measurement
        await measurement.finish()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _measure(port: int) -> Latency:
    """Send requests one after another until a line is read."""
    transport = httpx.AsyncHTTPTransport(local_address=_SOURCE)
    stopping = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    seconds: list[float] = []
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=60
    ) as client:
        (await client.post("/graphql", json=_QUERY)).raise_for_status()  # connected
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        while not stopping.done() or len(seconds) < 2:
            started = time.perf_counter()
            (await client.post("/graphql", json=_QUERY)).raise_for_status()
            seconds.append(time.perf_counter() - started)
            await asyncio.sleep(_PAUSE_SECONDS)
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    values = (statistics.median(seconds), p99, max(seconds))
    return Latency(len(seconds), *(1000 * one for one in values))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_measure(int(sys.argv[1])))) + "\n")
