"""Connections to Redis: one client for short commands, one for blocking reads.

Both go to the cache's server or to that of the state, which must not evict (eviction.py); one
server may be both. The library's defaults retry for seconds, ours answer within REDIS_TIMEOUT_MS.
`Guard` remembers a failure, so that callers go straight to MongoDB while Redis is away.
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

Client = Redis  # the type other modules name
Failure = (RedisError, OSError, TimeoutError)  # all that a command can raise when Redis is away


class PackedConnection(Connection):
    """Connection that packs commands with hiredis; the library's Python code takes 8 us each."""

    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack one command into the bytes to send."""
        if " " in args[0]:  # "CONFIG GET": two words to Redis
            args = (*args[0].split(), *args[1:])
        return [pack_command(args)]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        """Pack a pipeline into one buffer."""
        return [b"".join(chunk for one in commands for chunk in self.pack_command(*one))]


def connect(settings: Settings, *, state: bool = False) -> Client:
    """Build a client for short commands: bounded waits for connection and answer, no retry.

    Args:
        state: connect to the server of the state, not to that of the cache.

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
    """Build a client for commands that block in Redis (XREAD, pub/sub), without a read deadline.

    Raises:
        StartupError: neither REDIS_URL nor REDIS_HOST is set.
    """
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
    """Memory of a failed call: refuses calls for `pause_seconds` after it, then allows them."""

    def __init__(
        self, pause_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pause = pause_seconds
        self._clock = clock
        self._open_until = 0.0

    def allows_calls(self) -> bool:
        """Whether no call failed within the last `pause_seconds`."""
        return self._clock() >= self._open_until

    def record_failure(self) -> None:
        """Start the pause and count the error."""
        self._open_until = self._clock() + self._pause
        metrics.redis_errors_total.inc()
