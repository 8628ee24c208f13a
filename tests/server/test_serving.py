"""What a process prepares before it serves, and how it stops."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from resolvers.context import Runtime
from server.listeners import Listeners, open_listeners
from services.errors import StartupError
from services.settings.settings import Environment, Settings
from tests.support.api_client import build_silent_app, connect_app, serve_app
from tests.support.fake_provider import free_port
from tests.support.processes import ROOT, Process, Served, until
from tests.support.relay import start_relay

EVERYWHERE = "0.0.0.0"  # noqa: S104 - that is what is tested
SCRIPT = """
import resource
from server import serving
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
total = serving.raise_descriptor_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), total)
"""


@pytest.mark.parametrize(("soft", "hard"), [(256, 4096), (1024, 1024), (64, 600)])
def test_open_files_are_raised_to_the_hard_limit_and_some_stay_free(soft: int, hard: int) -> None:
    script = SCRIPT.format(soft=soft, hard=hard)
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True
    )
    raised, kept, total = map(int, ended.stdout.split())
    assert (raised, kept) == (hard, hard)
    assert total == max(hard // 2, hard - 400)


# stopping


async def test_a_process_that_drains_serves_new_connections_and_says_it_is_not_ready(
    runtime: Runtime,
) -> None:
    # given a process that drains for a second
    app = build_silent_app(runtime)
    async with serve_app(app, runtime.settings, drain_seconds=1.0) as server:
        ending = server.begin_stop()

        # when balancers and clients come meanwhile
        async with server.client() as client:
            ready = await client.get("/ready")
            answer = await client.post("/graphql", json={"query": "{ __typename }"})

        # then the former are sent away, and the latter are served
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        assert answer.json() == {"data": {"__typename": "Query"}}
        assert not ending.done()
        await ending
        async with server.client() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("/health")


@pytest.mark.parametrize("production", [True, False])
def test_production_drains_by_default(production: bool) -> None:
    environment = Environment.PRODUCTION if production else Environment.DEVELOPMENT
    settings = Settings(_env_file=None, environment=environment)
    assert settings.drain_delay_seconds == (5 if production else 0)
    set_to_two = settings.model_copy(update={"drain_seconds": 2.0})
    assert set_to_two.drain_delay_seconds == 2


async def test_a_process_stops_in_ten_seconds_though_mongodb_is_silent(
    settings: Settings, tmp_path: Path
) -> None:
    # given a process whose way to MongoDB a relay can silence
    async with start_relay(settings.mongodb_uri or "") as relay:
        port = free_port()
        environment = {
            "PORT": str(port),
            "MONGODB_URI": f"mongodb://127.0.0.1:{relay.port}/?directConnection=true",
            "MONGODB_DATABASE": settings.mongodb_database,
            "REDIS_URL": settings.redis_url or "",
        }
        with Process(tmp_path / "serve", "serve", environment=environment) as process:
            async with Served(port) as served:
                assert await served.is_healthy()
                # when MongoDB falls silent, requests wait for it, and the process is to stop
                relay.is_silent = True
                waiting = asyncio.create_task(served.graphql("{ movies(first: 1) { totalCount } }"))
                await asyncio.sleep(0.2)
                started = time.monotonic()
                process.send(signal.SIGTERM)
                await process.ended(30)
                took = time.monotonic() - started
                await asyncio.gather(waiting, return_exceptions=True)
    # then that takes no longer than it may, and what a busy machine adds
    assert took < 13


# development


@pytest.mark.parametrize(("host", "is_open"), [
    (EVERYWHERE, True),
    ("::", True),
    ("192.0.2.7", True),
    ("marquee.example", True),
    ("127.0.0.1", False),
    ("::1", False),
    ("localhost", False),
])  # fmt: skip
def test_development_is_open_to_others_only_by_an_explicit_word(host: str, is_open: bool) -> None:
    settings = Settings(_env_file=None, host=host, port=0)
    if is_open:
        with pytest.raises(StartupError, match="ALLOW_OPEN_DEVELOPMENT"):
            open_listeners(settings)
    else:
        close(open_listeners(settings))


def test_an_explicit_word_or_production_opens_every_host() -> None:
    for word in ({"allow_open_development": True}, {"environment": Environment.PRODUCTION}):
        settings = Settings(_env_file=None, host=EVERYWHERE, port=0).model_copy(update=word)
        close(open_listeners(settings))


def close(listeners: Listeners) -> None:
    for listening in (listeners.public, listeners.metrics):
        if listening is not None:
            listening.close()


# metrics


async def test_metrics_have_a_port_of_their_own_where_one_is_set(runtime: Runtime) -> None:
    # given a process with a port for metrics
    port = free_port()
    changes = {"metrics_port": port, "port": 0}
    settings = runtime.settings.model_copy(update=changes)
    listeners, stop = open_listeners(settings), asyncio.Event()
    app = build_silent_app(replace(runtime, settings=settings))
    started = asyncio.Event()
    serving = asyncio.create_task(listeners.serve(app, stop, started.set))
    async with asyncio.timeout(10):
        await started.wait()

    # then they are there, and not on the public one
    public = listeners.public.getsockname()[1]
    async with httpx.AsyncClient() as client:
        assert "http_requests_total" in (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert (await client.get(f"http://127.0.0.1:{public}/metrics")).status_code == 404

        async def is_healthy() -> bool:
            answer = await client.get(f"http://127.0.0.1:{port}/ready")
            return bool(answer.json()["status"] == "healthy")

        await until(is_healthy, 10)  # a task that a loaded machine made late has recovered
        assert (await client.get(f"http://127.0.0.1:{port}/graphql")).status_code == 404
    stop.set()
    await serving


@pytest.mark.parametrize(("authorization", "status"), [
    (None, 401), ("Bearer", 401), ("Bearer wrong", 401), ("Basic the-token-of-metrics", 401),
    ("Bearer the-token-of-metrics-and-more", 401), ("Bearer \xe9", 401),
    ("Bearer the-token-of-metrics", 200), ("bearer  the-token-of-metrics", 200),
])  # fmt: skip
async def test_metrics_need_their_token_where_one_is_set(
    runtime: Runtime, authorization: str | None, status: int
) -> None:
    token = SecretStr("the-token-of-metrics")
    settings = runtime.settings.model_copy(update={"metrics_token": token})
    headers = {"authorization": authorization.encode("latin-1")} if authorization else {}
    async with connect_app(build_silent_app(replace(runtime, settings=settings))) as client:
        response = await client.get("/metrics", headers=headers)  # type: ignore[arg-type]
    assert response.status_code == status
    assert ("http_requests_total" in response.text) is (status == 200)
