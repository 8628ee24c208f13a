"""Streaming sources, providers, breakers, HLS."""
