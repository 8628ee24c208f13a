"""A load generator without wrk: asyncio, one request in flight a connection, load.lua's output.

Run as a script: PORT CONNECTIONS SECONDS REQUESTS-FILE OFFSET SEQUENCE
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

MARK = b"8888888888"


@dataclass
class Run:
    port: int
    ends: float
    requests: list[bytes]
    at: int
    sequence: int
    latencies: list[float] = field(default_factory=list)
    received: int = 0
    failures: int = 0

    def next(self) -> bytes:
        self.at = (self.at + 1) % len(self.requests)
        self.sequence += 1
        return self.requests[self.at].replace(MARK, b"%d" % self.sequence)


def prepare_request(line: str, port: int) -> bytes:
    method, path, headers, body = line.rstrip("\n").split("\t")
    lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", *headers.split("|")]
    if body:
        lines.append(f"content-length: {len(body.encode())}")
    return "\r\n".join([*lines, "", body]).encode()


async def connection(run: Run) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port, limit=2**20)
    while time.perf_counter() < run.ends:
        sent = time.perf_counter()
        writer.write(run.next())
        status, size = await response(reader)
        run.latencies.append(time.perf_counter() - sent)
        run.received += size
        run.failures += status >= 400
    writer.close()


async def response(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Status and size of one answer, read to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, lower = int(head[9:12]), head.lower()
    if status == 304 or status == 204:
        return status, len(head)
    if b"transfer-encoding: chunked" in lower:
        return status, len(head) + await chunks(reader)
    length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return status, len(head) + length


async def chunks(reader: asyncio.StreamReader) -> int:
    size = 0
    while True:
        length = int(await reader.readline(), 16)
        await reader.readexactly(length + 2)
        if not length:
            return size
        size += length


async def drive(arguments: list[str]) -> None:
    port, connections, seconds = int(arguments[0]), int(arguments[1]), float(arguments[2])
    with open(arguments[3]) as file:
        requests = [prepare_request(line, port) for line in file]
    started = time.perf_counter()
    run = Run(port, started + seconds, requests, int(arguments[4]), int(arguments[5]))
    ended = await asyncio.gather(
        *(connection(run) for _ in range(connections)), return_exceptions=True
    )
    run.failures += sum(isinstance(outcome, BaseException) for outcome in ended)
    report(run, time.perf_counter() - started)


def report(run: Run, seconds: float) -> None:
    ordered = sorted(run.latencies) or [0.0]
    shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
    figures: dict[str, float] = {
        "requests": len(run.latencies),
        "seconds": seconds,
        "bytes": run.received,
        "failures": run.failures,
    }
    for name, share in shares.items():
        figures[name] = 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    print(json.dumps(figures, separators=(",", ":")))


if __name__ == "__main__":
    asyncio.run(drive(sys.argv[1:]))
