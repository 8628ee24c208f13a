"""Whether the Redis of the state keeps what it is given: asked at start, again when it comes back.

One that may evict keys without expiry (allkeys-*, with a limit) would lose acknowledged progress:
refused. volatile-* may drop running sessions, whose players then start again: a warning, like one
that writes nothing to disk. Managed servers may hide their settings: a warning, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from services.errors import StartupError
from services.redis.pool import Client, Failure
from services.telemetry.logs import get_logger

_AGAIN_SECONDS = 2.0  # while it is away
_EVERY_SECONDS = 60.0  # a failover may bring another server
_DEADLINE_SECONDS = 5.0

log = get_logger("redis")


class Findings(NamedTuple):
    """`refusal` is what makes the server unfit, with what to set; `warnings` are for the log."""

    refusal: str | None
    warnings: list[str]


async def examine(redis: Client) -> Findings:
    """
    Raises:
        RedisError, OSError, TimeoutError: it is away.
    """
    async with asyncio.timeout(_DEADLINE_SECONDS):
        told = await _settings(redis)
    policy, limit_bytes = told.get("maxmemory-policy"), int(told.get("maxmemory", "0") or 0)
    warnings = []
    if policy is None:
        warnings.append("its settings are hidden: see to it that maxmemory-policy is noeviction")
    elif policy.startswith("allkeys-") and limit_bytes:
        return Findings(_refusal(policy), [])
    elif policy.startswith("volatile-") and limit_bytes:
        warnings.append(f"maxmemory-policy is {policy}: sessions may be dropped; use noeviction")
    if told.get("appendonly") == "no" and told.get("save") == "":
        warnings.append("it writes nothing to disk: its end loses unflushed progress")
    return Findings(None, warnings)


@asynccontextmanager
async def watched(redis: Client) -> AsyncIterator[None]:
    """Examines now, and later without being asked. One that is away is examined when it is back.

    Raises:
        StartupError: it may evict what it must keep.
    """
    warned: set[str] = set()
    found = await _look(redis, warned)
    if found is not None and found.refusal is not None:
        raise StartupError(found.refusal)
    watching = asyncio.create_task(_keep_looking(redis, warned, is_away=found is None))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _keep_looking(redis: Client, warned: set[str], *, is_away: bool) -> None:
    """A server that turns out unfit later is an error in the log: stopping would help nobody."""
    while True:
        await asyncio.sleep(_AGAIN_SECONDS if is_away else _EVERY_SECONDS)
        found = await _look(redis, warned)
        is_away = found is None
        if found is not None and found.refusal is not None:
            log.error("state_redis_unfit", why=found.refusal)


async def _look(redis: Client, warned: set[str]) -> Findings | None:
    """None while it is away. Each warning is logged once."""
    try:
        found = await examine(redis)
    except Failure as error:
        if "away" not in warned:
            log.warning("state_redis_away", error=repr(error))
        warned.add("away")
        return None
    for warning in found.warnings:
        if warning not in warned:
            log.warning("state_redis", why=warning)
        warned.add(warning)
    return found


async def _settings(redis: Client) -> dict[str, str]:
    """What of the settings the server tells: INFO is often open where CONFIG is not."""
    told: dict[str, str] = {}
    for name in ("maxmemory", "maxmemory-policy", "appendonly", "save"):
        try:
            answer: dict[Any, Any] = await redis.config_get(name)
        except ResponseError:
            return await _told_by_info(redis)
        told |= {_text(key): _text(value) for key, value in answer.items()}
    return told


async def _told_by_info(redis: Client) -> dict[str, str]:
    try:
        memory: dict[str, Any] = await redis.info("memory")
        persistence: dict[str, Any] = await redis.info("persistence")
    except ResponseError:
        return {}
    told = {"maxmemory": str(memory.get("maxmemory", 0))}
    if "maxmemory_policy" in memory:
        told["maxmemory-policy"] = str(memory["maxmemory_policy"])
    if "aof_enabled" in persistence:
        told["appendonly"] = "yes" if persistence["aof_enabled"] else "no"
    return told


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _refusal(policy: str) -> str:
    return (
        f"The state Redis (STATE_REDIS_URL, or REDIS_URL) has maxmemory-policy {policy}, which "
        "drops acknowledged progress when memory is full: set it to noeviction, or name another "
        "server in STATE_REDIS_URL."
    )
