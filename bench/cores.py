"""python -m bench processes: do two processes on two cores serve twice what one serves?

Ours alone, the deep query executed from memory: no store is asked, and the load generator takes
little beside it. One process is on a core of its own; two share both cores with the generator, so
what they answer is a little less than they could. Two figures are told of each round: answers a
second, which the generator and whoever else is on the machine push down; and answers for a second
of the servers' CPU, their supervisor's included, which says what two whole cores would serve.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import items
from bench.client import send
from bench.databases import Addresses
from bench.dataset import Dataset
from bench.items import ITEMS, Request
from bench.load import drive, write_requests
from bench.processes import (
    ANY_CORE,
    SERVER_CORE,
    BenchError,
    cpu_of_children,
    cpu_seconds,
    free_port,
    wait_until,
)
from bench.running import Running, servers
from bench.targets import TARGETS

CONNECTIONS = 32  # shared by a hash: few would often be one process's alone
_WARM_UP_SECONDS = 3.0


@dataclass(frozen=True)
class Round:
    """One measurement of one process or of two.

    Args:
        shares: of each process, how much of the time it computed.
    """

    per_second: float
    per_cpu_second: float
    shares: tuple[float, ...]


def compare_processes(
    addresses: Addresses,
    films: Dataset,
    folder: Path,
    more: Mapping[str, str],
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> str:
    """The result in one sentence."""
    (deep,) = (item for item in ITEMS if item.name == "deep")
    requests = folder / "requests/processes.deep.tsv"
    write_requests(requests, items.requests(deep, films))
    pairs = []
    with (
        _supervised(1, SERVER_CORE, addresses, folder, more) as one,
        _supervised(2, ANY_CORE, addresses, folder, more) as two,
    ):
        for server in (one, two):
            _measure(server, requests, _WARM_UP_SECONDS)
        for number in range(rounds):
            pair = tuple(_measure(server, requests, seconds) for server in (one, two))
            pairs.append(pair)
            say(f"  {number + 1} {'; '.join(map(_line, pair))}")
    return sentence([(alone, both) for alone, both in pairs])


@contextmanager
def _supervised(
    number: int, core: int, addresses: Addresses, folder: Path, more: Mapping[str, str]
) -> Iterator[Running]:
    """So many processes, all ready, on this core or on all."""
    (entities,) = (target for target in TARGETS if target.name == "ours-entities")
    metrics_port = free_port()
    target = replace(
        entities,
        name=f"ours-{number}-processes",
        command=(*entities.command, "--processes", str(number)),
        environment={**entities.environment, "METRICS_PORT": str(metrics_port)},
    )
    with ExitStack() as stack:
        (server,) = stack.enter_context(servers([target], addresses, folder, more, core=core))
        wait_until(lambda: _is_whole(metrics_port, number), server.child)
        yield server


def _is_whole(port: int, number: int) -> bool:
    try:
        report = send(port, Request("GET", "/ready", {})).json()
    except (OSError, BenchError):
        return False
    return len(report["processes"]) == number and report["status"] == "healthy"


def _measure(server: Running, requests: Path, seconds: float) -> Round:
    pid = server.child.process.pid
    began, spent, before = time.monotonic(), cpu_seconds(pid), cpu_of_children(pid)
    load = drive(server.port, requests, seconds, offset=0, sequence=0, connections=CONNECTIONS)
    took, spent, after = time.monotonic() - began, cpu_seconds(pid) - spent, cpu_of_children(pid)
    if load.failures or not load.requests or before.keys() != after.keys():
        raise BenchError(f"{load.failures} of {load.requests} failed: {json.dumps(server.name)}")
    shares = tuple(sorted((after[child] - before[child]) / took for child in after))
    return Round(load.requests / load.seconds, load.requests / spent, shares)


def _line(one: Round) -> str:
    shares = " + ".join(f"{100 * share:.0f} %" for share in one.shares)
    return f"{one.per_second:.0f}/s at {shares} of a core, {one.per_cpu_second:.0f} a CPU-second"


def sentence(pairs: list[tuple[Round, Round]]) -> str:
    """Of one and of two processes, round by round."""
    answers = [two.per_second / one.per_second for one, two in pairs]
    by_cpu = [2 * two.per_cpu_second / one.per_cpu_second for one, two in pairs]
    busy = median(sum(two.shares) for _, two in pairs)
    return (
        f"Two processes answer {_spread(answers)} times what one answers, with {busy:.2f} of two "
        f"cores beside the load generator; for the same CPU they answer so much that two whole "
        f"cores serve {_spread(by_cpu)} times what one does (median of {len(pairs)} rounds, deep "
        "from memory)."
    )


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
