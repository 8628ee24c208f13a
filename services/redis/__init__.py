"""The connection to Redis: pools, scripts, streams, key texts."""
