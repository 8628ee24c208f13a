"""Says at once which purges may go out, because their change is made. The purges are in MongoDB.

A word that gets lost here loses nothing: such a purge goes out a little later, and takes more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from services.errors import UpstreamUnavailable
from services.redis.cache_keys import PURGES_READY
from services.redis.pool import Client, Failure
from services.telemetry import metrics

_MOST_WORDS = 10_000
_AT_ONCE = 500
_AWAY = "Redis did not answer in time."
_Word = tuple[str, list[str]]


class PurgeOutbox:
    """One per process; `redis` is that of the state."""

    def __init__(self, redis: Client, prefix: str = "") -> None:
        self._redis = redis
        self._key = prefix + PURGES_READY

    async def ready(self, purge_id: str, tags: Collection[str]) -> None:
        """The change is made and our caches know of it; these tags are left to purge.

        Raises:
            UpstreamUnavailable: Redis is away; the purge goes out by itself a little later.
        """
        word: _Word = (purge_id, sorted(tags))
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.rpush(self._key, msgspec.msgpack.encode(word))
        pipeline.ltrim(self._key, -_MOST_WORDS, -1)
        try:
            await pipeline.execute()
        except Failure as error:
            metrics.redis_errors_total.inc()
            raise UpstreamUnavailable(_AWAY) from error

    async def take(self) -> dict[str, list[str]]:
        """Ids with their tags, the oldest, each told to one caller; empty when there are no more.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        try:
            words: Any = await self._redis.lpop(self._key, _AT_ONCE)
        except Failure as error:
            metrics.redis_errors_total.inc()
            raise UpstreamUnavailable(_AWAY) from error
        return dict(msgspec.msgpack.decode(word, type=_Word) for word in words or ())
