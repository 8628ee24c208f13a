"""A Redis client whose library swallows being cancelled once, as wait_for of Python 3.11 may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from services.redis.link import RedisLink
from services.settings.settings import Settings


class _DeafPubSub(PubSub):
    has_swallowed = False

    async def get_message(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().get_message(*arguments, **options)
        except asyncio.CancelledError:
            if self.has_swallowed:
                raise
            self.has_swallowed = True


class _DeafClient(Redis):
    has_swallowed = False

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            if self.has_swallowed:
                raise
            self.has_swallowed = True

    def pubsub(self, **options: Any) -> PubSub:
        return _DeafPubSub(self.connection_pool, **options)


class _DeafLink(RedisLink):
    def connect_blocking(self) -> Redis:
        return _DeafClient.from_pool(super().connect_blocking().connection_pool)


def connect(settings: Settings) -> RedisLink:
    """A link whose blocking clients are of that kind."""
    return _DeafLink(settings.redis_url or "", timeout_seconds=2, max_connections=10)


async def assert_ends_when_cancelled(events: AsyncIterator[Any]) -> None:
    """A reader of these events ends though its first cancellation was swallowed."""

    async def read() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await anext(events)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    reader.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([reader])
    assert reader.cancelled()
