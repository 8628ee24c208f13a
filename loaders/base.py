"""CachedLoader: operation -> memory -> Redis (one MGET) -> MongoDB (one `$in`) -> back-fill.

`many` serves breadth-first execution: all keys of a level at once. `load` serves graphql-core, one
key at a time; aiodataloader gathers keys that are requested together.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from aiodataloader import DataLoader

from loaders import tiers
from loaders.tiers import CacheTier
from services.cache.cache import Cache, Codec, Entry
from services.cache.lists import ListRegistration
from services.cache.read_counts import count_reads
from services.redis.cache_keys import Kind
from services.telemetry import metrics

_V = TypeVar("_V")
_L = TypeVar("_L", bound="CachedLoader[Any]")
Fields = frozenset[str] | None
CacheHits = Counter[tuple[str, str]]
Values = Mapping[str, _V | None]
_served_stale = metrics.cache_stale_total.labels("redis")


class Scope(Protocol):
    """The operation as a loader needs it."""

    is_degraded: bool
    cache_hits: CacheHits | None  # by kind and tier; None: not counted

    @property
    def cache(self) -> Cache:
        """The cache tiers."""

    def loader(self, kind: type[_L], /) -> _L:
        """The operation's loader of this class."""

    def for_event(self) -> Scope:
        """A scope that outlives the operation."""


