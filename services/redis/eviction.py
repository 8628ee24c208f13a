"""Checks of the state's Redis for eviction and persistence, at start and once a minute.

A server that may evict keys without expiry (allkeys-*, with a limit) would lose acknowledged
progress, so it is refused. volatile-* may drop running sessions, whose players then start again: a
warning, as for a server that writes nothing to disk or hides its settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from services.errors import StartupError
from services.redis.guard import Failure
from services.redis.link import RedisLink
from services.supervision import SupervisedTask
from services.telemetry.logs import get_logger
from services.telemetry.outages import is_store_away

_RETRY_SECONDS = 2.0  # while it is away
_RECHECK_SECONDS = 60.0  # a failover may bring another server
_DEADLINE_SECONDS = 5.0

log = get_logger("redis")


class EvictionReport(NamedTuple):
    """Result of a check: `refusal` says why the server is unfit, `warnings` go to the log."""

    refusal: str | None
    warnings: list[str]


async def check_eviction_policy(redis: RedisLink) -> EvictionReport:
    """Read the server's settings and judge them.

    Raises:
        RedisError, OSError, TimeoutError: Redis is away.
    """
    async with asyncio.timeout(_DEADLINE_SECONDS):
        values = await _read_settings(redis)
        tells_history = await _tells_history(redis)
    policy, limit_bytes = values.get("maxmemory-policy"), int(values.get("maxmemory", "0") or 0)
    warnings = []
    if policy is None:
        warnings.append("its settings are hidden: see to it that maxmemory-policy is noeviction")
    elif policy.startswith("allkeys-") and limit_bytes:
        return EvictionReport(_format_refusal(policy), [])
    elif policy.startswith("volatile-") and limit_bytes:
        warnings.append(f"maxmemory-policy is {policy}: sessions may be dropped; use noeviction")
    if values.get("appendonly") == "no" and values.get("save") == "":
        warnings.append("it writes nothing to disk: its end loses unflushed progress")
    elif values.get("appendonly") == "no":
        warnings.append(
            "it writes snapshots alone (appendonly no): its end loses the progress acknowledged "
            "since the last one"
        )
    if not tells_history:
        warnings.append(
            "it refuses INFO replication: that it came back older than before would go unnoticed"
        )
    return EvictionReport(None, warnings)


@asynccontextmanager
async def watch_eviction_policy(redis: RedisLink) -> AsyncIterator[None]:
    """Check the server now and every minute while the context is open.

    A server that is away is checked as soon as it answers.

    Raises:
        StartupError: the server may evict keys that must stay.
    """
    warned: set[str] = set()
    report = await _check_and_log(redis, warned)
    if report is not None and report.refusal is not None:
        raise StartupError(report.refusal)
    watcher = SupervisedTask("redis settings", lambda: _watch_loop(redis, warned, watcher))
    watcher.start()
    try:
        yield
    finally:
        await watcher.aclose()


async def _watch_loop(redis: RedisLink, warned: set[str], task: SupervisedTask) -> None:
    """Check again and again; an unfit server is logged as an error, for stopping helps nobody."""
    is_away = "away" in warned
    while True:
        await asyncio.sleep(_RETRY_SECONDS if is_away else _RECHECK_SECONDS)
        report = await _check_and_log(redis, warned)
        is_away = report is None
        task.record_success()
        if report is not None and report.refusal is not None:
            log.error("state_redis_rejected", why=report.refusal)


async def _check_and_log(redis: RedisLink, warned: set[str]) -> EvictionReport | None:
    """Check once and log each warning once; None while the server is away."""
    try:
        report = await check_eviction_policy(redis)
    except Failure as error:
        if "away" not in warned and not is_store_away():
            log.warning("state_redis_unavailable", error=repr(error))
        warned.add("away")
        return None
    for warning in report.warnings:
        if warning not in warned:
            log.warning("state_redis_misconfigured", why=warning)
        warned.add(warning)
    return report


async def _read_settings(redis: RedisLink) -> dict[str, str]:
    """Read the settings by CONFIG GET, or by INFO, which managed servers often allow alone."""
    values: dict[str, str] = {}
    for name in ("maxmemory", "maxmemory-policy", "appendonly", "save"):
        try:
            answer: dict[Any, Any] = await redis.config_get(name)
        except ResponseError:
            return await _read_info(redis)
        values |= {_decode_text(key): _decode_text(value) for key, value in answer.items()}
    return values


async def _tells_history(redis: RedisLink) -> bool:
    """Whether scripts may read the name of the server's history (lua/progress_common.lua)."""
    try:
        return "master_replid" in await redis.info("replication")
    except ResponseError:
        return False


async def _read_info(redis: RedisLink) -> dict[str, str]:
    try:
        memory: dict[str, Any] = await redis.info("memory")
        persistence: dict[str, Any] = await redis.info("persistence")
    except ResponseError:
        return {}
    values = {"maxmemory": str(memory.get("maxmemory", 0))}
    if "maxmemory_policy" in memory:
        values["maxmemory-policy"] = str(memory["maxmemory_policy"])
    if "aof_enabled" in persistence:
        values["appendonly"] = "yes" if persistence["aof_enabled"] else "no"
    return values


def _decode_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _format_refusal(policy: str) -> str:
    return (
        f"The state Redis (STATE_REDIS_URL, or REDIS_URL) has maxmemory-policy {policy}, which "
        "drops acknowledged progress when memory is full: set it to noeviction, or name another "
        "server in STATE_REDIS_URL."
    )
