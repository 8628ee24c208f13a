"""python -m bench tiers: what the cache tiers promise, measured.

Stale readers beside warm ones, a change from one process to another's memory, how soon a cut
connection is noticed, and how much of a catalogue's traffic the tiers answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import loaders
import models
from bench import tiers_traffic
from bench.databases import Addresses
from bench.dataset import DATABASE, ROOT, Dataset
from bench.processes import OTHER_CORE, SERVER_CORE, free_port, start, wait_until
from bench.session import Session, answers
from loaders.base import Fields
from resolvers.context import Context, Runtime
from resolvers.opening import open_cache, open_runtime
from services.cache.cache import Cache
from services.cache.tracking import CacheTracking
from services.embedded import servers
from services.redis import pool
from services.redis.cache_keys import MOVIE, cached_prefixes, tracked_prefix
from services.settings.settings import Settings
from services.telemetry import logs

Say = Callable[[str], None]
_READERS = 20
_FILMS = 100
_REFRESH_SECONDS = 1.0
_CHANGES = 100
_CUTS = 20
_SILENCES = 5


def run(addresses: Addresses, films: Dataset, folder: Path, say: Say) -> None:
    """Everything, one after another."""
    logs.configure(Settings(_env_file=None, log_level="warning"))
    asyncio.run(_stale_readers(addresses, films, say))
    with _processes(addresses, folder, 2) as (one, other):
        _propagation(one, other, films.movie_ids[0], say)
    asyncio.run(_cuts(folder, say))
    asyncio.run(_forget_everything(addresses))
    with _processes(addresses, folder, 1) as (single,):
        tiers_traffic.run(single, films, say)


def settings_of(addresses: Addresses) -> Settings:
    return Settings(
        _env_file=None,
        mongodb_uri=addresses.mongodb_uri,
        mongodb_database=DATABASE,
        redis_url=addresses.redis_url,
        mongodb_timeout_ms=60_000,  # to build indexes
    )


@contextmanager
def _processes(addresses: Addresses, folder: Path, count: int) -> Iterator[list[Session]]:
    """So many of our servers in development, where they tell what the tiers did."""
    children, sessions = [], []
    try:
        for number in range(count):
            port, name = free_port(), f"tiers-{number}"
            child = start(
                name,
                (sys.executable, "-m", "server", "serve"),
                core=(SERVER_CORE, OTHER_CORE)[number % 2],
                log=folder / f"logs/{name}.log",
                environment=_environment(addresses, port, folder / name),
                folder=ROOT,
            )
            children.append(child)
            wait_until(lambda port=port: answers(port), child)  # type: ignore[misc]
            sessions.append(Session(port))
        yield sessions
    finally:
        for child in children:
            child.stop()


def _environment(addresses: Addresses, port: int, folder: Path) -> Mapping[str, str]:
    return {
        "PORT": str(port),
        "MONGODB_URI": addresses.mongodb_uri,
        "MONGODB_DATABASE": DATABASE,
        "REDIS_URL": addresses.redis_url,
        "LOG_LEVEL": "warning",
        "RATE_LIMIT_MODE": "off",
        "DATA_DIR": str(folder),
    }


# ---- 1: readers while what they read is being read anew


class SlowFilms(loaders.MovieById):
    """A database that takes a second."""

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.MovieRecord]:
        await asyncio.sleep(_REFRESH_SECONDS)
        return await super().fetch(keys, fields)


async def _stale_readers(addresses: Addresses, films: Dataset, say: Say) -> None:
    ids = films.movie_ids[:_FILMS]
    async with open_runtime(settings_of(addresses)) as runtime:
        await models.apply_indexes()  # the films may be of an earlier version
        await Context(runtime).load_many(loaders.MovieById, ids)
        await asyncio.sleep(0.2)  # Redis's word of their coming empties memory of them
        warm_up = await _latencies(runtime, ids, 0.5)
        warm = await _latencies(runtime, ids, _REFRESH_SECONDS)
        await runtime.cache.mark_stale(map(MOVIE.key, ids))
        await asyncio.sleep(0.2)
        stale = await _latencies(runtime, ids, _REFRESH_SECONDS)
        still_old = len(runtime.cache.flights)
        await asyncio.sleep(_REFRESH_SECONDS)
    ratio = _p99(stale) / _p99(warm)
    say(f"1. warm: p99 {_us(_p99(warm))} of {len(warm)} reads ({len(warm_up)} before)")
    say(f"   stale, while the refresh sleeps {_REFRESH_SECONDS:.0f} s: p99 {_us(_p99(stale))} of "
        f"{len(stale)} reads, longest {_us(max(stale))}: {ratio:.2f}x warm (at most 3x promised); "
        f"{still_old} films were still being read at the end")  # fmt: skip


async def _latencies(runtime: Runtime, ids: Sequence[str], seconds: float) -> list[float]:
    """Of reads by many at once, each an operation of its own."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def read_on(number: int) -> None:
        while time.perf_counter() < end:
            number += 7
            started = time.perf_counter()
            await Context(runtime).load_many(SlowFilms, [ids[number % len(ids)]])
            took.append(time.perf_counter() - started)
            await asyncio.sleep(0)

    await asyncio.gather(*(read_on(number) for number in range(_READERS)))
    return took


