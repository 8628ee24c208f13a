"""Public types of health, metrics, jobs, limits."""
