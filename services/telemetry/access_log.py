"""One JSON line per request, written in batches so that a request never waits for the disk.

At most a tenth of a second of lines is lost when the process is killed; they are telemetry.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson

_FLUSH_SECONDS = 0.1
_MAX_LINES = 10_000  # a stuck terminal must not grow memory


class AccessLog:
    """The access log of one process."""

    def __init__(self, stream: BinaryIO | None = None, *, enabled: bool = True) -> None:
        self._stream = stream or sys.stderr.buffer
        self._enabled = enabled
        self._lines: list[Mapping[str, Any]] = []
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, line: Mapping[str, Any]) -> None:
        """Queue one line; beyond 10,000 waiting ones it is dropped and counted."""
        if not self._enabled:
            return
        if len(self._lines) >= _MAX_LINES:
            self._dropped += 1
            return
        self._lines.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write all queued lines at once."""
        self._timer = None
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append({"event": "access_log_dropped", "lines": self._dropped})
            self._dropped = 0
        text = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._dropped += len(lines)
