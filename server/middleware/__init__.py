"""ASGI middleware of all requests, outermost first in app.py."""