# ---- 2: from a change in one process to another's memory

_FILM = "query ($id: ID!) { movie(by: {id: $id}) { overview } }"
_UPSERT = """mutation ($input: UpsertMovieInput!) { upsertMovie(input: $input) {
  movie { overview } errors { message } } }"""


def _propagation(writer: Session, reader: Session, film: str, say: Say) -> None:
    since_answer, since_sent = [], []
    before, _ = reader.ask(_FILM, {"id": film})
    for number in range(_CHANGES):
        _until_in_memory(reader, film)
        sent = time.perf_counter()
        _set_overview(writer, film, f"Change {number}.")
        answered = time.perf_counter()
        while _overview(reader, film) != f"Change {number}.":
            pass
        now = time.perf_counter()
        since_answer.append(now - answered)
        since_sent.append(now - sent)
    _set_overview(writer, film, before["movie"]["overview"])
    say(f"2. a change seen by another process's memory, of {_CHANGES}: median "
        f"{_ms(median(since_answer))}, p95 {_ms(_quantile(since_answer, 0.95))}, longest "
        f"{_ms(max(since_answer))} after upsertMovie was answered (100 ms promised); median "
        f"{_ms(median(since_sent))} after it was sent")  # fmt: skip


def _until_in_memory(reader: Session, film: str) -> None:
    while reader.ask(_FILM, {"id": film})[1]["memory"] != 1:
        time.sleep(0.002)


def _set_overview(writer: Session, film: str, overview: str | None) -> None:
    variables = {"id": film, "overview": overview}
    data, _ = writer.ask(_UPSERT, {"input": variables}, as_editor=True)
    assert data["upsertMovie"]["movie"]["overview"] == overview, data


def _overview(reader: Session, film: str) -> str:
    data, _ = reader.ask(_FILM, {"id": film})
    return str(data["movie"]["overview"])


# ---- 3: how soon it is noticed that nobody tells of changes


async def _cuts(folder: Path, say: Say) -> None:
    """On a Redis of its own, which is stopped and goes on again."""
    binary = servers.find_redis_server(None)
    with servers.start_redis(folder / "redis-cut", binary=binary, persist=False) as server:
        settings = Settings(_env_file=None, redis_url=server.uri, redis_timeout_ms=5000)
        redis = pool.connect(settings)
        cache = Cache(redis)
        tracking = CacheTracking(redis, cache, tracked_prefix(""))
        await tracking.start()
        try:
            killed = [await _noticed(cache, lambda: _kill(redis)) for _ in range(_CUTS)]
            silent = []
            for _ in range(_SILENCES):
                silent.append(await _noticed(cache, lambda: _stop(server)))
                os.kill(server.pid, signal.SIGCONT)
        finally:
            os.kill(server.pid, signal.SIGCONT)
            await tracking.aclose()
            await redis.aclose()
    say(f"3. a closed tracking connection is noticed after: median {_ms(median(killed))}, longest "
        f"{_ms(max(killed))} of {_CUTS}; a silent one: median {_ms(median(silent))}, longest "
        f"{_ms(max(silent))} of {_SILENCES} (2 s promised)")  # fmt: skip


async def _noticed(cache: Cache, cut: Callable[[], object]) -> float:
    while not cache.trusts_memory:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    cutting = cut()
    if asyncio.iscoroutine(cutting):
        await cutting
    while cache.trusts_memory:
        await asyncio.sleep(0.001)
    return time.perf_counter() - started


async def _kill(redis: pool.Client) -> None:
    for client in await redis.client_list(_type="pubsub"):
        await redis.client_kill_filter(_id=client["id"])


def _stop(server: servers.Server) -> None:
    os.kill(server.pid, signal.SIGSTOP)


async def _forget_everything(addresses: Addresses) -> None:
    settings = settings_of(addresses)
    redis = pool.connect(settings)
    async with open_cache(settings, redis) as cache:
        for prefix in cached_prefixes(""):
            await cache.invalidate_pattern(prefix + "*")
    await redis.aclose()


# ---- figures


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _p99(values: Sequence[float]) -> float:
    return _quantile(values, 0.99)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"
