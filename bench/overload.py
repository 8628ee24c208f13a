"""What a server answers of the deep query when more connections ask than it can serve.

`python -m bench overload`: ours alone with 16 connections and with 256, each round measures both;
at 256 it should answer at least 90 % as much, and refuse the others within 50 ms. The full run sets
ours beside peers at 16, 64 and 256.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from bench.databases import Addresses
from bench.items import DEEP
from bench.load_asyncio import response
from bench.losses import Comparison
from bench.running import Running, servers
from bench.tables import percentile, table
from bench.targets import TARGETS

STEPS = (16, 64, 256)
FEW, MANY = STEPS[0], STEPS[-1]
MEASURED = ("ours", "mercurius-projected", "yoga-projected", "grafserv")
_SECONDS = 5.0
_OK, _BUSY = 200, 503


@dataclass
class Load:
    """Requests of one measurement: the seconds of each answer and of each refusal."""

    port: int
    seconds: float = 0.0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    others: int = 0

    @property
    def per_second(self) -> float:
        return len(self.answered) / self.seconds

    async def drive(self, connections: int, seconds: float) -> None:
        """Send one request after another on so many connections, refused or not."""
        started = time.perf_counter()
        ends_at = started + seconds
        await asyncio.gather(*(self._connect(ends_at) for _ in range(connections)))
        self.seconds = time.perf_counter() - started

    async def _connect(self, ends_at: float) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
            with closing(writer):
                while time.perf_counter() < ends_at:
                    await self._ask(reader, writer)
        except (OSError, EOFError):  # refused, reset or cut: this client gives up
            self.others += 1

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = time.perf_counter()
        writer.write(_REQUEST)
        status, _ = await response(reader)
        if status == _OK:
            self.answered.append(time.perf_counter() - sent)
        elif status == _BUSY:
            self.refused.append(time.perf_counter() - sent)
        else:
            self.others += 1


def build_request() -> bytes:
    """The deep query as bytes of HTTP."""
    body = json.dumps({"query": DEEP, "variables": {"first": 20}}).encode()
    head = "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


_REQUEST = build_request()


def overload(
    addresses: Addresses,
    folder: Path,
    more: dict[str, str],
    rounds: int,
    say: Callable[[str], None],
) -> str:
    """Ours alone; the result in one sentence."""
    target = replace(TARGETS[0], name="ours-overload")
    shares, refusals = [], []
    with servers([target], addresses, folder, more) as (server,):
        _measure(server.port, FEW, _SECONDS)  # warm
        for number in range(rounds):
            few, many = (_measure(server.port, count, _SECONDS) for count in (FEW, MANY))
            shares.append(many.per_second / max(1, few.per_second))
            refusals += many.refused
            say(f"  {number + 1} {_line(FEW, few)}; {_line(MANY, many)}")
    return sentence(shares, refusals)


Steps = Mapping[int, Sequence[Load]]  # connections -> rounds


def compare_overload(
    started: Sequence[Running], rounds: int, seconds: float, say: Callable[[str], None]
) -> Mapping[str, Steps]:
    """The servers of MEASURED among the started ones, round by round at each step."""
    loads: dict[str, dict[int, list[Load]]] = {}
    for number in range(rounds):
        for server in (server for server in started if server.name in MEASURED):
            steps = loads.setdefault(server.name, {step: [] for step in STEPS})
            for step in STEPS:
                server.child.ensure_running()
                load = _measure(server.port, step, seconds)
                steps[step].append(load)
                say(f"  {number + 1} overload  {server.name:22} {_line(step, load)}")
    return loads


def overload_table(loads: Mapping[str, Steps]) -> str:
    """Answers a second at each number of connections, and what became of the others."""
    head = ["server", *(f"{step} connections" for step in STEPS), f"{MANY} of {FEW}", "p99 ms",
            "refused", "p99 of refusals", "failed"]  # fmt: skip
    return table(head, [_row(name, steps) for name, steps in loads.items()])


def _row(name: str, steps: Steps) -> list[str]:
    many = steps[MANY]
    answered = [seconds for load in many for seconds in load.answered]
    refused = [seconds for load in many for seconds in load.refused]
    share = median(load.per_second / few.per_second for load, few in _pairs(many, steps[FEW]))
    return [
        name,
        *(f"{median(load.per_second for load in steps[step]):.0f}/s" for step in STEPS),
        f"{100 * share:.0f} %",
        f"{1000 * percentile(answered, 0.99):.0f}",
        str(len(refused)),
        f"{1000 * percentile(refused, 0.99):.0f} ms" if refused else "",
        str(sum(load.others for load in many)),
    ]


def compare_goodput(loads: Mapping[str, Steps]) -> list[Comparison]:
    """Of the milliseconds an answer takes at MANY connections, ours beside each peer."""
    if "ours" not in loads:
        return []
    ours = loads["ours"][MANY]
    return [
        Comparison(
            f"deep, {MANY} connections", "overload", "ours", name, _per_answer(ours),
            _per_answer(steps[MANY]),
            tuple(own.per_second / load.per_second for own, load in _pairs(ours, steps[MANY])),
            "ms per answer; it refuses nobody",
        )
        for name, steps in loads.items()
        if name != "ours"
    ]  # fmt: skip


def _per_answer(loads: Sequence[Load]) -> float:
    return median(1000 / max(load.per_second, 0.001) for load in loads)


def _pairs(some: Sequence[Load], others: Sequence[Load]) -> list[tuple[Load, Load]]:
    """Rounds in which the others answered anything."""
    return [(one, other) for one, other in zip(some, others, strict=True) if other.answered]


def _measure(port: int, connections: int, seconds: float) -> Load:
    load = Load(port)
    asyncio.run(load.drive(connections, seconds))
    return load


def _line(connections: int, load: Load) -> str:
    return (
        f"{load.per_second:.0f}/s answered of {connections}, {len(load.refused)} refused, "
        f"{load.others} failed"
    )


def sentence(shares: list[float], refusals: list[float]) -> str:
    """Of goodput at many connections over that at few, round by round, and of the refusals."""
    late = f", p99 of {1000 * percentile(refusals, 0.99):.0f} ms" if refusals else ""
    return (
        f"At {MANY} connections a process answers {100 * median(shares):.0f} % of what it answers "
        f"at {FEW} ({100 * min(shares):.0f}-{100 * max(shares):.0f}, {len(shares)} rounds); "
        f"{len(refusals)} refusals{late}."
    )
