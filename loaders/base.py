"""CachedLoader: operation -> memory -> Redis (one MGET) -> MongoDB (one `$in`) -> back-fill.

Two ways in, one way down. `many` serves breadth-first execution: all keys of a level at once.
`load` serves graphql-core, one key at a time; aiodataloader gathers what arrives together.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from aiodataloader import DataLoader

from loaders import tiers
from loaders.tiers import CacheTier
from services.cache.cache import Cache, Codec, Entry, count
from services.cache.lists import ListRegistration
from services.redis.cache_keys import Kind
from services.telemetry import metrics

V = TypeVar("V")
L = TypeVar("L", bound="CachedLoader[Any]")
Fields = frozenset[str] | None
CacheHits = Counter[tuple[str, str]]
_served_stale = metrics.cache_stale_total.labels("redis")


class Scope(Protocol):
    """What a loader needs of its operation."""

    is_degraded: bool
    tally: CacheHits | None  # what answered, by kind and level; None: nobody asks

    @property
    def cache(self) -> Cache: ...

    def loader(self, kind: type[L], /) -> L: ...

    def for_event(self) -> Scope: ...


class CachedLoader(Generic[V]):
    """Base of all loaders: a subclass names its cache kind and value type and fetches misses.

    Made per operation (per event, for subscriptions), so an operation sees each thing once.
    """

    kind: ClassVar[Kind]
    codec: ClassVar[Codec[Any]]

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._cache = scope.cache
        self._since = scope.cache.changes  # what is forgotten after this is not kept
        self._seen: dict[str, V | None] = {}
        self._views: dict[frozenset[str], dict[str, V | None]] = {}
        self._single: _Gather | None = None

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, V]:
        """What the database holds of these keys: one command. Overridden by every loader.

        `fields` says which record fields will be read; None asks for whole records.
        """
        raise NotImplementedError

    def cache_key(self, key: str) -> str:
        return self.kind.key(key)

    def keys_read(self) -> Iterator[str]:
        """Cache keys of everything this operation saw through here, found or not."""
        return map(self.cache_key, self._seen)

    def prime(self, values: Mapping[str, V], fields: Fields = None) -> None:
        """Hands over what was read on the way, so that this operation does not read it again."""
        self._count("database", len(values))
        seen = self._seen if fields is None else self._view(fields)
        for key, value in values.items():
            seen.setdefault(key, value)

    async def keep(self, values: Mapping[str, V]) -> None:
        """Hands over whole records read on the way, to the cache tiers as well."""
        self.prime(values)
        entries = {
            self.cache_key(key): self._cache.build_entry(self.kind, value)
            for key, value in values.items()
        }
        await self._cache.store(self.kind, self.codec, entries, self._since)

    async def load(self, key: str) -> V | None:
        """One key, gathered with the others asked for in the same moment."""
        if key in self._seen:
            return self._seen[key]
        if self._single is None:
            self._single = _Gather(self)
        found: V | None = await self._single.load_shielded(key)
        return found

    async def load_one(self, key: str, fields: Fields) -> V | None:
        """As `load`, for a caller that knows which fields it reads (None: it does not)."""
        if fields is None:
            return await self.load(key)
        return (await self.many([key], fields))[key]

    async def load_each(self, keys: Iterable[str]) -> dict[str, V | None]:
        """As `load`, for many keys of one caller.

        Raises:
            UpstreamUnavailable: any of them could not be read.
        """
        wanted = list(dict.fromkeys(keys))
        values = await asyncio.gather(*(self.load(key) for key in wanted))
        return dict(zip(wanted, values, strict=True))

    def ready(self, keys: Iterable[str], fields: Fields = None) -> dict[str, V | None] | None:
        """What `many` would answer, if this process holds all of it fresh; else None."""
        if fields is not None and not self._cache.enabled:
            return None
        seen = self._seen
        names = {self.cache_key(key): key for key in keys if key not in seen}
        if names:
            fresh = self._cache.peek(names)
            if len(fresh) < len(names):
                return None
            count("memory", len(fresh), 0)
            self._count("memory", len(fresh))
            seen.update({names[name]: entry.value for name, entry in fresh.items()})
        return {key: seen[key] for key in keys}

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, V | None]:
        """Values by key, None for what does not exist; each missing tier is asked once.

        Raises:
            UpstreamUnavailable: the database is away and some key is in no tier, fresh or stale.
        """
        partial = fields is not None and not self._cache.enabled
        seen = self._view(fields) if partial and fields is not None else self._seen
        wanted = dict.fromkeys(keys)
        missing = [key for key in wanted if key not in seen]
        if missing and partial:
            found = await self.fetch(missing, fields)
            self._count("database", len(missing))
            seen.update({key: found.get(key) for key in missing})
        elif missing:
            await self._fill(missing)
        return {key: seen[key] for key in wanted}

    def _view(self, fields: frozenset[str]) -> dict[str, V | None]:
        """Partial records answer only those who asked for the same fields."""
        return self._views.setdefault(fields, {})

    async def _fill(self, keys: list[str]) -> None:
        await tiers.fill(self, {self.cache_key(key): key for key in keys})

    # ---- what loaders.tiers needs

    @property
    def tiers(self) -> Cache:
        return self._cache

    def take(self, entries: Mapping[str, Entry], names: dict[str, str], level: CacheTier) -> None:
        """This operation has seen these entries; `names` maps cache keys to its own."""
        seen = self._seen
        for name, entry in entries.items():
            seen[names[name]] = entry.value
        self._count(level, len(entries))
        if level == "stale" and entries:
            self._scope.is_degraded = True
            _served_stale.inc(len(entries))

    def _count(self, level: CacheTier, keys: int) -> None:
        tally = self._scope.tally
        if tally is not None and keys:
            tally[self.kind.name, level] += keys

    async def note(self, names: dict[str, str]) -> ListRegistration:
        """Called before these are read, to note what must be known to forget them again."""
        return ListRegistration(True)

    def for_background(self) -> Self:
        """The same loader for a read that outlives its operation."""
        clone = copy.copy(self)
        clone._scope = self._scope.for_event()
        clone._seen, clone._views, clone._single = {}, {}, None
        return clone


class _Gather(DataLoader[str, Any]):
    """aiodataloader, with two of its traps closed: a cancelled caller poisons nothing, and one
    failing batch fails each of its keys with the same error."""

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


def in_order(values: Mapping[str, V | None], keys: Collection[str]) -> list[V]:
    """The values of these keys in their order, without those that do not exist."""
    return [value for key in keys if (value := values[key]) is not None]
