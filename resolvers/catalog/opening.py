"""Opening and closing what the catalog has connected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resolvers.runtimes import CatalogRuntime
from services.cdn import open_cdn
from services.cdn.outbox import PurgeOutbox
from services.redis import pool
from services.settings.settings import Settings
from services.tmdb.client import open_tmdb


@asynccontextmanager
async def open_catalog(settings: Settings, state: pool.Client) -> AsyncIterator[CatalogRuntime]:
    """Open the CDN, its outbox and TMDb; `state` never evicts."""
    outbox = PurgeOutbox(state, settings.redis_key_prefix)
    async with open_cdn(settings) as cdn, open_tmdb(settings) as tmdb:
        yield CatalogRuntime(cdn, outbox, tmdb)
