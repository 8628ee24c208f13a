"""The tables: medians over rounds, and every peer's CPU per request divided by ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

from bench.items import Item
from bench.machine import machine, versions
from bench.measure import Cell, Cells, Pace
from bench.running import Running
from bench.targets import CACHED, UNCACHED

_ABOUT = """\
CPU-ms is the server process's own user and system time per request, of its whole process tree; it
does not depend on the load generator. Servers run on core 0, one under load at a time; the load
generator, MongoDB and Redis share core 1 and limit the fastest servers' throughput and latency.
"x ours" is a peer's CPU-ms divided by ours in the same round: median (lowest-highest). Cells are
medians over rounds. Only ratios inside one table count.

Read with care: ours reads only the stored fields that a selection needs; the peers read
whole documents, as their documentation does, except the two named "projected". `progress` costs
ours a token check, the session's rules and a durable stream entry; the peers write one Redis hash.
Cached peers drop nothing when a film changes, except Yoga's plugin, which tracks entities. Rate
limits are off (`RATE_LIMIT_MODE=off`): the peers have none, and the load comes from one address.
"""


def tables(servers: Sequence[Running], chosen: Sequence[Item], cells: Cells) -> str:
    parts = []
    for group in (UNCACHED, CACHED):
        members = [server for server in servers if server.target.group == group]
        for item in chosen:
            rows = list(_rows(members, item, cells))
            if rows:
                parts.append(f"### {item.name}, {group}: {item.about}\n\n{_table(rows)}")
    return "\n\n".join(parts)


def document(
    servers: Sequence[Running],
    chosen: Sequence[Item],
    cells: Cells,
    pace: Pace,
    *,
    memory: Mapping[str, float],
    busy: str,
) -> str:
    day = datetime.now(UTC).strftime("%-d %B %Y")
    kinds = "\n".join(f"- {name}: {line}." for name, line in versions().items())
    about = [
        f"# Measured: ours beside its peers\n\nWritten by `python -m bench`, {day}. {machine()}.",
        f"{pace.rounds} interleaved rounds of {pace.seconds:g} s, after {pace.first_warm_up:g} s of"
        f" warm-up in the first and {pace.warm_up:g} s in the others. Load average {busy}.",
        _ABOUT.strip(),
        f"All answers were equal before and after, without errors.\n\n{kinds}",
    ]
    after = [tables(servers, chosen, cells), _memory(servers, memory), _notes(servers, cells)]
    return "\n\n".join(part for part in about + after if part) + "\n"


def _rows(members: Sequence[Running], item: Item, cells: Cells) -> Iterator[list[str]]:
    base_name = next((m.name for m in members if m.target.is_ours), None)
    base = cells.get((base_name or "", item.name))
    for server in members:
        rounds = cells.get((server.name, item.name))
        if rounds:
            yield [server.name, *_figures(rounds), _ratio(rounds, base)]


def _figures(rounds: Sequence[Cell]) -> list[str]:
    mark = "?" if any(cell.doubt for cell in rounds) else ""
    loads = [cell.load for cell in rounds]
    return [
        f"{median(cell.cpu_ms for cell in rounds):.3g}{mark}",
        f"{median(cell.per_second for cell in rounds):.0f}",
        *(f"{median(getattr(load, name) for load in loads):.1f}" for name in ("p50", "p95", "p99")),
    ]


def _ratio(rounds: Sequence[Cell], base: Sequence[Cell] | None) -> str:
    pairs = zip(rounds, base or (), strict=False)
    ratios = sorted(cell.cpu_ms / ours.cpu_ms for cell, ours in pairs if ours.cpu_ms)
    if not ratios:
        return ""
    spread = f" ({ratios[0]:.2f}-{ratios[-1]:.2f})" if len(ratios) > 1 else ""
    return f"{median(ratios):.2f}{spread}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = ["server", "CPU-ms", "requests/s", "p50 ms", "p95 ms", "p99 ms", "x ours"]
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(_table_line(line, widths) for line in lines)


def _table_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (text.ljust(width) for text, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _memory(servers: Sequence[Running], memory: Mapping[str, float]) -> str:
    shown = ", ".join(f"{server.name} {memory[server.name]:.0f}" for server in servers)
    return f"### Memory\n\nResident MiB at the end of the run: {shown}."


def _notes(servers: Sequence[Running], cells: Cells) -> str:
    lines = [f"- {server.name}: {server.target.note}" for server in servers]
    lines += [f"- {server.name}, {note}" for server in servers for note in server.notes]
    lines += [
        f"- {name}, {item}: doubtful (?): {cell.doubt}"
        for (name, item), rounds in cells.items()
        for cell in rounds
        if cell.doubt
    ]
    return "### Notes\n\n" + "\n".join(lines)
