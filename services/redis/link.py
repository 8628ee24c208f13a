"""The link to one Redis server: what every part of a process that uses it shares.

The cache's server and that of the state may be one; then there is one link. It is the client of
short commands, has the guard and the calls of scripts, and makes clients for blocking reads. What
every request asks goes on one pipelined connection (wire/), the rest by redis-py's pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.errors import StartupError
from services.redis.connection import CONNECTION_CLASSES
from services.redis.guard import ErrorTranslation, Guard
from services.redis.scripts import ScriptCalls
from services.redis.wire.client import Fallback, WireClient
from services.redis.wire.driver import open_connection


class RedisLink(Redis):
    """Client for short commands: bounded waits for connection and answer, no retry.

    The library's defaults retry for seconds; commands end within REDIS_TIMEOUT_MS here.

    Args:
        address: a URL, redis://, rediss:// or unix://.
        name: of the server, in logs.
        lean: send script calls and `get_many` on a pipelined connection of our own.

    Raises:
        StartupError: the address cannot be read.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float,
        max_connections: int,
        name: str = "redis",
        lean: bool = True,
    ) -> None:
        self.guard = Guard(name)
        self._options = {
            "guard": self.guard,
            "protocol": 2,
            "max_connections": max_connections,
            "socket_connect_timeout": timeout_seconds,
            "retry": Retry(NoBackoff(), 0),
        }
        self._address = address
        self._timeout_seconds = timeout_seconds
        pool = self._build_pool(timeout=timeout_seconds, socket_timeout=timeout_seconds)
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        opening = partial(open_connection, pool)
        # the address may have another time-out
        seconds = pool.connection_kwargs["socket_timeout"]
        self._wire = WireClient(self.guard, opening, seconds) if lean else None
        self.scripts = ScriptCalls(self, self.guard, self._wire)
        self._translation = ErrorTranslation(self.guard)

    def translate_errors(self) -> ErrorTranslation:
        """Guard the commands of a `with` block.

        Raises:
            UpstreamUnavailable: Redis is away, refused, or failed a moment ago.
        """
        return self._translation

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the values of keys in one command; None: there is none.

        Raises:
            UpstreamUnavailable: Redis is away, refused, or failed a moment ago.
        """
        with self._translation:
            if self._wire is None:
                return cast(list[bytes | None], await self.mget(keys))
            try:
                answer = await self._wire.send("MGET", *keys)
            except Fallback:
                return cast(list[bytes | None], await self.mget(keys))
            if isinstance(answer, Exception):
                raise self.guard.translate(answer)  # one error of many callers: itself not raised
            return cast(list[bytes | None], answer)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connections."""
        self.guard.close()
        if self._wire is not None:
            self._wire.close()
        await super().aclose(close_connection_pool)

    def connect_blocking(self) -> Redis:
        """Build a client for commands that block in Redis (XREAD, pub/sub): no read deadline."""
        return Redis.from_pool(self._build_pool(socket_timeout=None))

    def _build_pool(self, **options: Any) -> BlockingConnectionPool:
        check_address(self._address)
        options.update(self._options)
        options.update(parse_url(self._address))  # what the address says is meant
        scheme = urlsplit(self._address).scheme
        options["connection_class"] = CONNECTION_CLASSES[scheme]  # parse_url has the library's own
        return BlockingConnectionPool(**options)


def check_address(address: str, setting: str = "REDIS_URL or STATE_REDIS_URL") -> None:
    """Refuse what cannot be read as an address.

    Raises:
        StartupError: says what one looks like, not what was given: it may hold a password.
    """
    if not is_readable_address(address):
        raise StartupError(
            f"{setting} is not an address such as "
            "redis://host:6379/0; in a password write / as %2F, # as %23, @ as %40."
        )


def is_readable_address(address: str) -> bool:
    """Whether a Redis URL is read as it is meant: a bare `/`, `#` or `?` ends a password early."""
    try:
        parts = urlsplit(address)
        if parts.scheme == "unix":
            return bool(parts.path)
        has_port = parts.port != 0
    except ValueError:
        return False
    database = parts.path.strip("/")
    return (
        parts.scheme in ("redis", "rediss")
        and bool(parts.hostname)
        and has_port
        and not parts.fragment
        and (database == "" or database.isdecimal())
        and "@" not in parts.query
    )
