"""Cached answers of providers, and where an answer comes from."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from services.cache.cache import Cache, Codec, Entry
from services.cache.read_counts import count_reads
from services.redis.cache_keys import Kind


class DataOrigin(Enum):
    """Where an answer comes from, nearest first."""

    MEMORY = "MEMORY"
    CACHE = "CACHE"
    DATABASE = "DATABASE"
    PRIMARY_PROVIDER = "PRIMARY_PROVIDER"
    FALLBACK_PROVIDER = "FALLBACK_PROVIDER"
    STALE = "STALE"
    DEFAULT = "DEFAULT"


CachedAnswer = tuple[Entry, DataOrigin]


async def read_cached(
    cache: Cache, kind: Kind, codec: Codec[Any], names: Sequence[str]
) -> dict[str, CachedAnswer]:
    """Read cached entries, fresh or stale, by name; names without an entry are absent.

    One MGET for all that process memory does not have.
    """
    keys = {kind.key(name): name for name in names}
    in_memory = cache.peek(keys)
    count_reads("memory", len(in_memory), len(keys) - len(in_memory))
    missing = [key for key in keys if key not in in_memory]
    in_redis = await cache.fetch(kind, codec, missing)
    fresh = sum(entry.fresh_until > cache.now() for entry in in_redis.values())
    count_reads("redis", fresh, len(missing) - fresh)
    return {
        keys[key]: (entry, origin)
        for entries, origin in ((in_memory, DataOrigin.MEMORY), (in_redis, DataOrigin.CACHE))
        for key, entry in entries.items()
    }
