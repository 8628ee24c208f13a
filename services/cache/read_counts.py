"""Metrics of cache reads, by level: memory, redis, response."""

from __future__ import annotations

from services.telemetry import metrics

_COUNTERS = {
    level: (metrics.cache_hits_total.labels(level), metrics.cache_misses_total.labels(level))
    for level in ("memory", "redis", "response")
}


def count_reads(level: str, hits: int, misses: int) -> None:
    """Add the hits and misses of one batch to the metrics of a level."""
    hit, missed = _COUNTERS[level]
    if hits:
        hit.inc(hits)
    if misses:
        missed.inc(misses)
