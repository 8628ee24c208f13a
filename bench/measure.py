"""Interleaved rounds: every server in turn, so that the machine's moods fall on all of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.check import answers
from bench.items import FIRST_SEQUENCE, Item
from bench.load import Load, drive
from bench.processes import cpu_seconds
from bench.running import Running

# More than one second can send, so that sequence numbers only ever grow.
_SEQUENCES_PER_SECOND = 100_000
_OFFSET_PER_ROUND = 5_003


@dataclass(frozen=True)
class Pace:
    rounds: int
    seconds: float
    first_warm_up: float  # for JITs and caches
    warm_up: float


@dataclass(frozen=True)
class Cell:
    """One server, one item, one round."""

    cpu_ms: float
    load: Load
    doubt: str | None
    busy: float = 0.0  # the machine's load average of one minute, at its end

    @property
    def per_second(self) -> float:
        return self.load.requests / self.load.seconds


Cells = dict[tuple[str, str], list[Cell]]  # (server, item) -> rounds


class Sequences:
    """Hands out stretches of sequence numbers that no later stretch overlaps."""

    def __init__(self) -> None:
        self.next = FIRST_SEQUENCE

    def take(self, count: float) -> int:
        first, self.next = self.next, self.next + int(count)
        return first


def measure(
    servers: Sequence[Running],
    chosen: Sequence[Item],
    pace: Pace,
    folder: Path,
    sequences: Sequences,
    say: Callable[[str], None],
) -> Cells:
    cells: Cells = {}
    for round_number, item, server in _turns(servers, chosen, pace.rounds):
        warm_up = pace.warm_up if round_number else pace.first_warm_up
        offset = round_number * _OFFSET_PER_ROUND
        requests = server.file(folder, item)

        def load(seconds: float, at: int = offset, path: Path = requests) -> Load:
            first = sequences.take((seconds + 1) * _SEQUENCES_PER_SECOND)
            return drive(server.port, path, seconds, offset=at, sequence=first)  # noqa: B023

        server.child.ensure_running()
        server.renew(item)
        if warm_up:
            load(warm_up)
        expected = answers(server, item, sequences.take(100)).mean_bytes
        before = cpu_seconds(server.child.process.pid)
        done = load(pace.seconds)
        spent = cpu_seconds(server.child.process.pid) - before
        doubt, busy = _doubt(done, expected), os.getloadavg()[0]
        cell = Cell(1000 * spent / max(1, done.requests), done, doubt, busy)
        cells.setdefault((server.name, item.name), []).append(cell)
        say(f"  {round_number + 1} {item.name:9} {server.name:22} {_line(cell)}")
    return cells


def _turns(
    servers: Sequence[Running], chosen: Sequence[Item], rounds: int
) -> Iterator[tuple[int, Item, Running]]:
    for combination in itertools.product(range(rounds), chosen, servers):
        if combination[1].name in combination[2].requests:
            yield combination


def _doubt(load: Load, expected_bytes: float) -> str | None:
    """Why a figure does not count: failed requests, or answers far shorter than the right ones."""
    if load.failures or not load.requests:
        return f"{load.failures} of {load.requests} requests failed"
    if load.bytes / load.requests < 0.8 * expected_bytes:
        return f"{load.bytes / load.requests:.0f} bytes an answer instead of {expected_bytes:.0f}"
    return None


def _line(cell: Cell) -> str:
    figures = f"{cell.cpu_ms:8.3f} CPU-ms {cell.per_second:8.0f}/s p95 {cell.load.p95:7.1f} ms"
    return f"{figures}  DOUBT: {cell.doubt}" if cell.doubt else figures
