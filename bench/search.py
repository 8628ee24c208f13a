"""python -m bench search: times of `search` and `suggest` on synthetic films, size of their index.

Queries are made of titles of that catalogue: whole, without a letter, one word, beginnings. Nothing
is cached: what is measured is MongoDB and the ranking, in this process.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import models
from bench.databases import Addresses
from bench.processes import BenchError
from resolvers.catalog.imports import synthetic
from resolvers.opening import open_runtime
from services.settings.settings import Settings

Say = Callable[[str], None]
_DATABASE = "marquee_bench_search"
_PEOPLE = 20_000
_QUERIES = 500
_TARGETS_MS = {"search": 50, "suggest": 20}
_KINDS = list(models.SearchKind)


def run(addresses: Addresses, movies: int, say: Say) -> None:
    """Seed the catalogue if it is smaller than `movies`, then measure."""
    settings = Settings(
        _env_file=None,
        mongodb_uri=addresses.mongodb_uri,
        mongodb_database=_DATABASE,
        redis_url=addresses.redis_url,
        mongodb_timeout_ms=60_000,  # to build indexes
    )
    asyncio.run(_measure(settings, movies, say))


async def _measure(settings: Settings, movies: int, say: Say) -> None:
    async with open_runtime(settings) as runtime:
        await models.apply_indexes()
        collection = models.Movie.get_pymongo_collection()
        if await collection.estimated_document_count() < movies:
            await synthetic.load(runtime, movies, _PEOPLE)
        rows = await collection.aggregate([{"$sample": {"size": _QUERIES}}])
        titles = [row["title"] for row in await rows.to_list(None)]
        if not titles:
            raise BenchError("The catalogue is empty.")
        for name, typed, call in _cases():
            await _time(name, [typed(title) for title in titles], call, say)
        films = await collection.estimated_document_count()
        say(f"index: {await _index_megabytes(collection):.1f} MB for {films} films")


def _cases() -> Sequence[tuple[str, Callable[[str], str], Callable[[str], Awaitable[Any]]]]:
    return (
        ("search a whole title", lambda title: title, _search),
        ("search a letter less", _without_letter, _search),
        ("search one word", lambda title: title.split()[-1], _search),
        ("suggest by two letters", lambda title: title.split()[-1][:2], _suggest),
        ("suggest by four letters", lambda title: title.split()[-1][:4], _suggest),
        ("suggest by nine letters", lambda title: title[:9], _suggest),
    )


async def _time(
    name: str, texts: Sequence[str], call: Callable[[str], Awaitable[Any]], say: Say
) -> None:
    seconds = []
    for text in texts:
        started = time.perf_counter()
        await call(text)
        seconds.append(time.perf_counter() - started)
    seconds.sort()
    p50, p95 = (1000 * seconds[int(len(seconds) * share)] for share in (0.5, 0.95))
    target = _TARGETS_MS[name.split()[0]]
    verdict = "met" if p95 <= target else "missed"
    say(f"{name:<26} p50 {p50:6.1f} ms  p95 {p95:6.1f} ms  target {target} ms {verdict}")


async def _search(text: str) -> None:
    await models.search_names(models.fold_query(text), _KINDS, models.MovieFilter())


async def _suggest(text: str) -> None:
    await models.suggest_names(models.fold_query(text), _KINDS)


def _without_letter(title: str) -> str:
    at = random.Random(title).randrange(len(title))
    return title[:at] + title[at + 1 :]


async def _index_megabytes(collection: Any) -> float:
    stages: list[dict[str, Any]] = [{"$collStats": {"storageStats": {}}}]
    (stats,) = await (await collection.aggregate(stages)).to_list(None)
    sizes = stats["storageStats"]["indexSizes"]  # built anew, an index has a number behind its name
    return float(sum(size for name, size in sizes.items() if name.startswith("search"))) / 1e6
