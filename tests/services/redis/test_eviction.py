from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog

from services.errors import StartupError
from services.redis import eviction, pool
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.processes import Process, until
from tests.support.relay import start_relay

SETTINGS = {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "no", "save": ""}


@pytest.fixture(autouse=True)
async def restored(redis: Client) -> AsyncIterator[None]:
    yield
    for name, value in SETTINGS.items():
        await redis.config_set(name, value)


async def set_limit(redis: Client, policy: str) -> None:
    await redis.config_set("maxmemory", "1gb")
    await redis.config_set("maxmemory-policy", policy)


async def as_somebody(redis: Client, settings: Settings, *rights: str) -> Client:
    """A client that may do less."""
    command: tuple[str, ...] = ("ACL", "SETUSER", "less", "reset", "on", ">pass", "~*", *rights)
    await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    address = urlsplit(settings.redis_url or "")
    uri = address._replace(netloc=f"less:pass@{address.netloc}").geturl()
    return pool.connect(settings.model_copy(update={"redis_url": uri}))


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_a_redis_that_may_evict_anything_is_refused(redis: Client, policy: str) -> None:
    await set_limit(redis, policy)
    with pytest.raises(StartupError, match=f"maxmemory-policy {policy}.*STATE_REDIS_URL"):
        async with eviction.watch_eviction_policy(redis):
            pass


async def test_without_a_limit_nothing_is_evicted_whatever_the_policy(redis: Client) -> None:
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    assert (await eviction.check_eviction_policy(redis)).refusal is None


async def test_a_redis_that_may_drop_sessions_is_warned_of(redis: Client) -> None:
    await redis.config_set("appendonly", "yes")
    await set_limit(redis, "volatile-lru")
    refusal, warnings = await eviction.check_eviction_policy(redis)
    assert refusal is None
    (warning,) = warnings
    assert "volatile-lru" in warning


async def test_a_redis_that_writes_nothing_to_disk_is_warned_of(redis: Client) -> None:
    refusal, warnings = await eviction.check_eviction_policy(redis)
    assert refusal is None
    (warning,) = warnings
    assert "disk" in warning
    # and one that writes each change is fit
    await redis.config_set("appendonly", "yes")
    assert await eviction.check_eviction_policy(redis) == (None, [])


async def test_a_redis_that_writes_snapshots_alone_is_warned_of(redis: Client) -> None:
    await redis.config_set("save", "60 1")
    refusal, warnings = await eviction.check_eviction_policy(redis)
    assert refusal is None
    (warning,) = warnings
    assert "snapshots alone" in warning


async def test_a_redis_that_hides_its_settings_is_read_by_info(
    redis: Client, settings: Settings
) -> None:
    # given a server whose CONFIG is forbidden
    less = await as_somebody(redis, settings, "+@all", "-config")
    # then INFO tells of the policy
    await set_limit(redis, "allkeys-lru")
    refusal = (await eviction.check_eviction_policy(less)).refusal
    assert refusal is not None and "allkeys-lru" in refusal
    await less.aclose()
    # and where INFO is forbidden, too, it is a warning
    nothing = await as_somebody(redis, settings, "+@all", "-config", "-info")
    refusal, warnings = await eviction.check_eviction_policy(nothing)
    assert refusal is None
    hidden, unnoticed = warnings
    assert "hidden" in hidden
    # and so is that it does not tell when it went back in time
    assert "INFO replication" in unnoticed
    await nothing.aclose()


async def test_one_that_is_away_at_start_is_examined_when_it_is_back(
    redis: Client, settings: Settings
) -> None:
    # given an unfit server that is away
    await set_limit(redis, "allkeys-lru")
    async with start_relay(settings.redis_url or "") as relay:
        relay.cut()
        through = pool.connect(settings.model_copy(update={"redis_url": relay.uri}))
        with structlog.testing.capture_logs() as logged:
            # when the process starts, then it does
            async with eviction.watch_eviction_policy(through):
                assert [one["event"] for one in logged] == ["redis_unavailable"]
                # and when the server is back, it is found out
                relay.mend()
                await until(lambda: any(one["event"] == "state_redis_rejected" for one in logged))
        await through.aclose()


async def test_a_worker_does_not_start_on_a_redis_that_may_evict(
    redis: Client, settings: Settings, tmp_path: Path
) -> None:
    await set_limit(redis, "allkeys-lru")
    environment = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "STATE_REDIS_URL": settings.redis_url or "",
    }
    with Process(tmp_path, "worker", environment=environment) as worker:
        assert await worker.ended() == 1
        assert "maxmemory-policy allkeys-lru" in worker.output
        assert "Traceback" not in worker.output


async def test_state_and_cache_may_live_in_two_servers(settings: Settings) -> None:
    two = settings.model_copy(update={"state_redis_url": "redis://state.example:6379/1"})
    assert two.redis_address() == settings.redis_url
    assert two.state_redis_address() == "redis://state.example:6379/1"
    assert settings.state_redis_address() == settings.redis_url
    clients = pool.connect(two), pool.connect(two, state=True)
    hosts = [client.connection_pool.connection_kwargs["host"] for client in clients]
    assert hosts == ["127.0.0.1", "state.example"]
    await asyncio.gather(*(client.aclose() for client in clients))
