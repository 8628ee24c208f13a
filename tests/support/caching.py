"""Caches for tests: one per process that is played, on the worker's Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.cache.cache import Cache, Codec, Entry
from services.cache.tracking import CacheTracking
from services.redis import pool
from services.redis.cache_keys import Kind, tracked_prefix
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.relay import Relay, start_relay

KIND = Kind("film", "movie:{}", fresh_seconds=100, stale_seconds=1000)
CODEC = Codec[str](str)


async def store_values(cache: Cache, values: dict[str, str | None]) -> dict[str, Entry]:
    """Stores these values as read just now; returns what was meant to be stored, with sizes."""
    entries = {key: cache.build_entry(KIND, value) for key, value in values.items()}
    await cache.store(KIND, CODEC, entries)
    return {
        key: entry._replace(encoded_bytes=len(CODEC.encode(KIND, entry)))
        for key, entry in entries.items()
    }


async def read_redis(cache: Cache, *keys: str) -> dict[str, str | None]:
    entries = await cache.fetch(KIND, CODEC, list(keys))
    return {key: entry.value for key, entry in entries.items()}


def read_memory(cache: Cache, *keys: str) -> dict[str, str | None]:
    return {key: entry.value for key, entry in cache.peek(keys).items()}


async def mark_changed(redis: Client, key: str, prefix: str = "") -> None:
    """Tells every process, and nothing but that, that a key changed."""
    mark = tracked_prefix(prefix) + key
    async with redis.pipeline(transaction=True) as pipeline:  # so that it is told once
        pipeline.set(mark, b"1")
        pipeline.delete(mark)
        await pipeline.execute()


async def remember(cache: Cache, *keys: str) -> None:
    """Brings keys that Redis holds into memory, as a read does."""
    await cache.fetch(KIND, CODEC, list(keys))
    assert set(read_memory(cache, *keys)) == set(keys)


@asynccontextmanager
async def connect_through(relay: Relay, settings: Settings) -> AsyncIterator[Client]:
    redis = pool.connect(settings.model_copy(update={"redis_url": relay.uri}))
    try:
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def connect_relayed(settings: Settings) -> AsyncIterator[tuple[Relay, Client]]:
    """A relay to the worker's Redis, and a client that goes through it."""
    async with (
        start_relay(settings.redis_url or "") as relay,
        connect_through(relay, settings) as redis,
    ):
        yield relay, redis


@asynccontextmanager
async def track_cache(
    cache: Cache, settings: Settings, relay: Relay | None = None, prefix: str = ""
) -> AsyncIterator[CacheTracking]:
    """The cache's memory kept right, perhaps through a relay."""
    address = {"redis_url": relay.uri} if relay is not None else {}
    redis = pool.connect(settings.model_copy(update=address))
    tracking = CacheTracking(redis, cache, tracked_prefix(prefix))
    await tracking.start(wait_seconds=2.0)
    try:
        yield tracking
    finally:
        await tracking.aclose()
        await redis.aclose()
