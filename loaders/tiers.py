"""A batch of keys on its way down the cache tiers: memory, Redis, one read of the database.

Concurrent reads of a key share one flight in a process and one lease across processes. A stale
entry answers at once and is refreshed in the background; when the database is unavailable, or takes
longer than a moment, it answers too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import models
from services.cache.cache import Cache, Codec, Entry, Lease
from services.cache.lists import ListRegistration
from services.cache.read_counts import count_reads
from services.errors import UpstreamUnavailable
from services.redis.cache_keys import Kind
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("tiers")
Names = dict[str, str]  # cache key -> the loader's own key
CacheTier = Literal["memory", "redis", "database", "stale"]  # what answered a key
_HEDGE_SECONDS = 0.2  # for Redis and the database together, where a stale copy is in memory
_LATE_SECONDS = 0.02  # ten times what an answer takes
_WAIT_SECONDS = 1.0  # for another process's read, before reading oneself
_POLLS_SECONDS = (0.005, 0.01, 0.02, 0.04)
Flights = dict[str, asyncio.Future[Entry]]
# Referenced here, so that no running task is garbage-collected.
_background_tasks: set[asyncio.Task[dict[str, Entry]]] = set()


class Tiered(Protocol):
    """The loader as the tiers need it."""

    kind: ClassVar[Kind]
    codec: ClassVar[Codec[Any]]

    @property
    def tiers(self) -> Cache:
        """The cache tiers."""

    def take(self, entries: Mapping[str, Entry], names: Names, tier: CacheTier) -> None:
        """Remember these entries, which this tier answered."""

    async def fetch(self, keys: list[str], fields: Any, /) -> Mapping[str, Any]:
        """Read these keys from the database."""

    async def note(self, names: Names) -> ListRegistration:
        """Record, before keys are read, what is needed to invalidate them."""

    def for_background(self) -> Any:
        """Copy the loader for a read that outlives its operation."""


async def fill(loader: Tiered, names: Names) -> None:
    """Load every key from the first tier that has it; None for missing ones.

    Raises:
        UpstreamUnavailable: the database is unavailable and some key is in no tier.
    """
    cache = loader.tiers
    fresh = cache.peek(names)
    loader.take(fresh, names, "memory")
    count_reads("memory", len(fresh), len(names) - len(fresh))
    remaining = [name for name in names if name not in fresh]
    refreshing = cache.peek_refreshing(remaining)
    loader.take(refreshing, names, "stale")
    remaining = [name for name in remaining if name not in refreshing]
    if remaining:
        await _fill_from_redis(loader, {name: names[name] for name in remaining})


async def _fill_from_redis(loader: Tiered, names: Names) -> None:
    cache, hedge = loader.tiers, _Hedge(loader, names)
    entries: dict[str, Entry] = {}
    with suppress(TimeoutError):
        async with hedge.limit("redis"):
            entries = await cache.fetch(loader.kind, loader.codec, list(names))
    now = cache.now()
    fresh = {name: entry for name, entry in entries.items() if entry.fresh_until > now}
    stale = {name: entry for name, entry in entries.items() if now >= entry.fresh_until}
    count_reads("redis", len(fresh), len(names) - len(fresh))
    loader.take(fresh, names, "redis")
    if stale:
        loader.take(stale, names, "stale")
        refresh_in_background(loader, {name: names[name] for name in stale})
    missing = {name: key for name, key in names.items() if name not in entries}
    if missing:
        await _fill_from_database(loader, missing, hedge)


async def _fill_from_database(loader: Tiered, names: Names, hedge: _Hedge) -> None:
    cache = loader.tiers
    try:
        async with hedge.limit("database"):
            loader.take(await read(loader, names), names, "database")
    except TimeoutError:  # the read goes on, and is stored
        loader.take({name: hedge.copies[name] for name in names}, names, "stale")
    except UpstreamUnavailable:
        last = cache.peek_stale(names)
        if len(last) < len(names):
            raise
        loader.take(last, names, "stale")


class _Hedge:
    """Time that a read may take before copies in memory answer; without all of them, any.

    Once a tier was late, others wait for it only briefly until it has answered in time.
    """

    def __init__(self, loader: Tiered, names: Names) -> None:
        self._late_tiers = loader.tiers.late_tiers
        self.copies = loader.tiers.peek_stale(names)
        self._has_all = len(self.copies) == len(names)
        self._end = asyncio.get_running_loop().time() + _HEDGE_SECONDS

    @asynccontextmanager
    async def limit(self, tier: CacheTier) -> AsyncIterator[None]:
        """Limit the time for a tier.

        Raises:
            TimeoutError: it is over.
        """
        now = asyncio.get_running_loop().time()
        brief = now + _LATE_SECONDS
        end = brief if tier in self._late_tiers else max(self._end, brief)
        try:
            async with asyncio.timeout_at(end if self._has_all else None):
                yield
        except TimeoutError:
            self._late_tiers.add(tier)
            raise
        self._late_tiers.discard(tier)


async def read(loader: Tiered, names: Names) -> dict[str, Entry]:
    """Read keys from the database, or join the flights that read them already."""
    flights = loader.tiers.flights
    # A flight that landed since this read looked for its keys has left them in memory.
    entries = loader.tiers.peek(names)
    own = {name: key for name, key in names.items() if name not in flights and name not in entries}
    others = {name: flights[name] for name in names if name in flights and name not in entries}
    if own:
        # A task of its own: a caller that leaves must not end what others wait for.
        entries.update(await asyncio.shield(_start_flight(loader, own)))
    for name, flight in others.items():
        entries[name] = await asyncio.shield(flight)
    return entries


def _start_flight(
    loader: Tiered, names: Names, *, is_refresh: bool = False
) -> asyncio.Task[dict[str, Entry]]:
    """Start a read; from now on, before its first step, other requests join its flights."""
    loop = asyncio.get_running_loop()
    flights: Flights = {name: loop.create_future() for name in names}
    loader.tiers.flights.update(flights)
    task = asyncio.create_task(_run_flight(loader, names, flights, is_refresh=is_refresh))
    _background_tasks.add(task)
    task.add_done_callback(_background_tasks.discard)
    task.add_done_callback(_mark_retrieved)
    return task


def _mark_retrieved(task: asyncio.Task[dict[str, Entry]]) -> None:
    """Keep asyncio from logging a failure that no caller waited for, as copies answered."""
    if not task.cancelled():
        task.exception()


async def _run_flight(
    loader: Tiered, names: Names, flights: Flights, *, is_refresh: bool
) -> dict[str, Entry]:
    try:
        entries = await _read_under_lease(loader, names, is_refresh=is_refresh)
        for name, flight in flights.items():
            flight.set_result(entries[name])
        return entries
    except BaseException as error:
        for flight in flights.values():
            if not flight.done():
                flight.set_exception(_as_exception(error))
                flight.exception()  # nobody may be waiting
        raise
    finally:
        for name in names:
            loader.tiers.flights.pop(name, None)


def _as_exception(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    return UpstreamUnavailable("The read was given up.", retry_after_seconds=1)


async def _read_under_lease(loader: Tiered, names: Names, *, is_refresh: bool) -> dict[str, Entry]:
    """Read leased keys, while waiting for keys leased by other processes."""
    cache = loader.tiers
    since = cache.changes
    token, leases = await cache.acquire(list(names))
    filled = [name for name, lease in leases.items() if lease is Lease.FILLED and not is_refresh]
    found = await _take_filled(loader, filled, token) if filled else {}
    names = {name: key for name, key in names.items() if name not in found}
    return {**found, **await _read_or_wait(loader, names, leases, token, since)}


async def _take_filled(loader: Tiered, names: list[str], token: str) -> dict[str, Entry]:
    """Entries that another process stored between our look and our lease, which ends at once."""
    cache = loader.tiers
    fetched = await cache.fetch(loader.kind, loader.codec, names)
    now = cache.now()
    fresh = {name: entry for name, entry in fetched.items() if entry.fresh_until > now}
    await cache.release(fresh, token)
    return fresh


async def _read_or_wait(
    loader: Tiered, names: Names, leases: Mapping[str, Lease], token: str, since: int
) -> dict[str, Entry]:
    lost = [name for name in names if leases[name] is Lease.LOST]
    own = {name: key for name, key in names.items() if leases[name] is not Lease.LOST}
    reading = _Reading(token, since, Lease.CHANGED in leases.values())
    if not lost:
        return await _read_and_store(loader, own, reading)
    mine, entries = await asyncio.gather(
        _read_and_store(loader, own, reading), _wait_for_others(loader, lost)
    )
    remaining = {name: names[name] for name in lost if name not in entries}
    return {**mine, **entries, **await _read_and_store(loader, remaining, reading)}


class _Reading(NamedTuple):
    token: str
    since: int  # the cache's changes before it began
    is_changed: bool  # something of it changed moments ago


async def _read_and_store(loader: Tiered, names: Names, reading: _Reading) -> dict[str, Entry]:
    if not names:
        return {}
    cache = loader.tiers
    noted = await loader.note(names)
    try:
        with models.read_from_primary(reading.is_changed or noted.is_changed):
            values = await loader.fetch(list(names.values()), None)  # whole: it will be cached
    except BaseException:
        await cache.release(names, reading.token)
        raise
    entries = {name: cache.build_entry(loader.kind, values.get(key)) for name, key in names.items()}
    if noted.may_store:
        await cache.fill(loader.kind, loader.codec, entries, reading.token, reading.since)
    return entries


async def _wait_for_others(loader: Tiered, names: list[str]) -> dict[str, Entry]:
    """Entries that other processes store meanwhile; absent ones must be read here."""
    cache, entries, remaining = loader.tiers, {}, list(names)
    end = asyncio.get_running_loop().time() + _WAIT_SECONDS
    polls = iter(_POLLS_SECONDS)
    while remaining and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(next(polls, _POLLS_SECONDS[-1]))
        fetched = await cache.fetch(loader.kind, loader.codec, remaining)
        now = cache.now()
        entries.update({name: entry for name, entry in fetched.items() if entry.fresh_until > now})
        remaining = [name for name in remaining if name not in entries]
    return entries


def refresh_in_background(loader: Tiered, names: Names) -> None:
    """Refresh stale keys after the answer, except those in flight already."""
    own = {name: key for name, key in names.items() if name not in loader.tiers.flights}
    if own:
        flight = _start_flight(loader.for_background(), own, is_refresh=True)
        flight.add_done_callback(_log_failed_refresh)


def _log_failed_refresh(task: asyncio.Task[dict[str, Entry]]) -> None:
    """Log a failure that no caller sees; the stale entry goes on answering."""
    error = None if task.cancelled() else task.exception()
    if error is None:
        return
    metrics.cache_refreshes_failed_total.inc()
    if not isinstance(error, UpstreamUnavailable):
        log.error("refresh_failed", exc_info=error)
