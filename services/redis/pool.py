"""Connections to Redis: one client for short commands, one for blocking reads; both to the cache's
server or to that of the state, which must not evict (redis_state.py). One server may be both.

The library's own defaults retry for seconds; ours answer within REDIS_TIMEOUT_MS. A short memory of
failure (`Guard`) lets callers go straight to MongoDB while Redis is away, at no cost per call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.errors import StartupError
from services.settings.settings import Settings
from services.telemetry import metrics

Client = Redis  # the type other rooms name
Failure = (RedisError, OSError, TimeoutError)  # all that a command can raise when Redis is away


class PackedConnection(Connection):
    """Commands written by hiredis: the library packs its asyncio ones in Python, at 8 us each."""

    def pack_command(self, *args: Any) -> list[bytes]:
        if " " in args[0]:  # "CONFIG GET": two words to Redis
            args = (*args[0].split(), *args[1:])
        return [pack_command(args)]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join(chunk for one in commands for chunk in self.pack_command(*one))]


def connect(settings: Settings, *, state: bool = False) -> Client:
    """A client for short commands: bounded wait for a connection and for the answer, no retry.

    Raises:
        StartupError: neither REDIS_URL nor REDIS_HOST is set.
    """
    seconds = settings.redis_timeout_ms / 1000
    pool = BlockingConnectionPool.from_url(
        _get_address(settings, state),
        connection_class=PackedConnection,
        protocol=2,
        max_connections=settings.redis_max_connections,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    return Redis.from_pool(pool)


def connect_blocking(settings: Settings, *, state: bool = False) -> Client:
    """A client for commands that wait in Redis (XREAD, pub/sub): no answer deadline of its own."""
    pool = BlockingConnectionPool.from_url(
        _get_address(settings, state),
        connection_class=PackedConnection,
        protocol=2,
        max_connections=settings.redis_max_connections,
        socket_timeout=None,
        socket_connect_timeout=settings.redis_timeout_ms / 1000,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def _get_address(settings: Settings, state: bool) -> str:
    address = settings.state_redis_address() if state else settings.redis_address()
    if not address:
        raise StartupError("REDIS_URL is not set: name a Redis server.")
    return address


class Guard:
    """Closed while Redis answers; after a failure open for `pause_seconds`, then one try again."""

    def __init__(
        self, pause_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause = pause_seconds
        self._clock = clock
        self._open_until = 0.0

    def allows_calls(self) -> bool:
        return self._clock() >= self._open_until

    def record_failure(self) -> None:
        self._open_until = self._clock() + self._pause
        metrics.redis_errors_total.inc()
