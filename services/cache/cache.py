"""The cache tiers: process memory, then Redis, read with one MGET a batch.

A miss is filled under a lease, so one process reads for all; forgetting a key ends its lease, so
nothing old is stored after a change. Redis being away is a miss, never an error.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import IntEnum
from typing import Any

from services.cache.entry import Codec, Entry, encode_stale
from services.cache.lists import ListDescriptions, ListIndex, ListRegistration
from services.cache.pending import PendingInvalidations
from services.errors import UpstreamUnavailable
from services.redis.cache_keys import CHANGED, LEASE, Kind, tracked_prefixes
from services.redis.pool import Client, Failure, Guard
from services.redis.scripts import Script, ScriptCalls
from services.telemetry import metrics

_MEMORY_SECONDS = 60  # the backstop for what invalidation missed
_JITTER = 0.1  # spreads the expiry of what was written together
_LEASE_MS = 2_000
_CHANGED_MS = 10_000  # longer than a replica lags behind and a read lasts
_INVALIDATED_KEYS = 10_000
_BATCH = 500  # keys in one command
_ACQUIRE, _FILL = Script("cache", "cache_acquire"), Script("cache", "cache_fill")
_STORE, _INVALIDATE = Script("cache", "cache_store"), Script("cache", "cache_invalidate")
_RELEASE = Script("cache", "cache_release")


class Lease(IntEnum):
    """Who reads a missing thing; `CHANGED`: ours, and it changed moments ago."""

    LOST = 0
    OURS = 1
    CHANGED = 2


class Cache:
    """One per process. Keys are whole texts made by `Kind.key`."""

    def __init__(
        self,
        redis: Client,
        *,
        tiers: str = "answers,memory,redis",
        prefix: str = "",
        memory_entries: int = 50_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._scripts = ScriptCalls(redis)
        self.lists = ListIndex(redis, prefix)
        self._guard = Guard()
        self._prefix = prefix
        self._lease, self._changed = prefix + LEASE, prefix + CHANGED
        self._memory: dict[str, Entry] = {}
        self._limit = memory_entries
        self._clock = clock
        self._uses_memory = "memory" in tiers
        self._uses_redis = "redis" in tiers
        self._uses_answers = "answers" in tiers
        self.enabled = self._uses_memory or self._uses_redis
        self.flights: dict[str, asyncio.Future[Entry]] = {}  # what is being read now, by key
        self.trusts_memory = True  # off while nobody tells us of changes
        self.changes = 0  # how often something was forgotten
        self._pending = PendingInvalidations()
        self._invalidated: OrderedDict[str, int] = OrderedDict()
        self._all_invalidated = 0  # of changes before this it is not known which keys they were of
        self._listeners: list[Callable[[Iterable[str] | None], None]] = []

    @property
    def uses_memory(self) -> bool:
        return self._uses_memory and self.trusts_memory

    @property
    def uses_answers(self) -> bool:
        return self._uses_answers and self.trusts_memory

    @property
    def uses_redis(self) -> bool:
        return self._uses_redis and self._guard.allows_calls()

    def on_invalidate(self, listener: Callable[[Iterable[str] | None], None]) -> None:
        """Called with the keys that are forgotten, or None for all."""
        self._listeners.append(listener)

    def now(self) -> float:
        return self._clock()

    def build_entry(self, kind: Kind, value: Any) -> Entry:
        """A new entry of now, its lifetime jittered."""
        fresh = kind.fresh_seconds if value is not None else kind.missing_seconds
        fresh_until = self._clock() + fresh * (1 - _JITTER * random.random())  # noqa: S311
        stale_seconds = kind.stale_seconds if value is not None else 0
        return Entry(value, fresh_until, fresh_until + stale_seconds)

    # ---- reading

    def peek(self, keys: Iterable[str]) -> dict[str, Entry]:
        """What memory holds fresh: no waiting, no copying."""
        if not self.uses_memory:
            return {}
        now, memory = self._clock(), self._memory
        entries = {}
        for key in keys:
            entry = memory.get(key)
            if entry is not None and entry.fresh_until > now:
                entries[key] = entry
        return entries

    def peek_refreshing(self, keys: Iterable[str]) -> dict[str, Entry]:
        """What memory holds stale while it is being read anew: asking Redis would not help."""
        if not self.uses_memory or not self.flights:
            return {}
        now, memory, flights = self._clock(), self._memory, self.flights
        return {
            key: entry
            for key in keys
            if key in flights and (entry := memory.get(key)) is not None and entry.stale_until > now
        }

    def peek_stale(self, keys: Iterable[str]) -> dict[str, Entry]:
        """What memory holds at all, for when nothing else answers: old, and perhaps changed."""
        now, memory = self._clock(), self._memory
        return {
            key: entry
            for key in keys
            if (entry := memory.get(key)) is not None and entry.stale_until > now
        }

    async def fetch(self, kind: Kind, codec: Codec[Any], keys: list[str]) -> dict[str, Entry]:
        """What Redis holds, fresh or stale, in one MGET; kept in memory."""
        if not keys or not self.uses_redis:
            return {}
        since = self.changes
        try:
            values = await self._redis.mget([self._prefix + key for key in keys])
        except Failure:
            self._guard.record_failure()
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
        """A token, and by key who may read it. With Redis away everybody may."""
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
        """Stores what was read under the token's leases; `since` is `changes` before the read."""
        bodies = self._encode_entries(kind, codec, entries)
        self.remember(await self._write(_FILL, entries, token, self._lease, *bodies), since)

    async def release(self, keys: Iterable[str], token: str) -> None:
        """Gives up the token's leases: the read failed, and another may try at once."""
        if self.uses_redis:
            await self._call(_RELEASE, list(keys), token, self._lease)

    async def store(
        self,
        kind: Kind,
        codec: Codec[Any],
        entries: Mapping[str, Entry],
        since: int | None = None,
    ) -> None:
        """Stores what was read without a lease, except what changed moments ago."""
        since = self.changes if since is None else since
        bodies = self._encode_entries(kind, codec, entries)
        self.remember(await self._write(_STORE, entries, self._changed, *bodies), since)

    async def _write(
        self, script: Script, entries: Mapping[str, Entry], *args: Any
    ) -> Mapping[str, Entry]:
        """Those entries that Redis took, which then tells of their changes. What it refused is
        old, and of what it does not hold it would tell nothing: neither is for memory."""
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
        """Keeps in memory what was not forgotten while it was on its way here."""
        if not self.uses_memory or since < self._all_invalidated:
            return
        if len(self._memory) + len(entries) > self._limit:
            self._make_room()
        until = self._clock() + _MEMORY_SECONDS
        invalidated = self._invalidated if self.changes != since else {}
        for key, entry in entries.items():
            if invalidated.get(key, 0) <= since:
                self._memory.pop(key, None)  # to the end: what is asked for stays longest
                self._memory[key] = entry._replace(fresh_until=min(entry.fresh_until, until))

    # ---- forgetting

    async def invalidate(self, keys: Iterable[str]) -> int:
        """Drops entries everywhere, and keeps out what is being read of them. Returns how many
        Redis held. With Redis away they are remembered, and forgotten there when it is back."""
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
        """Forgets every list registration under these tags; when Redis is back, if it is away."""
        lists = await self.lists.read(tags)
        if lists is None:
            self._pending.tags.update(tags)
            return
        await self.lists.drop(tags, lists)
        await self.invalidate(lists)

    @property
    def has_pending(self) -> bool:
        """Whether Redis has yet to be told that something is to be invalidated."""
        return bool(self._pending)

    async def flush_pending(self) -> None:
        """Forgets in Redis what could not be told while it was away."""
        pending, self._pending = self._pending, PendingInvalidations()
        await self.invalidate(pending.keys)
        if pending.tags:
            await self.invalidate_lists(pending.tags)
        if pending.covers_all:
            try:
                for prefix in tracked_prefixes(""):
                    await self.invalidate_pattern(prefix + "*")
            except Failure:
                self._pending.covers_all = True

    async def register_lists(self, lists: ListDescriptions) -> ListRegistration:
        """Notes lists before they are read, so that a change from then on can forget them.

        A tag with too many lists is emptied, lists and all: what is not registration is not kept.
        """
        if not self.uses_redis:
            return ListRegistration(False)
        registration = await self.lists.register(lists)
        if registration is None:
            self._guard.record_failure()
            return ListRegistration(False)
        for tag in registration.full:
            await self.invalidate_lists([tag])
        return registration

    async def mark_stale(self, keys: Iterable[str]) -> int:
        """Makes entries stale instead of dropping them: they answer until they are read anew."""
        names = list(dict.fromkeys(keys))
        self.invalidate_local(names)
        if not names or not self.uses_redis:
            return 0
        marked = 0
        try:
            for first in range(0, len(names), _BATCH):
                marked += await self._mark_stale_batch(names[first : first + _BATCH])
        except Failure:
            self._guard.record_failure()
        return marked

    async def _mark_stale_batch(self, names: list[str]) -> int:
        values = await self._redis.mget([self._prefix + key for key in names])
        pipeline = self._redis.pipeline(transaction=False)
        for name, value in zip(names, values, strict=True):
            body = encode_stale(value, self._clock()) if value is not None else None
            if body is not None:
                pipeline.set(self._prefix + name, body, keepttl=True, xx=True)
        return len(await pipeline.execute())

    def invalidate_local(self, keys: Iterable[str] | None) -> None:
        """Drops entries (all for None), and what was made of them, from this process alone."""
        self.changes += 1
        if keys is None:
            self._memory.clear()
            self._all_invalidated = self.changes
        else:
            self._invalidate_each(keys)
        for listener in self._listeners:
            listener(keys)

    def _invalidate_each(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._memory.pop(key, None)
            self._invalidated[key] = self.changes
            self._invalidated.move_to_end(key)
        while len(self._invalidated) > _INVALIDATED_KEYS:
            _, self._all_invalidated = self._invalidated.popitem(last=False)

    def apply_invalidations(self, names: Iterable[bytes] | None) -> None:
        """Redis says that these keys changed; None: all of them."""
        if names is None:
            self.invalidate_local(None)
        else:
            skip = len(self._prefix)
            self.invalidate_local([name.decode(errors="replace")[skip:] for name in names])

    def clear_memory(self) -> None:
        self.invalidate_local(None)

    async def invalidate_pattern(self, pattern: str) -> int:
        """Drops every key of a pattern such as `movie:*`; for bulk imports. Returns how many."""
        self.clear_memory()
        # Leases first, so that what is being read now is not kept.
        await self._drop_all(self._lease + self._prefix + pattern)
        return await self._drop_all(self._prefix + pattern)

    async def _drop_all(self, pattern: str) -> int:
        dropped = 0
        batch: list[bytes] = []
        async for key in self._redis.scan_iter(match=pattern, count=1000):
            batch.append(key)
            if len(batch) == 1000:
                dropped += await self._redis.unlink(*batch)
                batch.clear()
        return dropped + (await self._redis.unlink(*batch) if batch else 0)

    # ---- inside

    async def _call(self, script: Script, keys: list[str], *args: Any) -> Any:
        """The script's answer, or None when Redis is away."""
        names = [self._prefix + key for key in keys]
        try:
            return await self._scripts.call(script, len(names), *names, *args)
        except UpstreamUnavailable:
            self._guard.record_failure()
            return None

    def _encode_entries(
        self, kind: Kind, codec: Codec[Any], entries: Mapping[str, Entry]
    ) -> Iterable[bytes | int]:
        now = self._clock()
        for entry in entries.values():
            yield codec.encode(kind, entry)
            yield max(1, int(entry.stale_until - now))

    def _make_room(self) -> None:
        """Drops the oldest quarter: dicts keep the order of insertion."""
        for key in list(self._memory)[: self._limit // 4]:
            del self._memory[key]


_COUNTERS = {
    level: (metrics.cache_hits_total.labels(level), metrics.cache_misses_total.labels(level))
    for level in ("memory", "redis", "response")
}


def count(level: str, hits: int, misses: int) -> None:
    """Tells the metrics how one level did in one batch."""
    hit, missed = _COUNTERS[level]
    if hits:
        hit.inc(hits)
    if misses:
        missed.inc(misses)


__all__ = ["Cache", "Codec", "Entry", "Lease", "count"]
