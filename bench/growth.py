"""python -m bench growth: lists, filters, counts and searches in a catalogue of 100,000 films.

One client, in this process, without caches: each case is asked once to warm up and then a few
times; a last time MongoDB writes down what it examined. Lost cases are printed first.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import models
from bench import growth_catalogue
from bench.databases import Addresses
from bench.growth_cases import Case, Variables, cases
from bench.processes import BenchError
from graph.engine.operations import Answer, Operations, Request
from graph.schema import open_documents
from resolvers.context import Context, Runtime
from resolvers.opening import open_runtime
from services.settings.settings import Settings

Say = Callable[[str], None]
_DATABASE = "marquee_bench_growth"
_TARGETS_MS = {"operation": 30.0, "list": 30.0, "count": 30.0, "search": 50.0}
_ROUNDS = 5
_MOST_SHOWN = 40


@dataclass(frozen=True)
class Result:
    """Milliseconds of each round, sorted; keys and documents that MongoDB examined in the last."""

    case: Case
    milliseconds: list[float]
    keys: int
    documents: int

    @property
    def p95(self) -> float:
        return percentile(self.milliseconds, 0.95)

    @property
    def is_lost(self) -> bool:
        return self.p95 > _TARGETS_MS[self.case.family]


def run(addresses: Addresses, movies: int, say: Say, *, only: str = "") -> None:
    """Load the catalogue if it is smaller than `movies`, then measure the cases named so."""
    settings = Settings(
        _env_file=None,
        mongodb_uri=addresses.mongodb_uri,
        mongodb_database=_DATABASE,
        redis_url=addresses.redis_url,
        cache_tiers="none",
        mongodb_timeout_ms=60_000,  # to build indexes
        log_level="error",
    )
    asyncio.run(_measure(settings, movies, say, only))


async def _measure(settings: Settings, movies: int, say: Say, only: str) -> None:
    async with open_runtime(settings) as runtime:
        await growth_catalogue.load(runtime, movies, say)
        operations = Operations(
            open_documents(settings), by_plan=True, deadline_seconds=60, gate=None
        )
        chosen = [case for case in cases() if only in f"{case.family} {case.name}"]
        say(f"{len(chosen)} cases")
        client = Client(runtime, operations)
        results = [await _time(client, case) for case in chosen]
    _report(results, say)


class Client:
    """Sends operations as an anonymous viewer, and sees what MongoDB does meanwhile."""

    def __init__(self, runtime: Runtime, operations: Operations) -> None:
        self._runtime = runtime
        self._operations = operations
        self._database = models.Movie.get_pymongo_collection().database

    async def ask(self, case: Case, variables: Variables) -> dict[str, Any]:
        """The data.

        Raises:
            BenchError: the answer has errors.
        """
        context = Context(self._runtime)
        prepared = self._operations.prepare(Request(case.text, dict(variables)), context)
        if isinstance(prepared, Answer):
            raise BenchError(f"{case.name}: {prepared.errors}")
        body = (await self._operations.run(prepared, context)).body()
        if body.get("errors"):
            raise BenchError(f"{case.name}: {str(body['errors'])[:500]}")
        data: dict[str, Any] = body["data"]
        return data

    async def examined(self, case: Case, variables: Variables) -> tuple[int, int]:
        """Keys and documents that MongoDB examines."""
        await self._database.command("profile", 2)
        try:
            await self.ask(case, variables)
        finally:
            await self._database.command("profile", 0)
        rows = await self._database["system.profile"].find({"op": {"$ne": "insert"}}).to_list()
        await self._database.drop_collection("system.profile")
        keys = sum(row.get("keysExamined", 0) for row in rows)
        return keys, sum(row.get("docsExamined", 0) for row in rows)


async def _time(client: Client, case: Case) -> Result:
    variables = dict(case.variables)
    for _ in range(case.deep):
        info = (await client.ask(case, variables))["movies"]["pageInfo"]
        if not info["hasNextPage"]:
            break
        variables["after"] = info["endCursor"]
    await client.ask(case, variables)
    milliseconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        await client.ask(case, variables)
        milliseconds.append(1000 * (time.perf_counter() - started))
    models.forget_sizes()
    keys, documents = await client.examined(case, variables)
    return Result(case, sorted(milliseconds), keys, documents)


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(len(values) * share))]


def _report(results: Sequence[Result], say: Say) -> None:
    lost = sorted((one for one in results if one.is_lost), key=lambda one: -one.p95)
    say(f"\n{len(lost)} of {len(results)} cases lost" + (":" if lost else ""))
    for one in lost[:_MOST_SHOWN]:
        say(f"  {one.case.family:<9} {_figures([one])}  {one.case.name}")
    by_family: dict[str, list[Result]] = defaultdict(list)
    for one in results:
        by_family[one.case.family].append(one)
    for family, some in by_family.items():
        say(f"\n{family:<9} {_figures(some)}  target {_TARGETS_MS[family]:.0f} ms")
        for one in sorted(some, key=lambda one: -one.keys - 10 * one.documents)[:10]:
            say(f"  {_figures([one])}  {one.case.name}")


def _figures(some: Sequence[Result]) -> str:
    times = sorted(time for one in some for time in one.milliseconds)
    p50, p95 = percentile(times, 0.5), percentile(times, 0.95)
    keys, documents = max(one.keys for one in some), max(one.documents for one in some)
    return f"p50 {p50:6.1f}  p95 {p95:6.1f} ms  keys {keys:>6}  documents {documents:>5}"
