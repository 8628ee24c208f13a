"""python -m bench overload: what a process answers with 16 connections, and with 256.

Ours alone, the deep query, its default limit of operations in flight; each round measures both.
At 256 connections it should answer at least 90 % as much, and refuse the others within 50 ms.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from bench.databases import Addresses
from bench.items import DEEP
from bench.load_asyncio import response
from bench.running import servers
from bench.targets import TARGETS

FEW, MANY = 16, 256
_SECONDS = 5.0
_OK, _BUSY = 200, 503


@dataclass
class Load:
    """Requests of one measurement: how many were answered, and the seconds of each refusal."""

    port: int
    answered: int = 0
    refused: list[float] = field(default_factory=list)
    others: int = 0

    async def drive(self, connections: int, seconds: float) -> None:
        """Send one request after another on so many connections, refused or not."""
        ends_at = time.perf_counter() + seconds
        await asyncio.gather(*(self._connect(ends_at) for _ in range(connections)))

    async def _connect(self, ends_at: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        request = build_request()
        while time.perf_counter() < ends_at:
            sent = time.perf_counter()
            writer.write(request)
            status, _ = await response(reader)
            if status == _OK:
                self.answered += 1
            elif status == _BUSY:
                self.refused.append(time.perf_counter() - sent)
            else:
                self.others += 1
        writer.close()


def build_request() -> bytes:
    """The deep query as bytes of HTTP."""
    body = json.dumps({"query": DEEP, "variables": {"first": 20}}).encode()
    head = "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def overload(
    addresses: Addresses,
    folder: Path,
    more: dict[str, str],
    rounds: int,
    say: Callable[[str], None],
) -> str:
    """The result in one sentence."""
    target = replace(TARGETS[0], name="ours-overload")
    shares, refusals = [], []
    with servers([target], addresses, folder, more) as (server,):
        _measure(server.port, FEW)  # warm
        for number in range(rounds):
            few, many = _measure(server.port, FEW), _measure(server.port, MANY)
            shares.append(many.answered / max(1, few.answered))
            refusals += many.refused
            say(f"  {number + 1} {few.answered} answered of {FEW}, {many.answered} of {MANY}, "
                f"{len(many.refused)} refused, {few.others + many.others} otherwise")  # fmt: skip
    return sentence(shares, refusals)


def _measure(port: int, connections: int) -> Load:
    load = Load(port)
    asyncio.run(load.drive(connections, _SECONDS))
    return load


def sentence(shares: list[float], refusals: list[float]) -> str:
    """Of goodput at many connections over that at few, round by round, and of the refusals."""
    ordered = sorted(refusals)
    late = f", p99 of {1000 * ordered[int(0.99 * len(ordered))]:.0f} ms" if ordered else ""
    return (
        f"At {MANY} connections a process answers {100 * median(shares):.0f} % of what it answers "
        f"at {FEW} ({100 * min(shares):.0f}-{100 * max(shares):.0f}, {len(shares)} rounds); "
        f"{len(refusals)} refusals{late}."
    )
