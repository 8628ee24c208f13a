"""One JSON line per request, queued in batches so that a request never waits for the log's reader.

Lines are of level info, those of failed requests of level error: LOG_LEVEL decides which are
written, and ACCESS_LOG_SAMPLE how many of the former. At most a tenth of a second of lines is lost
when the process is killed; they are telemetry.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any, Protocol

from services.settings.settings import Settings
from services.telemetry.log_queue import build_line, standard_error
from services.telemetry.logs import get_level

_FLUSH_SECONDS = 0.1
_MAX_LINES = 10_000  # a stuck terminal must not grow memory


class Stream(Protocol):
    """Where lines go: a binary file, or the queue before one."""

    def write(self, text: bytes, /) -> int | None:
        """Write whole lines."""

    def flush(self) -> None:
        """Pass on what was written."""


class AccessLog:
    """The access log of one process.

    Args:
        sample: share of the lines of level info that are written, from 0 to 1.
    """

    def __init__(
        self,
        stream: Stream | None = None,
        *,
        enabled: bool = True,
        level: int = logging.INFO,
        sample: float = 1.0,
    ) -> None:
        self._stream = stream or standard_error()
        self._enabled = enabled and level <= logging.ERROR
        self._sample = sample if level <= logging.INFO else 0.0
        self._lines: list[bytes] = []
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, settings: Settings) -> AccessLog:
        """Build the log by LOG_LEVEL and ACCESS_LOG_SAMPLE."""
        return cls(level=get_level(settings), sample=settings.access_log_sample)

    def write(self, line: Mapping[str, Any], *, failed: bool = False) -> None:
        """Queue one line; beyond 10,000 waiting ones it is dropped and counted.

        Args:
            failed: the request failed through a fault of ours.
        """
        if not self._enabled or not (failed or self._is_sampled()):
            return
        if len(self._lines) >= _MAX_LINES:
            self._dropped += 1
            return
        self._lines.append(build_line(line, "error" if failed else "info"))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)

    def _is_sampled(self) -> bool:
        return self._sample >= 1 or random.random() < self._sample  # noqa: S311 - no secret

    def flush(self) -> None:
        """Write all queued lines at once."""
        self._timer = None
        lines, self._lines = self._lines, []
        if self._dropped:
            note = {"event": "access_log_dropped", "lines": self._dropped}
            lines.append(build_line(note, "warning"))
            self._dropped = 0
        try:
            self._stream.write(b"".join(lines))
            self._stream.flush()
        except (OSError, ValueError):
            self._dropped += len(lines)
