"""The cache tiers: process memory, then Redis, read with one MGET per batch.

A miss is filled under a lease, so that one process reads for all; invalidating a key ends its
lease, so that no old value is stored after a change. Redis being away is a miss, never an error.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Any

from services.cache.change_log import ChangeLog
from services.cache.derived import DerivedObjects
from services.cache.entry import Codec, Entry, encode_stale
from services.cache.lists import ListDescriptions, ListIndex, ListRegistration
from services.cache.memory import MemoryTier
from services.cache.patterns import unlink_pattern
from services.cache.pending import PendingInvalidations
from services.errors import UpstreamUnavailable
from services.redis.cache_keys import CHANGED, LEASE, Kind, cached_prefixes, tracked_prefix
from services.redis.link import RedisLink
from services.redis.scripts import Script

_MEMORY_SECONDS = 60  # bounds the harm of a missed invalidation
_JITTER = 0.1  # spreads the expiry of what was written together
_LEASE_MS = 2_000
_CHANGED_MS = 10_000  # longer than a replica lags behind and a read lasts
_BATCH = 500  # keys in one command
_ACQUIRE, _FILL = Script("cache", "cache_acquire"), Script("cache", "cache_fill")
_STORE, _INVALIDATE = Script("cache", "cache_store"), Script("cache", "cache_invalidate")
_RELEASE = Script("cache", "cache_release")


class Lease(IntEnum):
    """Who reads a missing value; LOST: another process. See `cache_acquire.lua`."""

    LOST, OURS, CHANGED, FILLED = range(4)


class Cache:
    """The tiers of one process. Keys are texts built by `Kind.key`.

    Args:
        tiers: comma-separated, any of answers, memory, redis.
        prefix: REDIS_KEY_PREFIX.
        memory_entries: entries in process memory at most.
        memory_bytes: their size at most, keys included, as far as it is known.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        redis: RedisLink,
        *,
        tiers: str = "answers,memory,redis",
        prefix: str = "",
        memory_entries: int = 50_000,
        memory_bytes: int = 128 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self.lists = ListIndex(redis, prefix)
        self.prefix = prefix
        self._lease, self._changed = prefix + LEASE, prefix + CHANGED
        self._tracked = tracked_prefix(prefix)
        self._memory = MemoryTier(memory_entries, memory_bytes, clock)
        self._clock = clock
        self._uses_memory = "memory" in tiers
        self._uses_redis = "redis" in tiers
        self._uses_answers = "answers" in tiers
        self.enabled = self._uses_memory or self._uses_redis
        self.flights: dict[str, asyncio.Future[Entry]] = {}  # what is being read now, by key
        self.trusts_memory = True  # off while Redis does not report changes
        self.trusts_redis = True  # off until Redis is known to be no older than it was
        self.late_tiers: set[str] = set()  # of which a read took so long that copies answered
        self._pending = PendingInvalidations()
        self._is_flushing = False  # what is being sent has not arrived
        self._log = ChangeLog()
        self._listeners: list[Callable[[Iterable[str] | None], None]] = []

    @property
    def uses_memory(self) -> bool:
        """Whether process memory is enabled and kept right by Redis at the moment."""
        return self._uses_memory and self.trusts_memory

    @property
    def derived(self) -> DerivedObjects | None:
        """What was built of values in process memory; None while that is not in use."""
        return self._memory.derived if self.uses_memory else None

    @property
    def uses_answers(self) -> bool:
        """Whether encoded answers may be cached in process memory at the moment."""
        return self._uses_answers and self.trusts_memory

    @property
    def changes(self) -> int:
        """Number of invalidations so far; what is read now is as new as this."""
        return self._log.count

    @property
    def uses_redis(self) -> bool:
        """Whether Redis is enabled, has not just failed and is no older than it was."""
        return self._uses_redis and self.trusts_redis and self._redis.guard.allows_calls()

    def on_invalidate(self, listener: Callable[[Iterable[str] | None], None]) -> None:
        """Register a listener; it gets the invalidated keys, or None for all."""
        self._listeners.append(listener)

    def now(self) -> float:
        """Return the clock's time in seconds since 1970."""
        return self._clock()

    def build_entry(self, kind: Kind, value: Any) -> Entry:
        """Build an entry that is fresh from now on, with a jittered lifetime."""
        fresh = kind.fresh_seconds if value is not None else kind.missing_seconds
        fresh_until = self._clock() + fresh * (1 - _JITTER * random.random())  # noqa: S311
        stale_seconds = kind.stale_seconds if value is not None else 0
        return Entry(value, fresh_until, fresh_until + stale_seconds)

    # ---- reading

    def peek(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return the fresh entries of process memory."""
        return self._memory.find_fresh(keys) if self.uses_memory else {}

    def peek_all(self, keys: Iterable[str]) -> list[Any] | None:
        """Return the keys' values in order, if process memory has all of them fresh; else None."""
        return self._memory.find_all_fresh(keys) if self.uses_memory else None

    def peek_refreshing(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return stale entries of process memory that are being refreshed at the moment."""
        if not self.uses_memory or not self.flights:
            return {}
        return self._memory.find_usable(key for key in keys if key in self.flights)

    def peek_stale(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return entries of process memory that may be stale, for when nothing else answers."""
        return self._memory.find_usable(keys)

    async def fetch(self, kind: Kind, codec: Codec[Any], keys: list[str]) -> dict[str, Entry]:
        """Read entries from Redis, fresh or stale, in one MGET, and store them in memory."""
        if not keys or not self.uses_redis:
            return {}
        since = self.changes
        try:
            values = await self._redis.get_many([self.prefix + key for key in keys])
        except UpstreamUnavailable:
            return {}
        entries = {}
        for key, raw in zip(keys, values, strict=True):
            entry = codec.decode(kind, raw) if raw is not None else None
            if entry is not None and key not in self._pending.keys:
                entries[key] = entry
        self.remember(entries, since)
        return entries

    # ---- filling

    async def acquire(self, keys: list[str]) -> tuple[str, dict[str, Lease]]:
        """Acquire leases for missing keys.

        Returns:
            The token of the leases, and by key who reads it; with Redis away, this process.
        """
        token = secrets.token_hex(8)
        if not self.uses_redis:
            return token, dict.fromkeys(keys, Lease.OURS)
        answers = await self._call(_ACQUIRE, keys, token, _LEASE_MS, self._lease, self._changed)
        if answers is None:
            return token, dict.fromkeys(keys, Lease.OURS)
        return token, dict(zip(keys, map(Lease, answers), strict=True))

    async def fill(
        self, kind: Kind, codec: Codec[Any], entries: Mapping[str, Entry], token: str, since: int
    ) -> None:
        """Store values read under the token's leases; `since` is `changes` before the read."""
        entries, bodies = self._encode_entries(kind, codec, entries)
        self.remember(await self._write(_FILL, entries, token, self._lease, *bodies), since)

    async def release(self, keys: Iterable[str], token: str) -> None:
        """Release the token's leases after a failed read, so that others may read at once."""
        if self.uses_redis:
            await self._call(_RELEASE, list(keys), token, self._lease)

    async def store(
        self,
        kind: Kind,
        codec: Codec[Any],
        entries: Mapping[str, Entry],
        since: int | None = None,
        *,
        replaces: bool = False,
    ) -> None:
        """Store values read without a lease, except those that changed moments ago.

        With `replaces`, what other processes have in memory is dropped.
        """
        since = self.changes if since is None else since
        entries, bodies = self._encode_entries(kind, codec, entries)
        args = self._changed, int(replaces), *bodies
        self.remember(await self._write(_STORE, entries, *args), since)

    async def _write(
        self, script: Script, entries: Mapping[str, Entry], *args: Any
    ) -> Mapping[str, Entry]:
        """Write entries to Redis and return those it stored; others may be old or untracked."""
        if not self._uses_redis or not entries:
            return entries
        are_stored = await self._call(script, list(entries), *args) if self.uses_redis else None
        if are_stored is None:
            return {}
        return {
            key: entries[key]
            for key, is_stored in zip(entries, are_stored, strict=True)
            if is_stored
        }

    def remember(self, entries: Mapping[str, Entry], since: int) -> None:
        """Store entries in memory, except those invalidated after `since`."""
        if not self.uses_memory or self._log.has_all_changed(since):
            return
        self._memory.sweep()
        until = self._clock() + _MEMORY_SECONDS
        for key, entry in entries.items():
            if not self._log.has_changed((key,), since):
                self._memory.put(key, entry._replace(fresh_until=min(entry.fresh_until, until)))

    # ---- invalidation

    async def invalidate(self, keys: Iterable[str]) -> int:
        """Drop entries in all tiers and end their leases; pending while Redis is away.

        Returns:
            How many entries Redis had.
        """
        names = list(dict.fromkeys(keys))
        self.invalidate_local(names)
        if not names or not self._uses_redis:
            return 0
        dropped = 0
        for first in range(0, len(names), _BATCH):
            batch = names[first : first + _BATCH]
            answer = await self._call(_INVALIDATE, batch, self._lease, self._changed, _CHANGED_MS)
            if answer is None:
                self._pending.add(names[first:])
                break
            dropped += answer
        return dropped

    async def invalidate_lists(self, tags: Collection[str]) -> None:
        """Drop every list registered under these tags; while Redis is away, they are pending."""
        lists = await self.lists.read(tags)
        if lists is None:
            self._pending.tags.update(tags)
            return
        await self.lists.drop(tags, lists)
        await self.invalidate(lists)

    @property
    def has_pending(self) -> bool:
        """Whether invalidations wait for Redis to come back."""
        return bool(self._pending) or self._is_flushing

    async def flush_pending(self) -> None:
        """Apply in Redis the invalidations that were pending while it was away."""
        pending, self._pending = self._pending, PendingInvalidations()
        self._is_flushing = True
        try:
            await self.invalidate(pending.keys)
            if pending.tags:
                await self.invalidate_lists(pending.tags)
            for prefix in cached_prefixes("") if pending.covers_all else ():
                await self.invalidate_pattern(prefix + "*")
        except UpstreamUnavailable:
            self._pending.covers_all = True
        finally:
            self._is_flushing = False

    async def register_lists(self, lists: ListDescriptions) -> ListRegistration:
        """Register lists before they are read, so that a change from then on invalidates them.

        A tag with too many lists is emptied and its lists are dropped.
        """
        if not self.uses_redis:
            return ListRegistration(False)
        registration = await self.lists.register(lists)
        if registration is None:
            return ListRegistration(False)
        for tag in registration.full:
            await self.invalidate_lists([tag])
        return registration

    async def mark_stale(self, keys: Iterable[str]) -> int:
        """Make entries stale, to be served until refreshed; returns how many Redis had."""
        names = list(dict.fromkeys(keys))
        self.invalidate_local(names)
        if not names or not self.uses_redis:
            return 0
        marked = 0
        with suppress(UpstreamUnavailable):  # what was not marked expires by itself
            for first in range(0, len(names), _BATCH):
                marked += await self._mark_stale_batch(names[first : first + _BATCH])
        return marked

    async def _mark_stale_batch(self, names: list[str]) -> int:
        with self._redis.translate_errors():
            values = await self._redis.get_many([self.prefix + key for key in names])
            pipeline = self._redis.pipeline(transaction=False)
            for name, value in zip(names, values, strict=True):
                body = encode_stale(value, self._clock()) if value is not None else None
                if body is not None:
                    pipeline.set(self.prefix + name, body, keepttl=True, xx=True)
                    pipeline.set(self._tracked + name, b"1", px=_CHANGED_MS)
            return len(await pipeline.execute()) // 2

    def invalidate_local(self, keys: Iterable[str] | None) -> None:
        """Drop entries (None: all) of this process, and what listeners built from them."""
        self._log.record(keys)
        if keys is None:
            self._memory.clear()
        for key in keys or ():
            self._memory.pop(key)
        for listener in self._listeners:
            listener(keys)

    def apply_invalidations(self, marks: Iterable[bytes] | None) -> None:
        """Drop the keys whose marks of change Redis reported; for a pattern's, or None: all."""
        skip = len(self._tracked)
        keys = [mark.decode(errors="replace")[skip:] for mark in marks or ()]
        is_everything = marks is None or any(key.endswith("*") for key in keys)
        self.invalidate_local(None if is_everything else keys)

    def has_changed(self, keys: Iterable[str], since: int) -> bool:
        """Whether any of the keys was invalidated after `since`, a former value of `changes`."""
        return self._log.has_changed(keys, since)

    def clear_memory(self) -> None:
        """Drop all entries of this process."""
        self.invalidate_local(None)

    async def invalidate_pattern(self, pattern: str) -> int:
        """Drop every key of a pattern such as `movie:*`; returns how many Redis had.

        Raises:
            UpstreamUnavailable: Redis is away; some may be dropped.
        """
        self.clear_memory()
        with self._redis.translate_errors():
            # Leases first, so that values being read now are not stored.
            await unlink_pattern(self._redis, self._lease + self.prefix + pattern)
            dropped = await unlink_pattern(self._redis, self.prefix + pattern)
            pulse = self._redis.pipeline(transaction=True)  # other processes are told, once
            pulse.set(self._tracked + pattern, b"1")
            pulse.delete(self._tracked + pattern)
            await pulse.execute()
        return dropped

    # ---- inside

    async def _call(self, script: Script, keys: list[str], *args: Any) -> Any:
        """Call a script; None when Redis is away."""
        names = [self.prefix + key for key in keys]
        try:
            return await self._redis.scripts.call(script, len(names), *names, *args)
        except UpstreamUnavailable:
            return None

    def _encode_entries(
        self, kind: Kind, codec: Codec[Any], entries: Mapping[str, Entry]
    ) -> tuple[dict[str, Entry], list[bytes | int]]:
        """Return the entries with their sizes, and for each its encoding and its lifetime."""
        now = self._clock()
        sized: dict[str, Entry] = {}
        bodies: list[bytes | int] = []
        for key, entry in entries.items():
            body = codec.encode(kind, entry)
            sized[key] = entry._replace(encoded_bytes=len(body))
            bodies += body, max(1, int(entry.stale_until - now))
        return sized, bodies


__all__ = ["Cache", "Codec", "Entry", "Lease"]
