"""Metrics, live metrics and logs."""
