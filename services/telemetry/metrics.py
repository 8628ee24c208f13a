"""All metrics of a process, in one file; names and labels are listed in docs/operations.md.

Labels are few and finite. A gauge says how those of several processes become one.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    values,
)

from services.telemetry.shared_values import SharedValue

values.ValueClass = SharedValue  # before the first metric: each makes its values by this
OF_EACH: Final = "livesum"  # gauges of one process: those of several are summed
OF_ALL: Final = "livemax"  # gauges that every process has alike: the greatest counts
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # memory, files and processor time, where /proc tells them
REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

http_request_duration_seconds = Histogram(
    "http_request_duration_seconds",
    "Duration of HTTP requests in seconds",
    ["method", "route", "status_code"],
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
http_requests_total = Counter(
    "http_requests_total",
    "HTTP requests answered",
    ["method", "route", "status_code"],
    registry=REGISTRY,
)
active_connections = Gauge(
    "active_connections",
    "HTTP requests and WebSockets open now",
    multiprocess_mode=OF_EACH,
    registry=REGISTRY,
)
sockets_closed_total = Counter(
    "sockets_closed_total", "WebSockets we closed or did not open", ["code"], registry=REGISTRY
)
cache_hits_total = Counter(
    "cache_hits_total", "Reads that this cache level answered", ["cache_type"], registry=REGISTRY
)
cache_misses_total = Counter(
    "cache_misses_total", "Reads passed on to the next level", ["cache_type"], registry=REGISTRY
)
cache_stale_total = Counter(
    "cache_stale_total",
    "Stale entries served because nothing fresh was available",
    ["cache_type"],
    registry=REGISTRY,
)
cache_refreshes_failed_total = Counter(
    "cache_refreshes_failed_total",
    "Stale entries that could not be refreshed",
    registry=REGISTRY,
)
operations_queued_total = Counter(
    "operations_queued_total",
    "Operations that waited for others to end, or were let in beside them",
    registry=REGISTRY,
)
operations_refused_total = Counter(
    "operations_refused_total",
    "Operations refused because the process is busy",
    registry=REGISTRY,
)
event_loop_lag_seconds = Gauge(
    "event_loop_lag_seconds",
    "Longest delay of the event loop within about a second",
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
http_refused_total = Counter(
    "http_refused_total",
    "Connections and requests refused before the application saw them",
    ["why"],
    registry=REGISTRY,
)
log_lines_dropped_total = Counter(
    "log_lines_dropped_total",
    "Lines of the log that were dropped because nobody read it fast enough",
    registry=REGISTRY,
)
live_events_skipped_total = Counter(
    "live_events_skipped_total",
    "Events that newer ones replaced before a slow subscriber took them",
    registry=REGISTRY,
)
active_streams = Gauge(
    "active_streams",
    "GraphQL subscriptions and event streams open now",
    multiprocess_mode=OF_EACH,
    registry=REGISTRY,
)
database_seconds = Histogram(
    "database_seconds",
    "Duration of one MongoDB command in seconds",
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
database_errors_total = Counter(
    "database_errors_total", "MongoDB commands that failed", registry=REGISTRY
)
database_lean_reads_total = Counter(
    "database_lean_reads_total", "Reads of MongoDB that went the lean way", registry=REGISTRY
)
database_fallback_reads_total = Counter(
    "database_fallback_reads_total",
    "Reads of MongoDB that were left to PyMongo",
    ["why"],
    registry=REGISTRY,
)
documents_undecodable_total = Counter(
    "documents_undecodable_total",
    "MongoDB documents left out because they have another form",
    registry=REGISTRY,
)
redis_errors_total = Counter(
    "redis_errors_total", "Redis commands that failed or were skipped", registry=REGISTRY
)
redis_lean_calls_total = Counter(
    "redis_lean_calls_total",
    "Commands to Redis that were sent on the pipelined connection",
    registry=REGISTRY,
)
redis_fallback_calls_total = Counter(
    "redis_fallback_calls_total",
    "Script calls and reads of many keys that were left to redis-py",
    ["why"],
    registry=REGISTRY,
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
rate_limited_total = Counter(
    "rate_limited_total",
    "Operations over a rate limit: refused, or (RATE_LIMIT_MODE=log) let through",
    ["tier", "outcome"],
    registry=REGISTRY,
)
rate_limit_fallbacks_total = Counter(
    "rate_limit_fallbacks_total",
    "Acquisitions counted in this process because Redis was away",
    registry=REGISTRY,
)
throttled_total = Counter(
    "throttled_total", "Refused tries to sign in, get mail or register", ["what"], registry=REGISTRY
)
breached_password_checks_total = Counter(
    "breached_password_checks_total",
    "New passwords looked up in published breaches",
    ["outcome"],
    registry=REGISTRY,
)
document_lookups_total = Counter(
    "document_lookups_total",
    "Ids of documents that this process did not know, by where the text was found",
    ["outcome"],
    registry=REGISTRY,
)
document_registrations_total = Counter(
    "document_registrations_total",
    "Documents that clients registered by their SHA-256",
    ["outcome"],
    registry=REGISTRY,
)
documents_trusted = Gauge(
    "documents_trusted", "Pushed documents that this process knows", registry=REGISTRY
)
untrusted_documents_total = Counter(
    "untrusted_documents_total",
    "Requests for documents that nobody pushed, where TRUSTED_DOCUMENTS is not off",
    ["mode"],
    registry=REGISTRY,
)
revocations_total = Counter(
    "revocations_total",
    "Sign-ins, users' tokens and API keys ended by this process before their time",
    ["kind"],
    registry=REGISTRY,
)
revocations_known = Gauge(
    "revocations_known",
    "Revocations in force that this process knows",
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
mails_total = Counter("mails_total", "Mails about accounts", ["outcome"], registry=REGISTRY)
accounts_erased_total = Counter(
    "accounts_erased_total", "Deleted accounts erased completely", registry=REGISTRY
)
provider_attempts_total = Counter(
    "provider_attempts_total", "Provider calls", ["provider", "outcome"], registry=REGISTRY
)
playback_starts_total = Counter(
    "playback_starts_total", "Playback sessions asked for", ["outcome"], registry=REGISTRY
)
provider_hedges_total = Counter(
    "provider_hedges_total",
    "Providers asked because an earlier one was slow: started, and won",
    ["provider", "outcome"],
    registry=REGISTRY,
)
breaker_state = Gauge(
    "breaker_state",
    "State of a circuit breaker: 0 closed, 1 half-open, 2 open",
    ["breaker"],
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
breaker_transitions_total = Counter(
    "breaker_transitions_total",
    "Changes of circuit breakers, each counted by the process that made it",
    ["breaker", "state"],
    registry=REGISTRY,
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
    "progress_backlog_entries",
    "Progress reports not yet in MongoDB",
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
progress_lag_seconds = Gauge(
    "progress_lag_seconds",
    "Age of the oldest report not yet in MongoDB",
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
tmdb_requests_total = Counter(
    "tmdb_requests_total", "Requests to TMDb", ["outcome"], registry=REGISTRY
)
jobs_finished_total = Counter(
    "jobs_finished_total", "Jobs that ended", ["kind", "state"], registry=REGISTRY
)
purges_waiting = Gauge(
    "purges_waiting",
    "Purges that caches or the CDN have yet to do",
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
purges_oldest_seconds = Gauge(
    "purges_oldest_seconds",
    "Age of the oldest purge that waits",
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
purges_finished_total = Counter(
    "purges_finished_total", "Purges that ended", ["state"], registry=REGISTRY
)
purge_requests_total = Counter(
    "purge_requests_total", "Requests to the CDN's API", ["outcome"], registry=REGISTRY
)
edge_refreshes_total = Counter(
    "edge_refreshes_total",
    "Requests that made an edge fetch an answer anew",
    ["outcome"],
    registry=REGISTRY,
)
audit_entries_total = Counter(
    "audit_entries_total", "Entries for the audit log", ["outcome"], registry=REGISTRY
)
abuse_prefixes = Gauge(
    "abuse_prefixes",
    "Prefixes of addresses that are slowed down, limited to known documents, or blocked",
    ["level"],
    multiprocess_mode=OF_ALL,
    registry=REGISTRY,
)
abuse_transitions_total = Counter(
    "abuse_transitions_total",
    "Changes of prefixes' levels, each counted by one process",
    ["level"],
    registry=REGISTRY,
)
abuse_signals_total = Counter(
    "abuse_signals_total", "Signals that added points to prefixes", ["signal"], registry=REGISTRY
)
abuse_delayed_total = Counter(
    "abuse_delayed_total", "Requests that the abuse watch delayed", registry=REGISTRY
)
abuse_refused_total = Counter(
    "abuse_refused_total", "Requests that the abuse watch refused", ["why"], registry=REGISTRY
)
task_failures_total = Counter(
    "task_failures_total",
    "Failures of endless tasks, which are started again",
    ["task"],
    registry=REGISTRY,
)
serving_process_replacements_total = Counter(
    "serving_process_replacements_total",
    "Processes of `serve --processes` that were replaced",
    ["why"],
    registry=REGISTRY,
)
worker_runs_total = Counter(
    "worker_runs_total", "Runs of background workers", ["worker", "outcome"], registry=REGISTRY
)


def render_exposition() -> bytes:
    """Render all metrics in the text format that Prometheus scrapes."""
    return generate_latest(REGISTRY)
