"""Invalidation of process memory by Redis client tracking (BCAST) of marks of change.

Without a connection, memory is not trusted: it is used only where the database cannot answer, and
emptied when the connection is back. Nor is Redis, which may come back older (history.py). A silent
connection is detected within two seconds.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from services.cache.cache import Cache
from services.cache.history import drop_other_history
from services.redis.follower import Follower, next_message
from services.redis.link import RedisLink
from services.silence import limit_silence
from services.telemetry.logs import get_logger
from services.telemetry.outages import is_store_away

log = get_logger("cache_tracking")
_CHANNEL = "__redis__:invalidate"
_QUIET_SECONDS = 0.7  # then a PING
_PONG_SECONDS = 0.7
_START_SECONDS = 2.0  # to connect and start tracking
_LONGEST_PAUSE_SECONDS = 1.0


class CacheTracking:
    """The tracking connection of one process; it has a client of its own.

    Args:
        prefix: beginning of the marks of change, `cache_keys.tracked_prefix`.
    """

    def __init__(self, redis: RedisLink, cache: Cache, prefix: str) -> None:
        self._cache = cache
        self._prefix = prefix
        self._listening = asyncio.Event()
        self._follower = Follower(
            redis,
            "cache tracking",
            self._listen,
            on_gap=self._stop_trusting,
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
        )

    async def start(self, wait_seconds: float = 1.0) -> None:
        """Start listening; waits at most `wait_seconds` for Redis, which may be away."""
        self._stop_trusting()
        self._follower.start()
        try:
            async with asyncio.timeout(wait_seconds):
                await self._listening.wait()
        except TimeoutError:
            if is_store_away():  # which is logged already
                return
            log.warning("cache_memory_disabled", reason="Redis did not answer")

    async def aclose(self) -> None:
        """Stop listening, and trusting memory."""
        await self._follower.aclose()
        self._listening.clear()
        self._cache.trusts_memory = False

    @property
    def is_listening(self) -> bool:
        """Whether Redis reports changes at the moment."""
        return self._listening.is_set()

    async def _listen(self, blocking: Redis) -> None:
        async with blocking.pubsub() as pubsub:
            async with limit_silence(_START_SECONDS):
                await self._track(pubsub)
            await drop_other_history(blocking, self._cache)
            self._cache.trusts_redis = True
            await self._cache.flush_pending()
            self._cache.invalidate_local(None)  # earlier changes were not reported
            self._cache.trusts_memory = True
            self._listening.set()
            self._follower.record_success()
            while True:
                await self._apply_next(pubsub)

    async def _apply_next(self, pubsub: PubSub) -> None:
        self._follower.check()
        if self._cache.has_pending:
            await self._cache.flush_pending()
        message = await next_message(
            pubsub, quiet_seconds=_QUIET_SECONDS, pong_seconds=_PONG_SECONDS
        )
        if message is not None and message["type"] == "message":
            self._cache.apply_invalidations(message["data"])

    async def _track(self, pubsub: PubSub) -> None:
        """Start tracking; with RESP2, changes are redirected to the subscribing connection."""
        await pubsub.connect()  # type: ignore[no-untyped-call]
        connection: Any = pubsub.connection
        await connection.send_command("CLIENT", "ID")
        own_id = await connection.read_response()
        await connection.send_command(
            "CLIENT", "TRACKING", "ON", "REDIRECT", own_id, "BCAST", "PREFIX", self._prefix
        )
        await connection.read_response()
        await pubsub.subscribe(_CHANNEL)
        # Until Redis confirms, changes are reported to nobody.
        while (message := await pubsub.get_message(timeout=_START_SECONDS)) is not None:
            if message["type"] == "subscribe":
                return
        raise TimeoutError("no confirmation of the subscription")

    def _stop_trusting(self) -> None:
        """Use Redis and memory no more: another Redis may answer, which has what changed since."""
        self._listening.clear()
        self._cache.trusts_memory = self._cache.trusts_redis = False
