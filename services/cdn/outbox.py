"""Queue of purges whose change is made, in Redis. The purges themselves are in MongoDB.

A lost message loses nothing: such a purge goes out a little later, and covers more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from services.redis.cache_keys import PURGES_READY
from services.redis.link import RedisLink

_MAX_MESSAGES = 10_000
_AT_ONCE = 500
_Message = tuple[str, list[str]]


class PurgeOutbox:
    """Queue of purges that are ready, one object per process; `redis` is that of the state."""

    def __init__(self, redis: RedisLink, prefix: str = "") -> None:
        self._redis = redis
        self._key = prefix + PURGES_READY

    async def mark_ready(self, purge_id: str, tags: Collection[str]) -> None:
        """Announce that a purge is ready: the change is made, our caches have dropped it.

        Raises:
            UpstreamUnavailable: Redis is away; the purge goes out by itself a little later.
        """
        message: _Message = (purge_id, sorted(tags))
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.rpush(self._key, msgspec.msgpack.encode(message))
        pipeline.ltrim(self._key, -_MAX_MESSAGES, -1)
        with self._redis.translate_errors():
            await pipeline.execute()

    async def pop_ready(self) -> dict[str, list[str]]:
        """Take the oldest ready purges, ids with tags, once each; empty when there are none.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        with self._redis.translate_errors():
            messages: Any = await self._redis.lpop(self._key, _AT_ONCE)
        return dict(msgspec.msgpack.decode(message, type=_Message) for message in messages or ())
