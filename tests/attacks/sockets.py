"""Thousands of WebSockets to a running server, and what others feel while they are opened.

`python -m tests.attacks.sockets [PORT] [SOCKETS]` opens them from many addresses, each with a
connection_init that is acknowledged, and prints the latency of other clients' requests.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

from tests.attacks.others import Latency, measure_others

PER_ADDRESS = 150
_AT_ONCE = 200
_QUIET_SECONDS = 2.0
_HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
)
_INIT = json.dumps({"type": "connection_init"}).encode()
_FRAME = bytes((0x81, 0x80 | len(_INIT), 0, 0, 0, 0)) + _INIT  # masked with zeros: RFC 6455, 5.3


async def attack(port: int, sockets: int) -> dict[str, Latency]:
    """Measure others before, while the sockets are opened, are open, and end all at once."""
    latencies = {}
    async with measure_others(port) as before:
        await asyncio.sleep(_QUIET_SECONDS)
    latencies["before"] = before.latency
    async with measure_others(port) as meanwhile:
        started = time.monotonic()
        writers = await open_sockets(port, sockets)
        seconds = time.monotonic() - started
    latencies[f"while {len(writers)} are opened, {seconds:.1f} s"] = meanwhile.latency
    async with measure_others(port) as afterwards:
        await asyncio.sleep(_QUIET_SECONDS)
    latencies["while they are open"] = afterwards.latency
    async with measure_others(port) as at_the_end:
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(_QUIET_SECONDS)
    latencies["while they end"] = at_the_end.latency
    return latencies


async def open_sockets(port: int, sockets: int) -> list[asyncio.StreamWriter]:
    """Open so many sockets, each acknowledged."""
    may_begin = asyncio.Semaphore(_AT_ONCE)

    async def open_next(number: int) -> asyncio.StreamWriter:
        async with may_begin:
            return await _open(port, f"127.0.{1 + number // PER_ADDRESS}.1")

    return list(await asyncio.gather(*(open_next(number) for number in range(sockets))))


async def _open(port: int, source: str) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(_HANDSHAKE)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    writer.write(_FRAME)
    _, size = await reader.readexactly(2)
    assert json.loads(await reader.readexactly(size))["type"] == "connection_ack"
    return writer


def raise_descriptor_limit() -> None:
    """Let this process open as many files as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    raise_descriptor_limit()
    numbers = [int(argument) for argument in sys.argv[1:3]]
    for moment, latency in asyncio.run(attack(*numbers, *(5000, 7000)[len(numbers) :])).items():
        print(f"{moment}: {latency}")
