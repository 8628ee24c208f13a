"""Each peer's CPU per request beside ours, the rows that we lose first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.items import Item
from bench.measure import Cell, Cells
from bench.running import Running
from bench.targets import GROUPS

PARITY = 1.0


@dataclass(frozen=True)
class Comparison:
    """One peer beside ours in one table; `ratios` are theirs divided by ours, round by round."""

    item: str
    group: str
    ours: str
    peer: str
    ours_ms: float
    peer_ms: float
    ratios: tuple[float, ...]
    note: str = ""

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def is_lost(self) -> bool:
        return self.ratio < PARITY

    @property
    def is_close(self) -> bool:
        """Whether a round was lost although the median is not, or won although it is."""
        return min(self.ratios) < PARITY <= max(self.ratios)


def compare(servers: Sequence[Running], chosen: Sequence[Item], cells: Cells) -> list[Comparison]:
    """Every peer with its counterpart of ours, the greatest loss first."""
    return sorted(_pairs(servers, chosen, cells), key=lambda comparison: comparison.ratio)


def members(servers: Sequence[Running], group: str) -> list[Running]:
    """The servers of one group's tables, ours first."""
    chosen = [server for server in servers if group in server.target.groups]
    return sorted(chosen, key=lambda server: not server.target.is_ours)


def _pairs(
    servers: Sequence[Running], chosen: Sequence[Item], cells: Cells
) -> Iterator[Comparison]:
    for group in GROUPS:
        for item in (item for item in chosen if group in item.groups):
            present = members(servers, group)
            for peer in (peer for peer in present if not peer.target.is_ours):
                base = present[0]
                ours, theirs = (cells.get((one.name, item.name)) for one in (base, peer))
                if base.target.is_ours and ours and theirs:
                    yield _comparison(group, item, base, peer, ours, theirs)


def _comparison(
    group: str,
    item: Item,
    base: Running,
    peer: Running,
    ours: Sequence[Cell],
    theirs: Sequence[Cell],
) -> Comparison:
    return Comparison(
        item.name,
        group,
        base.name,
        peer.name,
        median(cell.cpu_ms for cell in ours),
        median(cell.cpu_ms for cell in theirs),
        ratios(theirs, ours),
        peer.target.note,
    )


def ratios(theirs: Sequence[Cell], ours: Sequence[Cell]) -> tuple[float, ...]:
    """Of CPU per request, round by round; those of a round without figures are left out."""
    pairs = zip(theirs, ours, strict=False)
    return tuple(peer.cpu_ms / own.cpu_ms for peer, own in pairs if own.cpu_ms and peer.cpu_ms)
