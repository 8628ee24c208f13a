"""Structured logs: one JSON object a line in production, readable text in development.

Names of fields are data, never parts of a sentence, and values are escaped by the encoder, so a
line cannot be forged from outside. Secrets are never handed in; known names are blanked anyway.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

from services.settings.settings import Settings

_SECRET_WORDS = ("password", "token", "secret", "authorization", "api_key", "cookie")


def configure(settings: Settings) -> None:
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _blank_secrets,
            structlog.processors.format_exc_info,
            _renderer(settings),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if settings.is_production
        else structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_logger(room: str) -> Any:
    return structlog.get_logger(room=room)


def _renderer(settings: Settings) -> Any:
    if settings.is_production:
        return structlog.processors.JSONRenderer(serializer=_dump)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _dump(value: Any, **_options: Any) -> bytes:
    return orjson.dumps(value, default=str)


def is_secret(name: str) -> bool:
    """Whether what goes by this name is not to be shown, whatever it is."""
    return any(word in name.lower() for word in _SECRET_WORDS)


def _blank_secrets(_logger: Any, _method: str, event: Any) -> Any:
    for name in event:
        if is_secret(name):
            event[name] = "***"
    return event
