"""A Redis client whose library swallows being cancelled once, as wait_for of Python 3.11 may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from redis.asyncio.client import PubSub

from services.redis import pool
from services.redis.pool import Client
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


class _DeafClient(Client):
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


def connect(settings: Settings) -> Client:
    """For blocking reads."""
    return _DeafClient(connection_pool=pool.connect_blocking(settings).connection_pool)


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
