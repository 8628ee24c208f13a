"""Two API processes behind the shipped nginx."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from resolvers.context import Runtime
from services.settings.settings import Settings
from tests.support.fake_provider import free_port
from tests.support.nginx import KEY, Edge, find_nginx, run_edge, wait_for_edge
from tests.support.processes import Process, Served


class Fleet(NamedTuple):
    """The edge and what it stands in front of."""

    edge: Edge
    origins: list[Process]
    direct: list[Served]
    client: httpx.AsyncClient  # of the edge


@pytest.fixture(scope="module")
async def running(
    _runtime: Runtime, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """Two API processes on the worker's stores."""
    async with run_fleet(settings, tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def fleet(running: Fleet, runtime: Runtime, demo_catalog: None) -> Fleet:
    """They, and a demo catalogue in the stores; a test that ends a process has others."""
    return running


@pytest.fixture
async def mortal_fleet(
    runtime: Runtime, demo_catalog: None, settings: Settings, tmp_path: Path
) -> AsyncIterator[Fleet]:
    """Two API processes of one test, which may end them."""
    async with run_fleet(settings, tmp_path) as fleet:
        yield fleet


@asynccontextmanager
async def run_fleet(settings: Settings, folder: Path) -> AsyncIterator[Fleet]:
    """Start two API processes and the edge before them."""
    find_nginx()
    ports, edge_port = [free_port(), free_port()], free_port()
    environment = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": settings.redis_url or "",
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "DATA_DIR": str(settings.data_dir),
        "TRUSTED_PROXIES": "127.0.0.1",
        "EDGE_URLS": f"http://127.0.0.1:{edge_port}",
        "EDGE_REFRESH_KEY": KEY,
    }
    async with AsyncExitStack() as stack:
        origins = [
            stack.enter_context(
                Process(
                    folder / f"api-{number}",
                    "serve",
                    environment={**environment, "PORT": str(port)},
                )
            )
            for number, port in enumerate(ports)
        ]
        direct = [await stack.enter_async_context(Served(port)) for port in ports]
        edge = stack.enter_context(run_edge(folder / "edge", ports, edge_port))
        await wait_for_edge(edge)
        client = await stack.enter_async_context(edge.client())
        yield Fleet(edge, origins, direct, client)
