"""Fixtures of several floors: outside services, a relay to Redis, people, a process's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from resolvers.context import Context, Runtime
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support import fake_cdn, fake_provider, fake_tmdb
from tests.support.accounts import open_cheap_runtime
from tests.support.clock import Clock
from tests.support.fake_cdn import FakeCdn
from tests.support.fake_provider import FakeProvider
from tests.support.fake_tmdb import FakeTmdb
from tests.support.relay import Relay, start_relay
from tests.support.runtimes import playback_on


@pytest.fixture
def clock() -> Clock:
    """One that stands until the test moves it."""
    return Clock()


@pytest.fixture(scope="session")
async def _provider_server() -> AsyncIterator[FakeProvider]:
    async with fake_provider.run_server() as server:
        yield server


@pytest.fixture
def provider_server(_provider_server: FakeProvider) -> FakeProvider:
    """A provider that nobody has called yet."""
    _provider_server.reset()
    return _provider_server


@pytest.fixture
async def tmdb_server() -> AsyncIterator[FakeTmdb]:
    async with fake_tmdb.run_server() as server:
        yield server


@pytest.fixture
async def cdn_server() -> AsyncIterator[FakeCdn]:
    async with fake_cdn.run_server() as server:
        yield server


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Relay]:
    """A way to the worker's Redis that a test may cut."""
    async with start_relay(settings.redis_url or "") as relay:
        yield relay


@pytest.fixture
async def guest(runtime: Runtime) -> AsyncIterator[Context]:
    """Nobody yet, where passwords cost little and a sign-in needs no proved address."""
    async with open_cheap_runtime(runtime) as cheap:
        yield Context(cheap)


@pytest.fixture
def claiming_at_once(runtime: Runtime, redis: Client) -> Runtime:
    """A process that claims what others read and did not flush after a millisecond."""
    changed = runtime.settings.model_copy(update={"progress_claim_idle_seconds": 0.001})
    return replace(runtime, playback=playback_on(runtime, changed, redis))
