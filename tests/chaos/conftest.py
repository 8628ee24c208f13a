"""Stores of their own for chaos tests, one pair per file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from models.mongo.replica_set import ensure_initiated
from tests.chaos.stores import Stores
from tests.support.processes import Process


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
