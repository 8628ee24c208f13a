"""Thousands of silent connections from one address to a running server, and what others feel of it.

`python -m tests.attacks.silent_connections [PORT] [CONNECTIONS]` prints the latency of other
clients' requests before and meanwhile. It is no test of the suite: it takes a descriptor per
connection here and in the server.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import time

import httpx

_AT_ONCE = 500
_OTHERS_SOURCE = "127.0.0.2"
_REQUESTS = 200


async def attack(port: int, connections: int) -> None:
    """Measure, open the connections, measure again."""
    async with _connect_other(port) as client:
        _print("before", await _measure(client))
        measuring = asyncio.create_task(_measure(client))
        opened = 0
        writers = []
        started = time.monotonic()
        while opened < connections:
            batch = min(_AT_ONCE, connections - opened)
            results = await asyncio.gather(
                *(asyncio.open_connection("127.0.0.1", port) for _ in range(batch)),
                return_exceptions=True,
            )
            writers += [one[1] for one in results if not isinstance(one, BaseException)]
            opened += batch
        print(f"{len(writers)} of {opened} connected in {time.monotonic() - started:.1f} s")
        _print("while they come", await measuring)
        _print("while they are silent", await _measure(client))
        for writer in writers:
            writer.close()


def _connect_other(port: int) -> httpx.AsyncClient:
    """A client at another address of this machine."""
    transport = httpx.AsyncHTTPTransport(local_address=_OTHERS_SOURCE)
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=30)


async def _measure(client: httpx.AsyncClient) -> list[float]:
    seconds = []
    for _ in range(_REQUESTS):
        started = time.perf_counter()
        response = await client.post("/graphql", json={"query": "{ __typename }"})
        seconds.append(time.perf_counter() - started)
        response.raise_for_status()
        await asyncio.sleep(0.01)
    return seconds


def _print(moment: str, seconds: list[float]) -> None:
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    print(f"{moment}: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")


if __name__ == "__main__":
    _, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))
    numbers = [int(argument) for argument in sys.argv[1:3]]
    asyncio.run(attack(*numbers, *(5000, 10_000)[len(numbers) :]))
