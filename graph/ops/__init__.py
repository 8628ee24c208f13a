"""Public types of health, metrics, jobs, limits."""

from graph.ops import (
    analytics,
    jobs,
    rate_limits,
)
