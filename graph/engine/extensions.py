"""The `extensions` of an answer: its cost and the caches that answered it, on request."""

from __future__ import annotations

from typing import Any

from graph.base.scalars import write_instant
from loaders import CacheHits
from resolvers.context import Context
from resolvers.ops import rate_limits

_LEVELS = ("memory", "redis", "database", "stale")


def build_extensions(requested: int, actual: int, context: Context) -> dict[str, Any] | None:
    """Build the extensions that the request asked for; None without any."""
    extensions: dict[str, Any] = {}
    if context.cache_hits is not None:
        extensions["cache"] = _cache_extension(context.cache_hits)
    if context.include_cost:
        extensions["cost"] = _cost_extension(requested, actual, context)
    return extensions or None


def _cost_extension(requested: int, actual: int, context: Context) -> dict[str, Any]:
    """Return the cost as a client plans by it; without rate limits, requested and actual only."""
    cost: dict[str, Any] = {"requested": requested, "actual": actual}
    quota = rate_limits.quota_status(context)
    if quota is not None:
        cost["limit"] = quota.cost_limit
        cost["remaining"] = quota.cost_remaining + max(0, requested - actual)
        cost["resetAt"] = write_instant(quota.reset_at)
    return cost


def _cache_extension(cache_hits: CacheHits) -> dict[str, Any]:
    """Return the number of keys each tier answered, in total and by kind of record."""
    totals = dict.fromkeys(_LEVELS, 0)
    kinds: dict[str, dict[str, int]] = {}
    for (kind, level), keys in sorted(cache_hits.items()):
        totals[level] += keys
        kinds.setdefault(kind, {})[level] = keys
    return {**totals, "kinds": kinds}
