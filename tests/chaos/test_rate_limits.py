"""Rate limits across real processes on one Redis, and without it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.chaos.stores import Stores, freeze_process
from tests.support.fake_provider import free_port
from tests.support.processes import Process, Served

Serving = Callable[..., AbstractAsyncContextManager[list[Served]]]
LONG_MS = str(10**10)  # so that no window ends within the test


@pytest.fixture
def serving(stores: Stores, tmp_path: Path) -> Serving:
    @asynccontextmanager
    async def start(processes: int, **changes: str) -> AsyncIterator[list[Served]]:
        async with Redis.from_url(stores.redis.uri) as redis:
            await redis.flushdb()
        async with AsyncExitStack() as stack:
            ports = [free_port() for _ in range(processes)]
            for port in ports:
                environment = {
                    **stores.environment,
                    "PORT": str(port),
                    "DATA_DIR": str(tmp_path),
                    "RATE_LIMIT_MODE": "enforce",
                    "RATE_LIMIT_WINDOW_MS": LONG_MS,
                    **changes,
                }
                folder = tmp_path / str(port)
                stack.enter_context(Process(folder, "serve", environment=environment))
            yield [await stack.enter_async_context(Served(port)) for port in ports]

    return start


async def status(served: Served) -> int:
    return (await served.graphql("{ __typename }"))[0]


async def test_two_processes_let_exactly_the_limit_through(serving: Serving) -> None:
    # given two processes and a limit of 100 for an address
    async with serving(2) as both:
        # when 200 requests come at once
        statuses = Counter(
            await asyncio.gather(*(status(served) for served in both for _ in range(100)))
        )
    assert statuses == {200: 100, 429: 100}


async def test_without_redis_each_process_holds_the_limit_for_itself(
    serving: Serving, stores: Stores
) -> None:
    async with serving(1, RATE_LIMIT_ANONYMOUS_MAX_REQUESTS="20") as (served,):
        # given a Redis that hangs
        with freeze_process(stores.redis):
            statuses = [await status(served) for _ in range(25)]
        # then nothing failed, and the limit held
        assert statuses == [200] * 20 + [429] * 5
        body = (await served.client.get("/metrics")).text
    assert "rate_limit_fallbacks_total" in body
