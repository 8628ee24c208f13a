"""How the service is doing, as operators see it: live metrics, health, and what runs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from graph.base.enums import describe_enum
from graph.base.fields import plain, resolver, subscription
from graph.base.info import Info
from graph.base.scalars import DateTime
from models import Role
from resolvers.ops import health_and_metrics
from services.telemetry.live_metrics import CacheLevel

describe_enum(
    CacheLevel,
    "One tier of the cache.",
    {
        "MEMORY": "Memory of the process.",
        "REDIS": "Redis, shared by all processes.",
        "RESPONSE": "Whole answers, already encoded.",
    },
)
describe_enum(
    health_and_metrics.HealthStatus,
    "How well something is.",
    {
        "HEALTHY": "All is well.",
        "DEGRADED": "A part is away; the rest serves.",
        "UNHEALTHY": "It does not serve.",
    },
)


@strawberry.type(description="How one tier of the cache did.")
class CacheLevelStats:
    level: CacheLevel = plain("Which tier.")
    hits: int = plain("Reads it answered.")
    misses: int = plain("Reads it passed on.")
    stale: int = plain("Reads it answered out of date, because nothing better could be had.")
    hit_rate: float = plain("The part of its reads that it answered, 0 to 1.")


@strawberry.type(description="The whole service, all processes together, in one second.")
class MetricsPoint:
    at: DateTime = plain("The second's end.")
    requests_per_second: float = plain("Requests answered per second.")
    error_rate: float = plain("The part of them that failed, 0 to 1.")
    p50_ms: float = plain("Half of them took no longer, in milliseconds; at most 5 % too high.")
    p95_ms: float = plain("95 % of them took no longer, in milliseconds; at most 5 % too high.")
    p99_ms: float = plain("99 % of them took no longer, in milliseconds; at most 5 % too high.")
    cache: list[CacheLevelStats] = plain("How each tier of the cache did.")
    database_p95_ms: float | None = plain(
        "95 % of database commands took no longer, in milliseconds, rounded up to 1, 2.5, 5, 10 "
        "and so on; null if there were none."
    )
    active_connections: int = plain("Requests and sockets open.")
    active_streams: int = plain("Subscriptions and event streams open.")
    progress_backlog: int = plain("Progress reports not yet in the database.")
    progress_lag_seconds: float = plain("The age of the oldest of them.")


@strawberry.type(description="News of the live metrics.")
class LiveMetricsEvent:
    cursor: str = plain("Come back with this as `resumeAfter` to miss nothing.")
    points: list[MetricsPoint] = plain("The seconds since the last event, the newest last.")
    gap: bool = plain("Seconds before or between these are missing.")


@strawberry.type(description="How one thing the service needs is.")
class HealthCheck:
    name: str = plain("What was checked.")
    status: health_and_metrics.HealthStatus = plain("How it is.")
    latency_ms: float | None = plain("How long it took to answer, in milliseconds.")
    detail: str | None = plain("What is wrong.")


@strawberry.type(description="How the service is, asked just now.")
class Health:
    status: health_and_metrics.HealthStatus = plain("How it is as a whole.")
    timestamp: DateTime = plain("When this was found.")
    uptime_seconds: float = plain("How long this process has been running.")
    version: str = plain("The version that runs.")
    checks: list[HealthCheck] = plain("What it is made of.")


@strawberry.type(description="What runs here.")
class ServiceInfo:
    version: str = plain("The version that runs.")
    schema_hash: str = plain("SHA-256 of the schema's text: the same hash, the same schema.")
    services: list[str] = plain("The subjects it serves.")


class _SchemaText:
    schema_hash = ""


def set_schema_text(schema_text: str) -> None:
    """Called once, by the assembled schema with its own text; `service` tells its hash."""
    _SchemaText.schema_hash = hashlib.sha256(schema_text.encode()).hexdigest()


async def _service() -> health_and_metrics.ServiceInfo:
    return health_and_metrics.service_info(_SchemaText.schema_hash)


async def _health(info: Info) -> health_and_metrics.Health:
    return await health_and_metrics.health(info.context)


def _live_metrics(
    info: Info,
    interval_seconds: Annotated[
        int, strawberry.argument(description="Seconds from event to event: 1 to 60.")
    ] = 1,
    resume_after: Annotated[
        str | None,
        strawberry.argument(description="The cursor of the last event seen, to miss nothing."),
    ] = None,
) -> AsyncIterator[health_and_metrics.LiveMetricsEvent]:
    return health_and_metrics.live_metrics(info.context, interval_seconds, resume_after)


@strawberry.type
class AnalyticsQuery:
    health: Health = resolver(_health, "How the service is; both stores are asked.")
    service: ServiceInfo = resolver(_service, "What runs here.")


@strawberry.type
class AnalyticsSubscription:
    live_metrics: LiveMetricsEvent = subscription(
        _live_metrics,
        "Live metrics of the whole service, from the newest second on.",
        requires=Role.OPERATOR,
    )
