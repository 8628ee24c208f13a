"""The service's health: checks of the stores, and what runs.

A health check waits at most half a second per store and never raises; one a second is made,
whoever asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum

import models
from resolvers.context import Context, Runtime
from services.errors import UpstreamUnavailable
from services.feed import Feed
from services.redis import pool
from services.redis.pool import Failure
from services.supervision import list_tasks
from services.version import VERSION

SERVICES = ["accounts", "catalog", "sources", "playback", "analytics"]
HEALTH_KEY = "stores"
_PING_SECONDS = 0.5


class HealthStatus(Enum):
    """How well a dependency, or the service, works."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Health of one dependency; `cause` is for operators alone."""

    name: str
    status: HealthStatus
    latency_ms: float | None = None
    detail: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Health of the service: the sum of its checks."""

    status: HealthStatus
    timestamp: datetime
    uptime_seconds: float
    version: str
    checks: list[HealthCheck]


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """The running version and its schema."""

    version: str
    schema_hash: str
    services: list[str]


async def health(context: Context) -> Health:
    """Check all stores at once.

    DEGRADED while one store is unavailable or refuses operations, as the others still serve;
    UNHEALTHY when all are unavailable.
    """
    runtime = context.runtime
    checks: list[HealthCheck] = await runtime.ops.health_cache.get(
        HEALTH_KEY, lambda: _check_stores(runtime)
    )
    now = runtime.clock()
    return Health(
        status=combine_statuses(checks),
        timestamp=datetime.fromtimestamp(now, UTC),
        uptime_seconds=max(0.0, now - runtime.started_at),
        version=VERSION,
        checks=list(checks),
    )


def watch_health(context: Context) -> Feed[Health]:
    """Feed of the health: as it is, then as it is when the status of a check has changed."""
    runtime = context.runtime
    return runtime.ops.health_watch.watch(lambda: health(Context(runtime)))


def has_status_changed(one: Health, other: Health) -> bool:
    """Whether a check of the two has another status."""
    return _statuses(one) != _statuses(other)


def _statuses(report: Health) -> dict[str, HealthStatus]:
    return {check.name: check.status for check in report.checks}


async def _check_stores(runtime: Runtime) -> list[HealthCheck]:
    pings = [
        _check_database(),
        _check("cache", _ping(runtime.redis)),
    ]
    if runtime.state_redis is not runtime.redis:
        pings.append(_check("state", _ping(runtime.state_redis)))
    return await asyncio.gather(*pings)


def combine_statuses(checks: Sequence[HealthCheck]) -> HealthStatus:
    """The service's status from those of its checks."""
    unhealthy = [check.status is HealthStatus.UNHEALTHY for check in checks]
    if all(unhealthy):
        return HealthStatus.UNHEALTHY
    is_healthy = all(check.status is HealthStatus.HEALTHY for check in checks)
    return HealthStatus.HEALTHY if is_healthy else HealthStatus.DEGRADED


async def _check_database() -> HealthCheck:
    """Ping MongoDB, which answers pings whatever else it refuses."""
    check = await _check("database", models.ping_database(_PING_SECONDS))
    refusal = models.latest_refusal()
    if refusal is None:
        return check
    status = max(check.status, HealthStatus.DEGRADED, key=list(HealthStatus).index)
    return replace(check, status=status, detail="refused an operation", cause=str(refusal))


async def _ping(redis: pool.Client) -> None:
    await redis.ping()


async def _check(name: str, ping: Awaitable[None]) -> HealthCheck:
    """Await the ping. The failure's own text is not shown: it can contain addresses."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await ping
    except (UpstreamUnavailable, *Failure):
        return HealthCheck(name, HealthStatus.UNHEALTHY, detail="did not answer in time")
    return HealthCheck(name, HealthStatus.HEALTHY, (time.perf_counter() - started) * 1000)


def service_info(schema_hash: str) -> ServiceInfo:
    """The version, the schema's hash and the service's parts."""
    return ServiceInfo(VERSION, schema_hash, SERVICES)


def liveness() -> tuple[int, dict[str, str]]:
    """Status and body of /health: the process runs, and a restart would repair no store."""
    return 200, {"status": "ok", "version": VERSION}


def readiness(
    report: Health, *, draining: bool, shows_causes: bool = False
) -> tuple[int, dict[str, object]]:
    """Status and body of /ready: 503 only while draining or when no store can serve.

    Args:
        shows_causes: also say, to operators, why a store refuses.
    """
    serves = not draining and report.status is not HealthStatus.UNHEALTHY
    body: dict[str, object] = {
        "status": "draining" if draining else report.status.value.lower(),
        "checks": {check.name: check.status.value.lower() for check in report.checks},
        "tasks": {name: status.value for name, status in list_tasks().items()},
    }
    if shows_causes and any(check.cause for check in report.checks):
        body["causes"] = {check.name: check.cause for check in report.checks if check.cause}
    return 200 if serves else 503, body
