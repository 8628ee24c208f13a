"""Thousands of silent connections from one address to a running server, and what others feel of it.

`python -m tests.attacks.silent_connections [PORT] [CONNECTIONS]` prints the latency of other
clients' requests before and meanwhile. It takes a descriptor per connection here and in the server.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.attacks.others import Latency, measure_others
from tests.attacks.sockets import raise_descriptor_limit

_AT_ONCE = 500
_SILENCE_SECONDS = 2.0


async def attack(port: int, connections: int) -> dict[str, Latency]:
    """Measure, open the connections while others are measured, and measure again."""
    latencies = {}
    async with measure_others(port) as before:
        await asyncio.sleep(_SILENCE_SECONDS)
    latencies["before"] = before.latency
    async with measure_others(port) as meanwhile:
        started = time.monotonic()
        writers = await connect_many(port, connections)
        seconds = time.monotonic() - started
    latencies[f"while {len(writers)} connect, {seconds:.1f} s"] = meanwhile.latency
    async with measure_others(port) as silent:
        await asyncio.sleep(_SILENCE_SECONDS)
    latencies["while they are silent"] = silent.latency
    for writer in writers:
        writer.close()
    return latencies


async def connect_many(port: int, connections: int) -> list[asyncio.StreamWriter]:
    """Open so many connections, some hundred at once."""
    writers: list[asyncio.StreamWriter] = []
    for opened in range(0, connections, _AT_ONCE):
        results = await asyncio.gather(
            *(
                asyncio.open_connection("127.0.0.1", port)
                for _ in range(min(_AT_ONCE, connections - opened))
            ),
            return_exceptions=True,
        )
        writers += [one[1] for one in results if not isinstance(one, BaseException)]
    return writers


if __name__ == "__main__":
    raise_descriptor_limit()
    numbers = [int(argument) for argument in sys.argv[1:3]]
    for moment, latency in asyncio.run(attack(*numbers, *(5000, 10_000)[len(numbers) :])).items():
        print(f"{moment}: {latency}")
