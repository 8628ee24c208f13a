"""All metrics of a process, in one file; names and labels are listed in docs/operations.md.

Labels are few and finite.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

http_request_duration_seconds = Histogram(
    "http_request_duration_seconds",
    "Duration of HTTP requests in seconds",
    ["method", "route", "status_code"],
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
http_requests_total = Counter(
    "http_requests_total",
    "HTTP requests answered",
    ["method", "route", "status_code"],
    registry=REGISTRY,
)
active_connections = Gauge(
    "active_connections", "HTTP requests and WebSockets open now", registry=REGISTRY
)
cache_hits_total = Counter(
    "cache_hits_total", "Reads that this cache level answered", ["cache_type"], registry=REGISTRY
)
cache_misses_total = Counter(
    "cache_misses_total", "Reads passed on to the next level", ["cache_type"], registry=REGISTRY
)
cache_stale_total = Counter(
    "cache_stale_total",
    "Stale entries that answered because nothing better could",
    ["cache_type"],
    registry=REGISTRY,
)
cache_refreshes_failed_total = Counter(
    "cache_refreshes_failed_total",
    "Stale entries that could not be read anew",
    registry=REGISTRY,
)
active_streams = Gauge(
    "active_streams", "GraphQL subscriptions and event streams open now", registry=REGISTRY
)
database_seconds = Histogram(
    "database_seconds",
    "Duration of one MongoDB command in seconds",
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
database_errors_total = Counter(
    "database_errors_total", "MongoDB commands that failed", registry=REGISTRY
)
redis_errors_total = Counter(
    "redis_errors_total", "Redis commands that failed or were skipped", registry=REGISTRY
)
graphql_errors_total = Counter(
    "graphql_errors_total", "Errors in GraphQL answers", ["code"], registry=REGISTRY
)
sign_ins_total = Counter(
    "sign_ins_total",
    "Registrations, sign-ins and token refreshes",
    ["outcome"],
    registry=REGISTRY,
)
provider_attempts_total = Counter(
    "provider_attempts_total", "Provider calls", ["provider", "outcome"], registry=REGISTRY
)
progress_reports_total = Counter(
    "progress_reports_total", "Progress reports", ["outcome"], registry=REGISTRY
)
progress_flushed_total = Counter(
    "progress_flushed_total", "Stream entries written to MongoDB", registry=REGISTRY
)
progress_dead_letters_total = Counter(
    "progress_dead_letters_total", "Stream entries set aside as unreadable", registry=REGISTRY
)
progress_backlog_entries = Gauge(
    "progress_backlog_entries", "Progress reports not yet in MongoDB", registry=REGISTRY
)
progress_lag_seconds = Gauge(
    "progress_lag_seconds", "Age of the oldest report not yet in MongoDB", registry=REGISTRY
)
tmdb_requests_total = Counter(
    "tmdb_requests_total", "Requests to TMDb", ["outcome"], registry=REGISTRY
)
jobs_finished_total = Counter(
    "jobs_finished_total", "Jobs that ended", ["kind", "state"], registry=REGISTRY
)
worker_runs_total = Counter(
    "worker_runs_total", "Runs of background workers", ["worker", "outcome"], registry=REGISTRY
)


def exposition() -> bytes:
    """The text format Prometheus scrapes."""
    return generate_latest(REGISTRY)
