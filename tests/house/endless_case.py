"""A test that does not end, for test_no_orphans.py to kill; the suite does not collect it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from services.settings.settings import Settings
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served


async def test_a_server_runs_until_it_is_killed(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "REDIS_URL": settings.redis_url or "",
        "DATA_DIR": str(tmp_path / "data"),
        "PORT": str(port),
    }
    with (
        Process(tmp_path / "server", "serve", environment=environment, from_scratch=True),
        Process(tmp_path / "worker", "worker", environment=environment),
    ):
        async with Served(port):
            (tmp_path / "served").touch()
            await asyncio.Event().wait()
