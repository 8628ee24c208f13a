"""Follower of one Redis server: a supervised task that reads with a blocking client, for ever.

It connects again after any failure, with a growing pause and jitter, and tells its owner that
something may have been missed. A silent connection is noticed by a PING or a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from services.redis.cancellation import raise_if_cancelled
from services.redis.link import RedisLink
from services.silence import limit_silence
from services.supervision import SupervisedTask
from services.telemetry import metrics


class Follower:
    """Reader of one stream or of pub/sub channels.

    Args:
        read: reads with the blocking client until that fails; called again after each failure.
        on_gap: called after each failure: until reading goes on, nothing is noticed.
    """

    def __init__(
        self,
        redis: RedisLink,
        name: str,
        read: Callable[[Redis], Awaitable[None]],
        *,
        on_gap: Callable[[], None] = lambda: None,
        longest_pause_seconds: float = 2.0,
    ) -> None:
        self._redis = redis
        self._read = read
        self._on_gap = on_gap
        self._blocking: Redis | None = None
        self._task = SupervisedTask(
            name,
            self._follow,
            on_failure=self._record_gap,
            longest_pause_seconds=longest_pause_seconds,
        )

    @property
    def is_started(self) -> bool:
        """Whether it was started and not closed."""
        return self._task.is_started

    def start(self) -> None:
        """Start reading, unless that is started."""
        self._task.start()

    def record_success(self) -> None:
        """Note that reading goes on; call it once connected, it costs little."""
        self._task.record_success()

    def check(self) -> None:
        """End a read that was cancelled or closed though a library swallowed it.

        Raises:
            CancelledError: the follower is closed.
        """
        raise_if_cancelled()
        if self._task.is_closed:
            raise asyncio.CancelledError

    async def aclose(self) -> None:
        """Stop reading and close the connection."""
        await self._task.aclose()
        if self._blocking is not None:
            await self._blocking.aclose()

    @property
    def blocking(self) -> Redis:
        """The client that it reads with; `aclose` closes it."""
        if self._blocking is None:
            self._blocking = self._redis.connect_blocking()
        return self._blocking

    async def _follow(self) -> None:
        await self._read(self.blocking)

    def _record_gap(self) -> None:
        metrics.redis_errors_total.inc()
        self._on_gap()


async def next_message(
    pubsub: PubSub, *, quiet_seconds: float, pong_seconds: float
) -> dict[str, Any] | None:
    """Read the next message of a subscription; None: it was quiet, and a PING was answered.

    Raises:
        TimeoutError: the connection is silent.
    """
    message: dict[str, Any] | None = await pubsub.get_message(timeout=quiet_seconds)
    if message is not None:
        return message
    await pubsub.ping()
    async with limit_silence(pong_seconds):
        message = await pubsub.get_message(timeout=None)
    return None if message is None or message["type"] == "pong" else message
