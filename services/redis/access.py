"""Check of the access to a Redis server: a refusal is told apart from a server that is away."""

from __future__ import annotations

from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from services.redis.link import RedisLink


async def find_refusal(redis: RedisLink) -> str | None:
    """Ping the server; returns what it refuses, None if nothing.

    Raises:
        RedisError, OSError, TimeoutError: it is away.
    """
    try:
        await redis.ping()
    except AuthenticationError:
        return "the user or the password is wrong"
    except NoPermissionError:
        return "the user may not run its commands"
    except ResponseError as error:
        if "index is out of range" in str(error):
            return "it has no database of this number"
        return "it refuses commands"
    return None
