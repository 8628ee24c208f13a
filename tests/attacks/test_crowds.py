"""Crowds of sockets and connections against a process of its own, in a shortened form."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.settings.settings import Settings
from tests.attacks import silent_connections, sockets
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served

SOCKETS = 1_000
CONNECTIONS = 2_000
LONGEST_MS = 1_000  # on a busy machine; the whole form prints what is felt


@pytest.mark.serial
async def test_crowds_are_hardly_felt_by_others(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "PORT": str(port),
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": settings.redis_url or "",
    }
    sockets.raise_descriptor_limit()
    with Process(tmp_path, "serve", environment=environment):
        async with Served(port):
            # when thousands come, then all are served or refused, and others' requests go on
            felt = await sockets.attack(port, SOCKETS)
            felt |= await silent_connections.attack(port, CONNECTIONS)
    assert any(f"{SOCKETS} are opened" in moment for moment in felt)
    assert any(f"{CONNECTIONS} connect" in moment for moment in felt)
    for moment, latency in felt.items():
        assert latency.requests > 1
        assert latency.p99 < LONGEST_MS, moment
