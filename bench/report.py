"""RESULTS.md: what we lose, what is unfair, then every row; medians over rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from bench.environment import RAISED
from bench.items import Item
from bench.losses import Comparison, compare, members, ratios
from bench.machine import commit, machine, versions
from bench.measure import Cell, Cells, Pace
from bench.running import Running
from bench.tables import number, spread, table
from bench.targets import GROUPS

_ABOUT = """\
CPU-ms is the server process's own user and system time per request, of its whole process tree; it
does not depend on the load generator. Servers run on core 0, one under load at a time; the load
generator, MongoDB and Redis share core 1 and limit the fastest servers' throughput and latency.
"theirs / ours" is a peer's CPU-ms divided by ours in the same round: median (lowest-highest); above
1 we are cheaper. Cells are medians over rounds. Only ratios inside one table count."""

_UNFAIR = """\
### Unfair to us

- Ours runs as shipped: rate limits, abuse watch, a log line per request, metrics, cost and depth
  limits, overload control. The peers have none of these.
- `progress` costs ours a token check, the session's rules and a durable stream entry; the peers
  write one Redis hash for anybody. Only `mercurius-same-work` checks the token and calls our
  script; it counts no limits, validates no seconds and logs nothing.
- Cached peers drop nothing when a film changes, except Yoga's plugin, which tracks entities.
- Peers "projected" and "bare" select fields by a table written by hand for the three types asked
  for here; ours and grafserv do it for every type. "bare" has no framework, plugins or limits.
- Under overload ours answers 503 with Retry-After, and the clients here ask again at once.

### Unfair to the peers

- Peers that are not "projected" read whole documents, as their documentation does.
- All load comes from one address, so that ours counts its limits ahead in large batches: viewers
  at many addresses cost up to a Redis call each.
- Each operation is sent again and again, so its parsed, planned document is there in all servers.
- V8 and JavaScriptCore warm up longer than the few seconds before the first round.
- One process each. The generator, MongoDB and Redis are on the same machine."""


@dataclass(frozen=True)
class Section:
    """A table beside those of the items, and how ours compares in it."""

    title: str
    text: str
    comparisons: Sequence[Comparison] = ()


@dataclass(frozen=True)
class Circumstances:
    """What the figures were measured under; `note` is the user's own word on the machine."""

    pace: Pace
    memory: Mapping[str, float]
    load_before: float
    note: str = ""


def document(
    servers: Sequence[Running],
    chosen: Sequence[Item],
    cells: Cells,
    sections: Sequence[Section],
    circumstances: Circumstances,
) -> str:
    comparisons = [c for section in sections for c in section.comparisons]
    comparisons = sorted(
        [*compare(servers, chosen, cells), *comparisons], key=lambda comparison: comparison.ratio
    )
    parts = [
        _head(circumstances, cells),
        losses(comparisons),
        f"## How to read it\n\n{_ABOUT}",
        _UNFAIR,
        _settings(),
        "## Every row\n\nAnswers were equal before and after; where not, the notes say so.",
        tables(servers, chosen, cells),
        *(f"### {section.title}\n\n{section.text}" for section in sections),
        _memory(servers, circumstances.memory),
        "## Measured with\n\n"
        + "\n".join(f"- {kind}: {line}." for kind, line in versions().items()),
        _notes(servers, cells),
    ]
    return "\n\n".join(parts) + "\n"


def losses(comparisons: Sequence[Comparison]) -> str:
    """Every row that is lost, the greatest loss first, and those that are about even."""
    lost = [comparison for comparison in comparisons if comparison.is_lost]
    close = [
        comparison for comparison in comparisons if comparison.is_close and not comparison.is_lost
    ]
    verdict = f"{len(lost)} of {len(comparisons)} comparisons are lost, the greatest loss first."
    parts = ["## Where we lose", verdict if lost else "No row is lost in this run."]
    if lost:
        parts.append(_comparison_table(lost))
    if close:
        parts.append("Won by the median, but not in every round:\n\n" + _comparison_table(close))
    return "\n\n".join(parts)


def _comparison_table(comparisons: Sequence[Comparison]) -> str:
    head = ["item", "peer", "theirs", "ours", "theirs / ours", "the peer"]
    return table(head, [_comparison_row(comparison) for comparison in comparisons])


def _comparison_row(comparison: Comparison) -> list[str]:
    return [
        f"{comparison.item}, {comparison.group}",
        comparison.peer,
        number(comparison.peer_ms),
        number(comparison.ours_ms),
        spread(comparison.ratios),
        comparison.note,
    ]


def tables(servers: Sequence[Running], chosen: Sequence[Item], cells: Cells) -> str:
    parts = []
    for group in GROUPS:
        for item in (item for item in chosen if group in item.groups):
            rows = list(_rows(members(servers, group), item, cells))
            if rows:
                parts.append(f"### {item.name}, {group}: {item.about}\n\n{_item_table(rows)}")
    return "\n\n".join(parts)


def _item_table(rows: Sequence[Sequence[str]]) -> str:
    head = ["server", "CPU-ms", "requests/s", "p50 ms", "p95 ms", "p99 ms", "theirs / ours"]
    return table(head, rows)


def _rows(group: Sequence[Running], item: Item, cells: Cells) -> Iterator[list[str]]:
    base = cells.get((group[0].name, item.name)) if group and group[0].target.is_ours else None
    for server in group:
        rounds = cells.get((server.name, item.name))
        if rounds:
            yield [server.name, *_figures(rounds), spread(ratios(rounds, base or ()))]


def _figures(rounds: Sequence[Cell]) -> list[str]:
    mark = "?" if any(cell.doubt for cell in rounds) else ""
    loads = [cell.load for cell in rounds]
    return [
        f"{number(median(cell.cpu_ms for cell in rounds))}{mark}",
        f"{median(cell.per_second for cell in rounds):.0f}",
        *(f"{median(getattr(load, name) for load in loads):.1f}" for name in ("p50", "p95", "p99")),
    ]


def _head(circumstances: Circumstances, cells: Cells) -> str:
    pace, day = circumstances.pace, datetime.now(UTC).strftime("%-d %B %Y")
    lines = [
        f"# Measured: ours beside its peers\n\nWritten by `python -m bench`, {day}, at commit "
        f"{commit()}. {machine()}.",
        f"{pace.rounds} interleaved rounds of {pace.seconds:g} s, after {pace.first_warm_up:g} s of"
        f" warm-up in the first and {pace.warm_up:g} s in the others. "
        f"{load_average(circumstances.load_before, cells)}",
    ]
    return "\n\n".join([*lines, *filter(None, [circumstances.note])])


def load_average(before: float, cells: Cells) -> str:
    """Of one minute, before the run and at the end of each measurement."""
    during = sorted(cell.busy for rounds in cells.values() for cell in rounds) or [before]
    return (
        f"Load average {before:.1f} before; during the run {median(during):.1f} "
        f"({during[0]:.1f}-{during[-1]:.1f}), of which the bench itself makes about 2."
    )


def _settings() -> str:
    names = ", ".join(f"`{name}={value}`" for name, value in RAISED.items())
    return (
        "### Settings of ours\n\nAs shipped for production; only what refuses one busy address is "
        f"raised, and still counted: {names}. `CACHE_TIERS=none` in the uncached rows."
    )


def _versions() -> str:
    lines = [f"- {kind}: {line}." for kind, line in versions().items()]
    return "## Measured with\n\n" + "\n".join(lines)


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
    return "## Notes\n\n" + "\n".join(lines)
