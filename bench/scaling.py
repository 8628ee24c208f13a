"""python -m bench scaling: does a film cost more in an answer with 1,000 films than with 100?

Ours alone: one page of 100 films against ten such pages in one operation, of distinct films, each
film with its genres, poster and similar films. CPU of the server process; both in every round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.client import ask
from bench.databases import Addresses
from bench.processes import BenchError, cpu_seconds
from bench.running import Running, servers
from bench.targets import TARGETS

PAGE = 100
PAGES = 10
FILMS_PER_ROUND = 20_000
_SELECTION = """fragment Film on Movie { id title originalTitle overview tagline year releaseDate \
runtimeSeconds rating voteCount views languages isFeatured poster { url(width: 342) } \
genres { id slug name } similar(first: 3) { id title } }"""


def scaling(
    addresses: Addresses,
    folder: Path,
    more: dict[str, str],
    rounds: int,
    say: Callable[[str], None],
) -> str:
    """The result in one sentence."""
    target = replace(TARGETS[0], name="ours-scaling")
    with servers([target], addresses, folder, more) as (server,):
        cursors = _cursors(server.port)
        one, ten = operation(cursors[:1]), operation(cursors)
        _spend(server, one, PAGE, FILMS_PER_ROUND)
        _spend(server, ten, PAGE * PAGES, FILMS_PER_ROUND)  # both warm
        pairs = []
        for number in range(rounds):
            few = _spend(server, one, PAGE, FILMS_PER_ROUND)
            many = _spend(server, ten, PAGE * PAGES, FILMS_PER_ROUND)
            pairs.append((few, many))
            say(f"  {number + 1} {few:7.1f} us a film of {PAGE}, {many:7.1f} of {PAGE * PAGES}")
    return sentence(pairs)


def sentence(pairs: list[tuple[float, float]]) -> str:
    """Of CPU-us per film in small and in large answers, round by round."""
    few, many = (median(side) for side in zip(*pairs, strict=True))
    ratios = sorted(large / small for small, large in pairs)
    spread = f"{median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    return (
        f"A film costs {few:.1f} CPU-us in an answer with {PAGE} films and {many:.1f} in one with "
        f"{PAGE * PAGES} (median of {len(pairs)} rounds, uncached); ratio {spread}."
    )


def operation(cursors: list[str | None]) -> str:
    """One operation that asks for the page after each of these cursors."""
    pages = " ".join(
        f"p{number}: movies(first: {PAGE}" + (f', after: "{cursor}"' if cursor else "") + ") "
        "{ nodes { ...Film } }"
        for number, cursor in enumerate(cursors)
    )
    return f"query Scaling {{ {pages} }} {_SELECTION}"


def _cursors(port: int) -> list[str | None]:
    cursors: list[str | None] = [None]
    text = """query ($first: Int!, $after: String) { movies(first: $first, after: $after) {
        pageInfo { endCursor } } }"""
    while len(cursors) < PAGES:
        page = ask(port, text, {"first": PAGE, "after": cursors[-1]})
        cursors.append(page["movies"]["pageInfo"]["endCursor"])
    return cursors


def _spend(server: Running, text: str, films: int, total: int) -> float:
    """CPU-us per film."""
    pid = server.child.process.pid
    before = cpu_seconds(pid)
    for _ in range(total // films):
        _require(ask(server.port, text, {}), films)
    return 1e6 * (cpu_seconds(pid) - before) / total


def _require(data: dict[str, Any], films: int) -> None:
    ids = {film["id"] for page in data.values() for film in page["nodes"]}
    if len(ids) != films:
        raise BenchError(f"{len(ids)} distinct films instead of {films}")
