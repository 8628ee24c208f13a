"""What running the service has connected: metrics, jobs, limits."""

from __future__ import annotations

from dataclasses import dataclass

from services.limits.abuse_watch import AbuseWatch
from services.limits.rate_limit import RateLimiter
from services.redis.hub import Hub
from services.redis.job_queue import JobQueue
from services.telemetry.live_metrics import LiveMetrics, Point


@dataclass(frozen=True, slots=True)
class Jobs:
    """The queue of jobs, and the hub with their changes."""

    queue: JobQueue
    changed: Hub[str]


@dataclass(frozen=True, slots=True)
class OpsRuntime:
    """This process's metrics and everyone's, the jobs, and the limits of requests."""

    live_metrics: LiveMetrics
    metrics_hub: Hub[Point]
    jobs: Jobs
    rate_limiter: RateLimiter
    abuse_watch: AbuseWatch
