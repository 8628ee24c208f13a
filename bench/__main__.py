"""python -m bench: load the films, start the servers, check that they agree, measure, report.

python -m bench profile, scaling, processes (cores.py), overload, live, search or tiers: see
the file of that name.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import dataset, growth, install, report, search, tiers
from bench.check import check
from bench.cores import compare_processes
from bench.databases import Addresses, databases
from bench.items import ITEMS, Item
from bench.live import compare_live, live, live_table, measure_live
from bench.measure import Cells, Pace, Sequences, measure
from bench.overload import compare_goodput, compare_overload, overload, overload_table
from bench.processes import OTHER_CORE, BenchError, memory_bytes, settle_here
from bench.profile import profile
from bench.running import Running, prepare, servers
from bench.scaling import scaling
from bench.targets import TARGETS, Target, choose_targets
from services.errors import StartupError

FOLDER = dataset.ROOT / ".data/bench"
RESULTS = Path(__file__).parent / "RESULTS.md"
_BY_ROUNDS = {"scaling": scaling, "overload": overload, "live": live}


def main() -> int:
    options = _options()
    try:
        targets = choose_targets(_names(options.servers))
        items = _chosen_items(_names(options.items))
        if options.what == "peers":
            install.install_peers(targets, FOLDER)
        settle_here(OTHER_CORE)
        with databases(FOLDER, options.mongodb_uri, options.redis_url) as addresses:
            if options.what in ("search", "growth"):
                _run_large(options, addresses)
                return 0
            films = dataset.load(addresses, seed=not options.no_seed)
            if options.what in _BY_ROUNDS:
                compare = _BY_ROUNDS[options.what]
                _say(compare(addresses, FOLDER, dict(options.env), options.rounds, _say))
                return 0
            if options.what == "processes":
                pace, more = _pace(options), dict(options.env)
                _say(
                    compare_processes(
                        addresses, films, FOLDER, more, pace.rounds, pace.seconds, _say
                    )
                )
                return 0
            if options.what == "profile":
                pace = _pace(options)
                _say(profile(addresses, films, FOLDER, before=options.before, pace=pace, say=_say))
                return 0
            if options.what == "tiers":
                tiers.run(addresses, films, FOLDER, _say)
                return 0
            return _run(options, targets, items, addresses, films)
    except (BenchError, StartupError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _run_large(options: argparse.Namespace, addresses: Addresses) -> None:
    """Measure in a large catalogue of its own."""
    if options.what == "search":
        search.run(addresses, options.films, _say)
    else:
        growth.run(addresses, options.films, _say, only=options.only)


def _run(
    options: argparse.Namespace,
    targets: Sequence[Target],
    items: Sequence[Item],
    addresses: Addresses,
    films: dataset.Dataset,
) -> int:
    _say(f"{len(films.movie_ids)} films; starting {len(targets)} servers")
    busy_before, sequences = os.getloadavg()[0], Sequences()
    with servers(targets, addresses, FOLDER, dict(options.env)) as started:
        prepare(started, items, films, FOLDER, options.login)
        for server in started:
            for note in server.notes:
                _say(f"  {server.name}: {note}")
        _require_equal(started, items, sequences, {})
        pace = _pace(options)
        cells = measure(started, items, pace, FOLDER, sequences, _say)
        sections = _overload(options, started, pace)
        _require_equal(started, items, sequences, cells)
        sections += _live(options, addresses, pace)
        memory = {s.name: memory_bytes(s.child.process.pid) / 2**20 for s in started}
        circumstances = report.Circumstances(pace, memory, busy_before, options.note)
        print("\n" + report.tables(started, items, cells))
        text = report.document(started, items, cells, sections, circumstances)
        options.output.write_text(text)
    _say(f"\nwritten: {options.output}")
    return 0


def _overload(
    options: argparse.Namespace, started: Sequence[Running], pace: Pace
) -> list[report.Section]:
    """Left out where only some items are measured."""
    if options.items:
        return []
    loads = compare_overload(started, pace.rounds, pace.seconds, _say)
    title = "overload: answers to the deep query as connections grow"
    return [report.Section(title, overload_table(loads), compare_goodput(loads))]


def _live(options: argparse.Namespace, addresses: Addresses, pace: Pace) -> list[report.Section]:
    """Left out where only some items or servers are measured."""
    if options.items or options.servers:
        return []
    sizes = (100,) if options.quick else (1_000,)
    rounds = measure_live(addresses, FOLDER, dict(options.env), pace.rounds, _say, sizes)
    title = "live messages: liveMetrics over graphql-transport-ws, an event a second"
    return [report.Section(title, live_table(rounds), compare_live(rounds))]


def _require_equal(
    started: Sequence[Running], items: Sequence[Item], sequences: Sequences, cells: Cells
) -> None:
    """Peers whose answers differ from ours are not measured, or their figures do not count.

    Raises:
        BenchError: ours fails.
    """
    problems = check(started, items, sequences.take(1000))
    for problem in problems:
        if problem.server.target.is_ours:
            raise BenchError(str(problem))
        _say(f"  left out: {problem}")
        problem.server.notes.append(f"{problem.item.name}: left out: {problem.text}")
        problem.server.requests.pop(problem.item.name, None)
        cells.pop((problem.server.name, problem.item.name), None)
    _say("all other answers are equal" if problems else "all answers are equal")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("what", nargs="?", default="peers",
        choices=["peers", "profile", "scaling", "processes", "overload", "live", "search",
                 "growth", "tiers"],
        help="peers: the tables; profile: a request's time by layer; "
        "scaling: CPU per film of large and small answers; "
        "processes: what two serve on two cores, and one on one; "
        "overload: answers at 16 and 256 connections; live: CPU per live message; "
        "search: p95 and index size; "
        "growth: p95 and what MongoDB examines of lists, counts and searches; "
        "tiers: what the caches promise")  # fmt: skip
    add("--servers", help=f"comma separated: {', '.join(t.name for t in TARGETS)}")
    add("--items", help=f"comma separated: {', '.join(item.name for item in ITEMS)}")
    add("--rounds", type=int, default=3, help="interleaved rounds (3)")
    add("--seconds", type=float, default=3, help="measured seconds per server, item, round (3)")
    add("--quick", action="store_true", help="one round of one second: a smoke test, no figures")
    add("--mongodb-uri", help="a replica set to use; its database marquee_bench is written to")
    add("--redis-url", help="a Redis to use; keys of the measured servers are written to it")
    add(
        "--films",
        type=int,
        default=100_000,
        help="films of the catalogue of search and growth (100,000)",
    )
    add("--only", default="", help="growth's cases with this in their names, such as 'count '")
    add("--before", type=Path, metavar="FOLDER", help="profile's other checkout of this repository")
    add("--no-seed", action="store_true", help="the films are loaded already")
    add("--login", metavar="EMAIL:PASSWORD", help="a viewer of ours, instead of signing up some")
    add("--env", metavar="NAME=VALUE", type=_pair, action="append", default=[],
        help="one more setting for our servers; repeatable")  # fmt: skip
    add("--note", default="", help="a sentence on the machine, for the report")
    add("--output", type=Path, default=RESULTS, help="the report's file")
    return parser.parse_args()


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("NAME=VALUE")
    return name, value


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text else None


def _chosen_items(names: Sequence[str] | None) -> list[Item]:
    unknown = set(names or ()) - {item.name for item in ITEMS}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return [item for item in ITEMS if names is None or item.name in names]


def _pace(options: argparse.Namespace) -> Pace:
    if options.quick:
        return Pace(rounds=1, seconds=1, first_warm_up=1, warm_up=0)
    return Pace(options.rounds, options.seconds, first_warm_up=4, warm_up=1)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
