"""How the service is doing, as operators see it: live metrics, health, and what runs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import plain, resolver, subscription
from graph.base.info import Info
from graph.base.roots import Query, Subscription
from graph.base.scalars import DateTime, Long
from models import Role
from resolvers.ops import health_and_metrics, live_metrics
from services.telemetry.live_metrics import CacheLevel

describe_enum(
    CacheLevel,
    "Tier of the cache.",
    {
        "MEMORY": "Memory of one process.",
        "REDIS": "Redis, shared by all processes.",
        "RESPONSE": "Encoded responses of public queries.",
    },
)
describe_enum(
    health_and_metrics.HealthStatus,
    "Health of the service or of a dependency.",
    {
        "HEALTHY": "Fully operational.",
        "DEGRADED": "Partly operational: a dependency is down.",
        "UNHEALTHY": "Not operational.",
    },
)


@strawberry.type(description="Cache statistics of one tier in one second.")
class CacheLevelStats:
    level: CacheLevel = plain("The cache tier.")
    hits: Long = plain("Number of reads answered by this tier.")
    misses: Long = plain("Number of reads this tier could not answer.")
    stale: Long = plain(
        "Number of reads answered with stale data because the source was unavailable."
    )
    hit_rate: float = plain("Share of reads answered by this tier, 0 to 1.")


@strawberry.type(description="Metrics of all processes together in one second.")
class MetricsPoint:
    at: DateTime = plain("End of the second.")
    requests_per_second: float = plain("Requests answered per second.")
    error_rate: float = plain("Share of requests that failed, 0 to 1.")
    p50_ms: float = plain("Median request latency in milliseconds, at most 5 % too high.")
    p95_ms: float = plain(
        "95th percentile of request latency in milliseconds, at most 5 % too high."
    )
    p99_ms: float = plain(
        "99th percentile of request latency in milliseconds, at most 5 % too high."
    )
    cache: list[CacheLevelStats] = plain("Statistics of each cache tier.")
    database_p95_ms: float | None = plain(
        "95th percentile of database command latency in milliseconds, "
        "rounded up to 1, 2.5, 5, 10 and so on to 10,000; null if no command ran."
    )
    active_connections: int = plain("Open requests and WebSocket connections.")
    active_streams: int = plain("Open subscriptions and event streams.")
    progress_backlog: Long = plain("Buffered progress reports not yet written to the database.")
    progress_lag_seconds: float = plain("Age of the oldest buffered progress report in seconds.")


@strawberry.type(description="Metrics of consecutive seconds.")
class LiveMetricsEvent:
    cursor: str = plain("Cursor to pass as `resumeAfter` after a reconnect.")
    points: list[MetricsPoint] = plain(
        "One point per second since the previous event, newest last."
    )
    gap: bool = plain("Whether points before or between these are missing.")


@strawberry.type(description="Health of one dependency.")
class HealthCheck:
    name: str = plain("Name of the dependency, such as database or cache.")
    status: health_and_metrics.HealthStatus = plain("Health of the dependency.")
    latency_ms: float | None = plain("Response time in milliseconds; null if it did not respond.")
    detail: str | None = plain("What failed; null if healthy.")


@strawberry.type(description="Current health of the service.")
class Health:
    status: health_and_metrics.HealthStatus = plain("Overall health.")
    timestamp: DateTime = plain("When the checks ran.")
    uptime_seconds: float = plain("Seconds since this process started.")
    version: str = plain("Version of the running service, such as 0.1.0.")
    checks: list[HealthCheck] = plain("Health of each dependency.")


@strawberry.type(description="The running service.")
class ServiceInfo:
    version: str = plain("Version of the running service, such as 0.1.0.")
    schema_hash: str = plain(
        "SHA-256 of the schema's text, in hex; equal hashes mean equal schemas."
    )
    services: list[str] = plain("Names of the domains served, such as catalog.")


class _SchemaText:
    schema_hash = ""


def set_schema_text(schema_text: str) -> None:
    """Store the schema's hash for `service`; called once by the assembled schema."""
    _SchemaText.schema_hash = hashlib.sha256(schema_text.encode()).hexdigest()


async def _service() -> health_and_metrics.ServiceInfo:
    return health_and_metrics.service_info(_SchemaText.schema_hash)


async def _health(info: Info) -> health_and_metrics.Health:
    return await health_and_metrics.health(info.context)


def _health_changed(info: Info) -> AsyncIterator[health_and_metrics.Health]:
    return health_and_metrics.watch_health(info.context)


def _live_metrics(
    info: Info,
    interval_seconds: Annotated[
        int, strawberry.argument(description="Seconds between events: 1 to 60.")
    ] = 1,
    resume_after: Annotated[
        str | None,
        strawberry.argument(
            description="Cursor of the last event received, to continue from it; null starts "
            "with the newest second."
        ),
    ] = None,
) -> AsyncIterator[live_metrics.LiveMetricsEvent]:
    return live_metrics.live_metrics(info.context, interval_seconds, resume_after)


async def _recent_metrics(
    info: Info,
    seconds: Annotated[
        int, strawberry.argument(description="How many seconds to look back: 1 to 600.")
    ] = 300,
) -> live_metrics.LiveMetricsEvent | None:
    return await live_metrics.recent_metrics(info.context, seconds)


@extend(Query)
class AnalyticsQuery:
    health: Health | None = resolver(
        _health, "Checks the database and Redis and returns the health of the service."
    )
    recent_metrics: LiveMetricsEvent | None = resolver(
        _recent_metrics,
        "Metrics of the last seconds, as far back as they are kept, with the cursor "
        "for `liveMetrics` to continue from; null if there are none.",
        requires=Role.OPERATOR,
        is_private=True,
    )
    service: ServiceInfo | None = resolver(_service, "Version and schema of the running service.")


@extend(Subscription)
class AnalyticsSubscription:
    health_changed: Health = subscription(
        _health_changed,
        "The health of the service, then its health whenever the status of a dependency "
        "has changed, within a few seconds.",
    )
    live_metrics: LiveMetricsEvent = subscription(
        _live_metrics,
        "Live metrics of the whole service, from the newest second on.",
        requires=Role.OPERATOR,
    )
