"""python -m bench profile: where a request's time goes, by layer, and at another commit.

CPU-ms per request are measured without a profiler, in interleaved rounds; py-spy's samples then
divide them among the layers (layers.py). Prints the tables of docs/performance.md and draws
docs/request-time.svg.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench.databases import Addresses
from bench.dataset import ROOT, Dataset
from bench.items import ITEMS, Item
from bench.layers import LAYERS, count_layers, spend
from bench.load import drive
from bench.measure import Cells, Pace, Sequences, measure
from bench.picture import draw
from bench.processes import BenchError
from bench.running import Running, prepare, servers
from bench.tables import number, table
from bench.targets import Target, choose_targets

Say = Callable[[str], None]
PICTURE = ROOT / "docs/request-time.svg"
NOW, BEFORE = "now", "before"
_SECONDS = 8.0
_SAMPLES_PER_SECOND = 400
_SERVERS = {"ours": ("browse", "deep", "one", "progress"), "ours-cache": ("browse",)}
_TITLES = {("ours-cache", "browse"): "kept answer"}

# CPU-ms of the same reads and writes by a server written by hand for them alone: an asyncio
# protocol, one command to each store, no limits, no log, no plan (docs/performance.md).
FLOORS = {"browse": 0.25, "deep": 0.9, "one": 0.16, "progress": 0.05, "kept answer": 0.014}


@dataclass(frozen=True)
class Spent:
    """One item of one version: CPU-ms per request, of each layer."""

    item: str
    version: str
    layers: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.layers.values())


def profile(
    addresses: Addresses,
    films: Dataset,
    folder: Path,
    *,
    before: Path | None,
    pace: Pace,
    say: Say,
) -> str:
    """The tables, one for each item.

    Args:
        before: a checkout of another commit, whose server is measured beside ours.

    Raises:
        BenchError: there is no py-spy.
    """
    if not shutil.which("py-spy"):
        raise BenchError("there is no py-spy on PATH: pip install py-spy into any environment")
    targets = list(_targets(before))
    sequences, items = Sequences(), list(ITEMS)
    with servers(targets, addresses, folder, {}) as started:
        prepare(started, items, films, folder, None)
        for server in started:
            _keep_profiled_items(server)
        cells = measure(started, items, pace, folder, sequences, say)
        spent = [
            _profile(server, item, cells, folder, sequences, say)
            for item in items
            for server in started
            if item.name in server.requests
        ]
    PICTURE.write_text(draw(_by_title(spent), FLOORS))
    return "\n\n".join(f"### {title}\n\n{_table(rows)}" for title, rows in _by_title(spent).items())


def _targets(before: Path | None) -> Iterator[Target]:
    for target in choose_targets(list(_SERVERS)):
        yield replace(target, name=f"{target.name} {NOW}")
        if before is not None:
            yield replace(target, name=f"{target.name} {BEFORE}", folder=before)


def _keep_profiled_items(server: Running) -> None:
    kind = server.name.split()[0]
    for name in set(server.requests) - set(_SERVERS[kind]):
        del server.requests[name]


def _profile(
    server: Running,
    item: Item,
    cells: Cells,
    folder: Path,
    sequences: Sequences,
    say: Say,
) -> Spent:
    kind, version = server.name.split()
    output = folder / f"profiles/{kind}-{version}-{item.name}.raw"
    output.parent.mkdir(parents=True, exist_ok=True)
    server.renew(item)
    with subprocess.Popen(_command(server, output), stderr=subprocess.PIPE) as recorder:
        first = sequences.take(2 * _SECONDS * 100_000)
        drive(server.port, server.file(folder, item), _SECONDS + 1, offset=0, sequence=first)
        _, errors = recorder.communicate()
    if recorder.returncode:
        raise BenchError(f"py-spy failed: {errors.decode(errors='replace')[-500:]}")
    samples = count_layers(output.read_text(errors="replace").splitlines())
    cpu_ms = median(cell.cpu_ms for cell in cells[server.name, item.name])
    title = _TITLES.get((kind, item.name), item.name)
    say(f"  {title} {version}: {samples.total()} samples, {cpu_ms:.3f} CPU-ms")
    return Spent(title, version, spend(samples, cpu_ms))


def _command(server: Running, output: Path) -> Sequence[str]:
    pid, seconds, rate = server.child.process.pid, f"{_SECONDS:.0f}", str(_SAMPLES_PER_SECOND)
    options = ["--format", "raw", "--full-filenames", "--output", str(output)]
    return ["py-spy", "record", "--pid", str(pid), "--duration", seconds, "--rate", rate, *options]


def _by_title(spent: Sequence[Spent]) -> dict[str, dict[str, Mapping[str, float]]]:
    """Title -> version -> CPU-ms of each layer, the earlier version first."""
    titles: dict[str, dict[str, Mapping[str, float]]] = {}
    for one in sorted(spent, key=lambda one: one.version != BEFORE):
        titles.setdefault(one.item, {})[one.version] = one.layers
    return {title: titles[title] for title in FLOORS if title in titles}


def _table(versions: Mapping[str, Mapping[str, float]]) -> str:
    head = ["layer, CPU-ms per request", *versions]
    rows = [
        [layer, *(_amount(layers[layer]) for layers in versions.values())]
        for layer in LAYERS
        if any(layers[layer] >= 0.0005 for layers in versions.values())
    ]
    totals = ["**all**", *(f"**{number(sum(one.values()))}**" for one in versions.values())]
    return table(head, [*rows, totals])


def _amount(cpu_ms: float) -> str:
    return f"{cpu_ms:.3f}"
