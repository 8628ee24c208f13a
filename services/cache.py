"""The cache tiers: process memory, then Redis, read with one MGET a batch.

An entry carries fresh-until and stale-until: fresh answers, stale answers only where the caller
says that nothing better can. Redis being away is a miss, never an error.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from services import metrics
from services.cache_keys import Kind
from services.redis_pool import Client, Failure, Guard

V = TypeVar("V")
_MEMORY_SECONDS = 60  # the backstop for what invalidation missed
_JITTER = 0.1  # spreads the expiry of what was written together


class Entry(NamedTuple):
    """A cached value; None says that the thing does not exist."""

    value: Any
    fresh_until: float
    stale_until: float


class Codec(Generic[V]):
    """Entries of one type to and from Redis bytes: [version, fresh until, stale until, value]."""

    def __init__(self, value_type: Any) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(tuple[int, float, float, value_type | None])

    def encode(self, kind: Kind, entry: Entry) -> bytes:
        return self._encoder.encode((kind.version, *entry[1:], entry.value))

    def decode(self, kind: Kind, raw: Any) -> Entry | None:
        try:
            version, fresh, stale, value = self._decoder.decode(raw)
        except msgspec.DecodeError:
            return None  # written by another version of us
        return Entry(value, fresh, stale) if version == kind.version else None


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
        self._guard = Guard()
        self._prefix = prefix
        self._memory: dict[str, Entry] = {}
        self._limit = memory_entries
        self._clock = clock
        self.uses_memory = "memory" in tiers
        self.uses_redis = "redis" in tiers
        self.enabled = self.uses_memory or self.uses_redis
        self.keeps_answers = "answers" in tiers
        self.changes = 0  # how often something was forgotten
        self._listeners: list[Callable[[Iterable[str] | None], None]] = []

    def on_forget(self, listener: Callable[[Iterable[str] | None], None]) -> None:
        """Called with the keys that are forgotten, or None for all."""
        self._listeners.append(listener)

    def now(self) -> float:
        return self._clock()

    def peek(self, keys: Iterable[str]) -> dict[str, Entry]:
        """What memory holds fresh: no waiting, no copying."""
        if not self.uses_memory:
            return {}
        now, memory = self._clock(), self._memory
        found = {}
        for key in keys:
            entry = memory.get(key)
            if entry is not None and entry.fresh_until > now:
                found[key] = entry
        return found

    async def fetch(self, kind: Kind, codec: Codec[Any], keys: list[str]) -> dict[str, Entry]:
        """What Redis holds, fresh or stale, in one MGET; fresh entries are kept in memory."""
        if not self.uses_redis or not keys or not self._guard.allows():
            return {}
        try:
            values = await self._redis.mget([self._prefix + key for key in keys])
        except Failure:
            self._guard.failed()
            return {}
        found = {}
        for key, raw in zip(keys, values, strict=True):
            entry = codec.decode(kind, raw) if raw is not None else None
            if entry is not None:
                found[key] = entry
        self._remember(found)
        return found

    def entry(self, kind: Kind, value: Any) -> Entry:
        """A new entry of now, its lifetime jittered."""
        fresh = kind.fresh_seconds if value is not None else kind.missing_seconds
        fresh_until = self._clock() + fresh * (1 - _JITTER * random.random())  # noqa: S311
        return Entry(
            value, fresh_until, fresh_until + (kind.stale_seconds if value is not None else 0)
        )

    async def store(self, kind: Kind, codec: Codec[Any], entries: Mapping[str, Entry]) -> None:
        """Keeps entries in memory and, in one round trip, in Redis."""
        self._remember(entries)
        if not self.uses_redis or not entries or not self._guard.allows():
            return
        now = self._clock()
        pipeline = self._redis.pipeline(transaction=False)
        for key, entry in entries.items():
            seconds = max(1, int(entry.stale_until - now))
            pipeline.set(self._prefix + key, codec.encode(kind, entry), ex=seconds)
        try:
            await pipeline.execute()
        except Failure:
            self._guard.failed()

    async def forget(self, keys: Iterable[str]) -> None:
        """Drops entries from memory here and from Redis."""
        names = list(keys)
        self.forget_here(names)
        if self.uses_redis and names and self._guard.allows():
            try:
                await self._redis.unlink(*(self._prefix + key for key in names))
            except Failure:
                self._guard.failed()

    def forget_here(self, keys: Iterable[str] | None) -> None:
        """Drops entries (all for None), and what was made of them, from this process alone."""
        self.changes += 1
        if keys is None:
            self._memory.clear()
        else:
            for key in keys:
                self._memory.pop(key, None)
        for listener in self._listeners:
            listener(keys)

    def clear_memory(self) -> None:
        self.forget_here(None)

    async def forget_all(self, pattern: str) -> int:
        """Drops every key of a pattern such as `movie:*`; for bulk imports. Returns how many."""
        self.clear_memory()
        dropped = 0
        batch: list[bytes] = []
        async for key in self._redis.scan_iter(match=self._prefix + pattern, count=1000):
            batch.append(key)
            if len(batch) == 1000:
                dropped += await self._redis.unlink(*batch)
                batch.clear()
        return dropped + (await self._redis.unlink(*batch) if batch else 0)

    def _remember(self, entries: Mapping[str, Entry]) -> None:
        if not self.uses_memory:
            return
        if len(self._memory) + len(entries) > self._limit:
            self._make_room()
        until = self._clock() + _MEMORY_SECONDS
        for key, entry in entries.items():
            self._memory[key] = entry._replace(fresh_until=min(entry.fresh_until, until))

    def _make_room(self) -> None:
        """Drops the oldest quarter: dicts keep the order of insertion."""
        for key in list(self._memory)[: self._limit // 4]:
            del self._memory[key]


def count(level: str, hits: int, misses: int) -> None:
    """Tells the metrics how one level did in one batch."""
    if hits:
        metrics.cache_hits_total.labels(level).inc(hits)
    if misses:
        metrics.cache_misses_total.labels(level).inc(misses)
