"""Dropping every key of a pattern from Redis, a thousand at a time, without stopping it."""

from __future__ import annotations

from services.redis.link import RedisLink

_BATCH = 1000


async def unlink_pattern(redis: RedisLink, pattern: str) -> int:
    """Unlink all keys of a glob-style pattern; returns how many there were."""
    dropped = 0
    batch: list[bytes] = []
    async for key in redis.scan_iter(match=pattern, count=_BATCH):
        batch.append(key)
        if len(batch) == _BATCH:
            dropped += await redis.unlink(*batch)
            batch.clear()
    return dropped + (await redis.unlink(*batch) if batch else 0)
