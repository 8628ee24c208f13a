"""Delivery of live events to sockets and event streams."""
