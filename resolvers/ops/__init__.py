"""Health, metrics, jobs, limits."""
