"""Stores of their own for chaos tests, one pair per file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from models.mongo.replica_set import ensure_initiated
from tests.chaos.stores import Stores
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served


@pytest.fixture(scope="module")
async def stores(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stores]:
    folder = tmp_path_factory.mktemp("outages")
    stores = Stores(folder)
    try:
        await ensure_initiated(stores.mongod.uri)
        loading = folder / "load"
        with Process(loading, "import", "demo", environment=stores.environment) as load:
            assert await load.ended() == 0, load.output
        yield stores
    finally:
        stores.stop()


@pytest.fixture
async def served(stores: Stores, tmp_path: Path) -> AsyncIterator[Served]:
    """A new process, so that its memory holds nothing, and an empty Redis."""
    async with Redis.from_url(stores.redis.uri) as redis:
        await redis.flushdb()
    port = free_port()
    environment = {**stores.environment, "PORT": str(port), "DATA_DIR": str(tmp_path)}
    with Process(tmp_path, "serve", environment=environment):
        async with Served(port) as served:
            yield served
