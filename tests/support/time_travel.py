"""A Redis that goes back in time, as one that restarts from an old snapshot does."""

from __future__ import annotations

from typing import Any

from services.redis.pool import Client


class Snapshot:
    """All that a Redis holds at one moment."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._values: dict[bytes, tuple[Any, int]] = {}

    async def take(self) -> Snapshot:
        for key in await self._redis.keys("*"):
            self._values[key] = await self._redis.dump(key), await self._redis.pttl(key)
        return self

    async def restore(self) -> None:
        """What came since is gone; the server's history has another name, as after a restart."""
        await self._redis.flushdb()
        for key, (value, ttl_ms) in self._values.items():
            await self._redis.restore(key, max(ttl_ms, 0), value, replace=True)
        await self._redis.execute_command("DEBUG", "CHANGE-REPL-ID")
