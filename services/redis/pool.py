"""Opening of the links to the servers that the settings name: the cache's and the state's.

The state's server must not evict (eviction.py); one server may be both.
"""

from __future__ import annotations

from services.errors import StartupError
from services.redis.guard import Failure
from services.redis.link import RedisLink
from services.settings.settings import Settings

Client = RedisLink


def connect(settings: Settings, *, state: bool = False) -> RedisLink:
    """Build the link to a server; connections are opened by the first commands.

    Args:
        state: connect to the server of the state, not to that of the cache.

    Raises:
        StartupError: neither REDIS_URL nor REDIS_HOST is set, or the address cannot be read.
    """
    address = settings.state_redis_address() if state else settings.redis_address()
    if not address:
        raise StartupError("REDIS_URL is not set: name a Redis server.")
    return RedisLink(
        address,
        timeout_seconds=settings.redis_timeout_ms / 1000,
        max_connections=settings.redis_max_connections,
        name="state" if state else "redis",
        lean=settings.redis_lean,
    )


__all__ = ["Client", "Failure", "RedisLink", "connect"]
