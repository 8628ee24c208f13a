"""Whether Redis is still the server to which changes were reported.

One that was started again, restored from a snapshot or promoted from a replica may have entries
that changed since. It has a replication id of its own then, by which the entries' history differs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.cache.cache import Cache
from services.redis.cache_keys import CACHE_HISTORY, cached_prefixes
from services.silence import limit_silence
from services.telemetry.logs import get_logger

log = get_logger("cache_history")
_SILENCE_SECONDS = 2.0


async def drop_other_history(redis: Redis, cache: Cache) -> bool:
    """Drop all entries unless they were written in this server's history; true if dropped.

    Every process does so by itself; what one of them drops too much is read again.

    Raises:
        RedisError, UpstreamUnavailable, TimeoutError: nothing in it may be trusted yet.
    """
    key = cache.prefix + CACHE_HISTORY
    async with limit_silence(_SILENCE_SECONDS):
        current = await _read_history(redis)
        known = await redis.get(key)
        if current is None or known == current:
            return False
    for kinds in cached_prefixes(""):
        await cache.invalidate_pattern(kinds + "*")
    async with limit_silence(_SILENCE_SECONDS):
        await redis.set(key, current)
    if known is not None:  # not the first of all processes
        log.info("cache_history_changed")
    return True


async def _read_history(redis: Redis) -> bytes | None:
    """The replication id; None where Redis tells nobody."""
    with suppress(ResponseError):
        replication: dict[str, Any] = await redis.info("replication")
        if "master_replid" in replication:
            return str(replication["master_replid"]).encode()
    return None
