"""How the service is doing: live metrics from the hub, and health, asked of the stores just now.

Health never waits longer than half a second a store, and never raises.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import models
from models import Role
from resolvers.context import Context
from services.errors import UpstreamUnavailable, ValidationFailed
from services.redis import pool
from services.redis.hub import Batch, Hub, Id, Subscription, parse_cursor
from services.redis.pool import Failure
from services.telemetry.live_metrics import Point
from services.version import VERSION

MAX_INTERVAL_SECONDS = 60
SERVICES = ["accounts", "catalog", "sources", "playback", "analytics"]
_PING_SECONDS = 0.5


class HealthStatus(Enum):
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    name: str
    status: HealthStatus
    latency_ms: float | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    status: HealthStatus
    timestamp: datetime
    uptime_seconds: float
    version: str
    checks: list[HealthCheck]


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    version: str
    schema_hash: str
    services: list[str]


@dataclass(frozen=True, slots=True)
class LiveMetricsEvent:
    """`cursor` is of the last point; `gap`: points before or between these are missing."""

    cursor: str
    points: list[Point]
    gap: bool


def live_metrics(
    context: Context, interval_seconds: int = 1, resume_after: str | None = None
) -> AsyncIterator[LiveMetricsEvent]:
    """First the newest point (or all since `resume_after`), then `interval_seconds` points a time.

    Raises:
        Unauthenticated, Forbidden: only operators see this.
        ValidationFailed: `interval_seconds` is not between 1 and 60.
        InvalidCursor: `resume_after` is not a cursor of an event.
        TooManyStreams: at the first event: this process serves as many as it may.
    """
    context.require(Role.OPERATOR)
    if not 1 <= interval_seconds <= MAX_INTERVAL_SECONDS:
        raise ValidationFailed(
            f"Ask for 1 to {MAX_INTERVAL_SECONDS} seconds.", path=["intervalSeconds"]
        )
    after = parse_cursor(resume_after) if resume_after is not None else None
    return _events(context.runtime.metrics_hub, interval_seconds, after)


async def _events(hub: Hub[Point], room: int, after: Id | None) -> AsyncIterator[LiveMetricsEvent]:
    with hub.subscribe(room) as subscription:
        if after is not None:
            missed = await _replay(hub, subscription, after)
            if missed is not None:
                yield _event(missed)
        async for batch in subscription:
            yield _event(batch)


async def _replay(
    hub: Hub[Point], subscription: Subscription[Point], after: Id
) -> Batch[Point] | None:
    """What came since; the subscription goes on behind it and tells a gap that this cannot."""
    subscription.skip_to(after)
    try:
        missed = await hub.replay_after(after)
    except UpstreamUnavailable:
        subscription.mark_gap()
        return None
    if not missed.messages:
        if missed.gap:
            subscription.mark_gap()
        return None
    subscription.skip_to(missed.messages[-1].id)
    return missed


def _event(batch: Batch[Point]) -> LiveMetricsEvent:
    return LiveMetricsEvent(batch.cursor, [message.value for message in batch.messages], batch.gap)


async def health(context: Context) -> Health:
    """DEGRADED while one store is away: the other still serves. UNHEALTHY when both are."""
    runtime = context.runtime
    asked = [
        _check("database", models.ping_database(_PING_SECONDS)),
        _check("cache", _ping(runtime.redis)),
    ]
    if runtime.state_redis is not runtime.redis:
        asked.append(_check("state", _ping(runtime.state_redis)))
    checks = await asyncio.gather(*asked)
    now = runtime.clock()
    return Health(
        status=combine_statuses(checks),
        timestamp=datetime.fromtimestamp(now, UTC),
        uptime_seconds=max(0.0, now - runtime.started_at),
        version=VERSION,
        checks=list(checks),
    )


def combine_statuses(checks: Sequence[HealthCheck]) -> HealthStatus:
    away = [check.status is HealthStatus.UNHEALTHY for check in checks]
    if all(away):
        return HealthStatus.UNHEALTHY
    return HealthStatus.DEGRADED if any(away) else HealthStatus.HEALTHY


async def _ping(redis: pool.Client) -> None:
    await redis.ping()


async def _check(name: str, ping: Awaitable[None]) -> HealthCheck:
    """The failure's own text stays inside: it can hold addresses."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await ping
    except (UpstreamUnavailable, *Failure):
        return HealthCheck(name, HealthStatus.UNHEALTHY, detail="did not answer in time")
    return HealthCheck(name, HealthStatus.HEALTHY, (time.perf_counter() - started) * 1000)


def service_info(schema_hash: str) -> ServiceInfo:
    return ServiceInfo(VERSION, schema_hash, SERVICES)


def liveness() -> tuple[int, dict[str, str]]:
    """Status and body of /health: the process runs; restarting it would mend no store."""
    return 200, {"status": "ok", "version": VERSION}


def readiness(found: Health, *, draining: bool) -> tuple[int, dict[str, object]]:
    """Status and body of /ready: 503 only while draining or when no store is left to serve from."""
    serves = not draining and found.status is not HealthStatus.UNHEALTHY
    return 200 if serves else 503, {
        "status": "draining" if draining else found.status.value.lower(),
        "checks": {check.name: check.status.value.lower() for check in found.checks},
    }