class CachedLoader(Generic[_V]):
    """Base of all loaders: a subclass names its cache kind and value type and fetches misses.

    Built per operation (per event, for subscriptions), so an operation reads each key once.
    """

    kind: ClassVar[Kind]
    codec: ClassVar[Codec[Any]]
    _key_start: ClassVar[str | None] = None  # of cache keys that only a loader key follows

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        has_own_keys = cls.cache_key is not CachedLoader.cache_key
        cls._key_start = None if has_own_keys or not hasattr(cls, "kind") else cls.kind.start

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._cache = scope.cache
        self._since = scope.cache.changes  # keys invalidated after this are not stored
        self._seen: dict[str, _V | None] = {}
        self._views: dict[frozenset[str], dict[str, _V | None]] = {}
        self._single: _Gather | None = None

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, _V]:
        """Read these keys from the database in one command. Overridden by every loader.

        `fields` says which record fields will be read; None means whole records.
        """
        raise NotImplementedError

    def cache_key(self, key: str) -> str:
        """The Redis key of a loader key."""
        return self.kind.key(key)

    def _cache_keys(self, keys: Iterable[str]) -> list[str]:
        start = self._key_start
        if start is None:
            return [self.cache_key(key) for key in keys]
        return [start + key for key in keys]  # a call for each key takes six times as long

    def seen_cache_keys(self) -> Iterator[str]:
        """Cache keys of everything this operation read here, missing ones too."""
        return map(self.cache_key, self._seen)

    def seen_tags(self) -> Iterator[str]:
        """Tags of everything this operation read here, by which a CDN drops what shows it."""
        for key in {*self._seen, *chain.from_iterable(self._views.values())}:
            yield from self.tags_of(key)

    def tags_of(self, key: str) -> Iterable[str]:
        """Tags of one loader key: its cache key, and what else a purge may name."""
        return (self.cache_key(key),)

    def prime(self, values: Mapping[str, _V], fields: Fields = None) -> None:
        """Store values read on the way, so that this operation does not read them again."""
        self._count("database", len(values))
        seen = self._seen if fields is None else self._view(fields)
        for key, value in values.items():
            seen.setdefault(key, value)

    async def keep(self, values: Mapping[str, _V]) -> None:
        """Store whole records read on the way, in the cache tiers as well."""
        self.prime(values)
        entries = {
            self.cache_key(key): self._cache.build_entry(self.kind, value)
            for key, value in values.items()
        }
        await self._cache.store(self.kind, self.codec, entries, self._since)

    async def load(self, key: str) -> _V | None:
        """Load one key, batched with others requested in the same moment."""
        ready = self.peek((key,))
        if ready is not None:
            return ready[key]
        if self._single is None:
            self._single = _Gather(self)
        value: _V | None = await self._single.load_shielded(key)
        return value

    async def load_one(self, key: str, fields: Fields) -> _V | None:
        """Load one key, for a caller that knows the fields it reads (None: unknown)."""
        if fields is None:
            return await self.load(key)
        return (await self.many([key], fields))[key]

    async def load_each(self, keys: Iterable[str]) -> dict[str, _V | None]:
        """Load many keys of one caller, batched as `load` does.

        Raises:
            UpstreamUnavailable: any of them could not be read.
        """
        unique = list(dict.fromkeys(keys))
        values = await asyncio.gather(*(self.load(key) for key in unique))
        return dict(zip(unique, values, strict=True))

    def peek(self, keys: Collection[str], fields: Fields = None) -> Values[_V] | None:
        """Values by key, of these distinct keys and of others, if all are in this process, fresh.

        None: some are not, and `many` has to be awaited.
        """
        cache, seen = self._cache, self._seen
        if fields is not None and not cache.enabled:
            return None
        missing = [key for key in keys if key not in seen]
        if missing:
            values = cache.peek_all(self._cache_keys(missing)) if cache.uses_memory else None
            if values is None:
                return None
            count_reads("memory", len(values), 0)
            self._count("memory", len(values))
            seen.update(zip(missing, values, strict=True))
        return seen

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, _V | None]:
        """Values by key, None for missing ones; each tier is read at most once.

        Raises:
            UpstreamUnavailable: no database, and some key is in no tier, fresh or stale.
        """
        requested = dict.fromkeys(keys)
        ready = self.peek(requested, fields)
        if ready is None:
            ready = await self._load_missing(requested, fields)
        return {key: ready[key] for key in requested}

    async def _load_missing(self, keys: Iterable[str], fields: Fields) -> Values[_V]:
        partial = fields is not None and not self._cache.enabled
        seen = self._view(fields) if partial and fields is not None else self._seen
        missing = [key for key in keys if key not in seen]
        if missing and partial:
            fetched = await self.fetch(missing, fields)
            self._count("database", len(missing))
            seen.update({key: fetched.get(key) for key in missing})
        elif missing:
            await self._fill(missing)
        return seen

    def _view(self, fields: frozenset[str]) -> dict[str, _V | None]:
        """Values with just these fields: partial records serve no other request."""
        return self._views.setdefault(fields, {})

    async def _fill(self, keys: list[str]) -> None:
        await tiers.fill(self, {self.cache_key(key): key for key in keys})

    # ---- what loaders.tiers needs

    @property
    def tiers(self) -> Cache:
        """The cache whose tiers this loader reads."""
        return self._cache

    def take(self, entries: Mapping[str, Entry], names: dict[str, str], tier: CacheTier) -> None:
        """Remember entries for this operation; `names` maps cache keys to loader keys."""
        seen = self._seen
        for name, entry in entries.items():
            seen[names[name]] = entry.value
        self._count(tier, len(entries))
        if tier == "stale" and entries:
            self._scope.is_degraded = True
            _served_stale.inc(len(entries))

    def _count(self, tier: CacheTier, keys: int) -> None:
        cache_hits = self._scope.cache_hits
        if cache_hits is not None and keys:
            cache_hits[self.kind.name, tier] += keys

    async def note(self, names: dict[str, str]) -> ListRegistration:
        """Record, before keys are read, what is needed to invalidate them."""
        return ListRegistration(True)

    def for_background(self) -> Self:
        """Copy the loader for a read that outlives its operation."""
        clone = copy.copy(self)
        clone._scope = self._scope.for_event()
        clone._seen, clone._views, clone._single = {}, {}, None
        return clone


class _Gather(DataLoader[str, Any]):
    """aiodataloader without two of its traps.

    A cancelled caller affects no other, and a failing batch fails each of its keys with the same
    error.
    """

    cache = False  # CachedLoader remembers

    def __init__(self, loader: CachedLoader[Any]) -> None:
        super().__init__()
        self._loader = loader

    async def load_shielded(self, key: str) -> Any:
        return await asyncio.shield(self.load(key))

    async def batch_load_fn(self, keys: list[str]) -> list[Any]:
        try:
            values = await self._loader.many(keys)
        except Exception as error:
            return [error] * len(keys)
        return [values[key] for key in keys]


def in_order(values: Mapping[str, _V | None], keys: Collection[str]) -> list[_V]:
    """The values of these keys in their order, without missing ones."""
    return [value for key in keys if (value := values[key]) is not None]
