"""python -m bench profile: where a request's time goes, by layer, and at another commit.

CPU-ms per request are measured without a profiler, in interleaved rounds; py-spy's samples then
divide them among the layers (layers.py). Beside another commit, the table of docs/performance.md
and its picture are written anew.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.databases import Addresses
from bench.dataset import ROOT, Dataset
from bench.items import ITEMS, Item
from bench.layers import LAYERS, count_layers, spend
from bench.load import drive
from bench.machine import machine
from bench.measure import Cells, Pace, Sequences, measure
from bench.picture import draw
from bench.processes import BenchError
from bench.running import Running, prepare, servers
from bench.tables import table
from bench.targets import Target, choose_targets

Say = Callable[[str], None]
PICTURE, PAGE = ROOT / "docs/request-time.svg", ROOT / "docs/performance.md"
_BEGIN, _END = "<!-- written by python -m bench profile -->", "<!-- end -->"
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
    """The table of layers.

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
    titles = _by_title(spent)
    text = layer_table(titles)
    if before is not None:
        PICTURE.write_text(draw(titles, FLOORS))
        PAGE.write_text(replace_table(PAGE.read_text(), f"{text}\n\n{_circumstances(pace, cells)}"))
        say(f"written: {PICTURE}, {PAGE}")
    return text


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


def layer_table(titles: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """CPU-us of each layer, a column an item, the version before and now in each cell."""
    head = ["CPU-us per request", *titles]
    rows = [
        [layer, *(_cell([layers[layer] for layers in one.values()]) for one in titles.values())]
        for layer in LAYERS
    ]
    totals = [_cell([sum(layers.values()) for layers in one.values()]) for one in titles.values()]
    floors = [f"{1000 * FLOORS[title]:.0f}" for title in titles]
    return table(head, [*rows, ["**all**", *totals], ["floor", *floors]])


def _cell(cpu_ms: Sequence[float]) -> str:
    return " → ".join(f"{1000 * amount:.0f}" for amount in cpu_ms)


def replace_table(page: str, text: str) -> str:
    """The page with this text between the two marks.

    Raises:
        BenchError: the page has no such marks.
    """
    head, begin, after = page.partition(_BEGIN)
    _, end, tail = after.partition(_END)
    if not begin or not end:
        raise BenchError(f"{PAGE.name} has lost its mark: {_BEGIN} ... {_END}")
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}"


def _circumstances(pace: Pace, cells: Cells) -> str:
    day = datetime.now(UTC).strftime("%-d %B %Y")
    load = median(cell.busy for rounds in cells.values() for cell in rounds)
    return (
        f"{day}, {machine()}; medians of {pace.rounds} rounds of {pace.seconds:g} s, load average "
        f"{load:.1f}: above 2 others used the machine, too, and every figure is higher than alone."
    )
