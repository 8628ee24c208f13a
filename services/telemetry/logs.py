"""Structured logs: one JSON object a line in production, readable text in development.

Values are fields, never parts of a sentence, and the encoder escapes them, so a line cannot be
forged from outside. Secrets are never passed in; fields with a secret's name are blanked anyway.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

from services.settings.settings import Settings
from services.telemetry.log_queue import QueueLogger, common_fields, standard_error

_SECRET_WORDS = ("password", "token", "secret", "authorization", "api_key", "cookie")


def configure(settings: Settings) -> None:
    """Configure structlog and the standard library's logging; call it once at start."""
    level = get_level(settings)
    queue = standard_error()
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[_LibraryHandler()])
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_common_fields,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _blank_secrets,
            structlog.processors.format_exc_info,
            _renderer(settings),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: QueueLogger(queue),
        cache_logger_on_first_use=True,
    )


def get_level(settings: Settings) -> int:
    """Return LOG_LEVEL as the standard library's number."""
    return logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)


class _LibraryHandler(logging.Handler):
    """Where libraries log to: their lines have the form of ours, `room` is the library's name."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record."""
        log = get_logger(record.name)
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write(record.getMessage(), exc_info=record.exc_info)


def get_logger(room: str) -> Any:
    """Return a logger whose lines carry `room`, the name of the part that logs."""
    return structlog.get_logger(room=room)


def _renderer(settings: Settings) -> Any:
    if settings.is_production:
        return structlog.processors.JSONRenderer(serializer=_dump)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _dump(value: Any, **_options: Any) -> bytes:
    return orjson.dumps(value, default=str)


def is_secret(name: str) -> bool:
    """Whether a field of this name may hold a secret."""
    return any(word in name.lower() for word in _SECRET_WORDS)


def _add_common_fields(_logger: Any, _method: str, event: Any) -> Any:
    for name, value in common_fields.items():
        event.setdefault(name, value)
    return event


def _blank_secrets(_logger: Any, _method: str, event: Any) -> Any:
    for name in event:
        if is_secret(name):
            event[name] = "***"
    return event
