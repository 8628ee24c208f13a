"""How a batch of keys goes down the cache tiers: memory, Redis, and one read of the database.

One read per key in a process (a flight), one across processes (a lease). What is stale answers at
once and is read anew behind the answer; what cannot be read is answered stale, if at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import models
from services import metrics
from services.cache import Cache, Codec, Entry, Lease, count
from services.cache_keys import Kind
from services.errors import UpstreamUnavailable

Names = dict[str, str]  # cache key -> the loader's own key
_WAIT_SECONDS = 1.0  # for another process's read, before reading oneself
_POLLS_SECONDS = (0.005, 0.01, 0.02, 0.04)
_behind: set[asyncio.Task[None]] = set()  # refreshes under way, kept from being collected


class Tiered(Protocol):
    """What this needs of a loader."""

    kind: Kind
    codec: Codec[Any]

    @property
    def tiers(self) -> Cache: ...

    def take(self, entries: Mapping[str, Entry], names: Names, *, is_stale: bool = False) -> None: ...

    async def fetch(self, keys: list[str], fields: Any, /) -> Mapping[str, Any]: ...

    async def may_store(self, names: Names) -> bool: ...

    def for_background(self) -> Any: ...


async def fill(loader: Tiered, names: Names) -> None:
    """Takes every key's value, None for what does not exist.

    Raises:
        UpstreamUnavailable: the database is away and some key is in no tier.
    """
    cache = loader.tiers
    fresh = cache.peek(names)
    loader.take(fresh, names)
    count("memory", len(fresh), len(names) - len(fresh))
    rest = [name for name in names if name not in fresh]
    refreshing = cache.peek_refreshing(rest)
    loader.take(refreshing, names, is_stale=True)
    rest = [name for name in rest if name not in refreshing]
    if rest:
        await _from_redis(loader, {name: names[name] for name in rest})


async def _from_redis(loader: Tiered, names: Names) -> None:
    cache = loader.tiers
    found = await cache.fetch(loader.kind, loader.codec, list(names))
    now = cache.now()
    fresh = {name: entry for name, entry in found.items() if entry.fresh_until > now}
    stale = {name: entry for name, entry in found.items() if now >= entry.fresh_until}
    count("redis", len(fresh), len(names) - len(fresh))
    loader.take(fresh, names)
    if stale:
        loader.take(stale, names, is_stale=True)
        refresh_behind(loader, {name: names[name] for name in stale})
    missing = {name: key for name, key in names.items() if name not in found}
    if missing:
        await _from_database(loader, missing)


async def _from_database(loader: Tiered, names: Names) -> None:
    try:
        loader.take(await read(loader, names), names)
    except UpstreamUnavailable:
        last = loader.tiers.last_resort(names)
        if len(last) < len(names):
            raise
        loader.take(last, names, is_stale=True)


async def read(loader: Tiered, names: Names) -> dict[str, Entry]:
    """From the database, or from whoever is reading it already."""
    flights = loader.tiers.flights
    own = {name: key for name, key in names.items() if name not in flights}
    others = {name: flights[name] for name in names if name in flights}
    entries: dict[str, Entry] = {}
    if own:
        # A task of its own: a caller that leaves must not end what others wait for.
        entries = await asyncio.shield(asyncio.create_task(_take_off(loader, own)))
    for name, flight in others.items():
        entries[name] = await asyncio.shield(flight)
    return entries


async def _take_off(loader: Tiered, names: Names) -> dict[str, Entry]:
    loop, flights = asyncio.get_running_loop(), loader.tiers.flights
    mine: dict[str, asyncio.Future[Entry]] = {name: loop.create_future() for name in names}
    flights.update(mine)
    try:
        entries = await _read_under_lease(loader, names)
        for name, flight in mine.items():
            flight.set_result(entries[name])
        return entries
    except BaseException as error:
        for flight in mine.values():
            if not flight.done():
                flight.set_exception(_told(error))
                flight.exception()  # nobody may be waiting
        raise
    finally:
        for name in names:
            flights.pop(name, None)


def _told(error: BaseException) -> Exception:
    if isinstance(error, Exception):
        return error
    return UpstreamUnavailable("The read was given up.", retry_after_seconds=1)


async def _read_under_lease(loader: Tiered, names: Names) -> dict[str, Entry]:
    cache = loader.tiers
    since = cache.changes
    token, leases = await cache.acquire(list(names))
    lost = [name for name, lease in leases.items() if lease is Lease.LOST]
    entries = await _wait_for_others(loader, lost) if lost else {}
    wanted = {name: key for name, key in names.items() if name not in entries}
    if not wanted:
        return entries
    changed = any(leases[name] is Lease.CHANGED for name in wanted)
    with models.reading_primary(changed):
        found = await loader.fetch(list(wanted.values()), None)  # whole: it is going to be cached
    made = {name: cache.entry(loader.kind, found.get(key)) for name, key in wanted.items()}
    if await loader.may_store(wanted):
        await cache.fill(loader.kind, loader.codec, made, token, since)
    return entries | made


async def _wait_for_others(loader: Tiered, names: list[str]) -> dict[str, Entry]:
    """What another process stores meanwhile; what is absent after a while must be read here."""
    cache, found, left = loader.tiers, {}, list(names)
    end = asyncio.get_running_loop().time() + _WAIT_SECONDS
    polls = iter(_POLLS_SECONDS)
    while left and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(next(polls, _POLLS_SECONDS[-1]))
        fetched = await cache.fetch(loader.kind, loader.codec, left)
        now = cache.now()
        found.update({name: entry for name, entry in fetched.items() if entry.fresh_until > now})
        left = [name for name in left if name not in found]
    return found


def refresh_behind(loader: Tiered, names: Names) -> None:
    """Reads stale things anew after the answer; what is being read already is left to that."""
    own = {name: key for name, key in names.items() if name not in loader.tiers.flights}
    if own:
        task = asyncio.create_task(_refresh(loader.for_background(), own))
        _behind.add(task)
        task.add_done_callback(_behind.discard)


async def _refresh(loader: Tiered, names: Names) -> None:
    try:
        await _take_off(loader, names)
    except UpstreamUnavailable:
        metrics.cache_refreshes_failed_total.inc()  # the stale entry goes on answering

