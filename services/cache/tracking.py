"""Invalidation of process memory by Redis client tracking (BCAST).

Without a connection, memory is not trusted: it is used only where the database cannot answer, and
emptied when the connection is back. A silent connection is detected within two seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio.client import PubSub

from services.cache.cache import Cache
from services.redis.link import RedisLink
from services.telemetry.logs import get_logger

log = get_logger("cache_tracking")
_CHANNEL = "__redis__:invalidate"
_QUIET_SECONDS = 0.7  # then a PING
_PONG_SECONDS = 0.7
_START_SECONDS = 2.0  # to connect and start tracking
_RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0)


class CacheTracking:
    """The tracking connection of one process; it has a client of its own."""

    def __init__(self, redis: RedisLink, cache: Cache, prefixes: Iterable[str]) -> None:
        self._blocking = redis.connect_blocking()
        self._cache = cache
        self._prefixes = list(prefixes)
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self, wait_seconds: float = 1.0) -> None:
        """Start listening; waits at most `wait_seconds` for Redis, which may be away."""
        self._cache.trusts_memory = False
        self._task = asyncio.create_task(self._listen_loop())
        try:
            async with asyncio.timeout(wait_seconds):
                await self._listening.wait()
        except TimeoutError:
            log.warning("cache_memory_disabled", reason="Redis did not answer")

    async def aclose(self) -> None:
        """Stop listening and wait for the end of the task."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._blocking.aclose()

    @property
    def is_listening(self) -> bool:
        """Whether Redis reports changes at the moment."""
        return self._listening.is_set()

    async def _listen_loop(self) -> None:
        tries = 0
        while not self._closed:  # Python 3.11's wait_for may swallow the cancellation
            try:
                async with self._blocking.pubsub() as pubsub:
                    await self._listen(pubsub)
            except Exception as error:  # whatever it is, changes are not reported any more
                log.info("cache_tracking_lost", error=repr(error))
            tries = 0 if self._listening.is_set() else tries + 1
            self._stop_trusting_memory()
            await asyncio.sleep(_RETRY_SECONDS[min(tries, len(_RETRY_SECONDS) - 1)])

    async def _listen(self, pubsub: PubSub) -> None:
        async with asyncio.timeout(_START_SECONDS):
            await self._track(pubsub)
        await self._cache.flush_pending()
        self._cache.invalidate_local(None)  # earlier changes were not reported
        self._cache.trusts_memory = True
        self._listening.set()
        while not self._closed:
            if self._cache.has_pending:
                await self._cache.flush_pending()
            message = await self._read_message(pubsub, _QUIET_SECONDS)
            if message is None:
                await pubsub.ping()
                message = await self._read_message(pubsub, _PONG_SECONDS)
                if message is None:
                    raise TimeoutError("no pong")
            if message["type"] == "message":
                self._cache.apply_invalidations(message["data"])

    async def _track(self, pubsub: PubSub) -> None:
        """Start tracking; with RESP2, changes are redirected to the subscribing connection."""
        await pubsub.connect()  # type: ignore[no-untyped-call]
        connection: Any = pubsub.connection
        await connection.send_command("CLIENT", "ID")
        own_id = await connection.read_response()
        prefixes = [part for prefix in self._prefixes for part in ("PREFIX", prefix)]
        await connection.send_command(
            "CLIENT", "TRACKING", "ON", "REDIRECT", own_id, "BCAST", *prefixes
        )
        await connection.read_response()
        await pubsub.subscribe(_CHANNEL)
        # Until Redis confirms, changes are reported to nobody.
        while (message := await self._read_message(pubsub, _START_SECONDS)) is not None:
            if message["type"] == "subscribe":
                return
        raise TimeoutError("no confirmation of the subscription")

    async def _read_message(self, pubsub: PubSub, seconds: float) -> dict[str, Any] | None:
        message: dict[str, Any] | None = await pubsub.get_message(timeout=seconds)
        return message

    def _stop_trusting_memory(self) -> None:
        self._listening.clear()
        self._cache.trusts_memory = False
