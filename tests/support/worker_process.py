"""A worker in a process of its own, on the test's stores and a TMDb of ours."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.embedded.servers import die_with_parent
from services.settings.settings import Settings
from tests.house.house import ROOT
from tests.support.fake_tmdb import KEY, FakeTmdb


@asynccontextmanager
async def run_worker(
    settings: Settings, fake: FakeTmdb
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m server worker`; killed at the end."""
    own = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": settings.redis_url or "",
        "TMDB_BASE_URL": fake.url,
        "TMDB_API_KEY": KEY,
        "LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "server", "worker"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **own}, preexec_fn=die_with_parent()
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()
