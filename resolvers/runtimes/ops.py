"""What running the service has connected: metrics, jobs, limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.cache.ttl_cache import TtlCache
from services.documents.store import DocumentStore
from services.limits.abuse_watch import AbuseWatch
from services.limits.rate_limit import RateLimiter
from services.redis.hub import Hub
from services.redis.job_queue import JobQueue
from services.telemetry.live_metrics import LiveMetrics, Point
from services.watched_value import WatchedValue


@dataclass(frozen=True, slots=True)
class Jobs:
    """The queue of jobs, and the hub with their changes."""

    queue: JobQueue
    changed: Hub[str]


def _build_health_cache() -> TtlCache[Any]:
    return TtlCache(fresh_seconds=1, stale_seconds=0)


@dataclass(frozen=True, slots=True)
class OpsRuntime:
    """Metrics of this process and of all, jobs, limits of requests, and documents by id."""

    live_metrics: LiveMetrics
    metrics_hub: Hub[Point]
    jobs: Jobs
    rate_limiter: RateLimiter
    abuse_watch: AbuseWatch
    documents: DocumentStore
    health_watch: WatchedValue[Any]
    health_cache: TtlCache[Any] = field(default_factory=_build_health_cache)
