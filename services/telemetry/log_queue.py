"""A bounded queue before the log's file descriptor, emptied by a thread.

Whoever logs never waits for the reader of the log: while that one stalls, lines beyond the bound
are dropped and counted, and the log says how many once it is read again.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import orjson

from services.telemetry import metrics

MAX_QUEUED_BYTES = 4 * 1024 * 1024
_STANDARD_ERROR = 2
_EXIT_SECONDS = 1.0  # for the last lines, when the process ends
_ATOMIC_BYTES = 4096  # that a pipe takes in one piece

common_fields: dict[str, int] = {}  # of every line of this process


def set_process(number: int) -> None:
    """Let every line say which of several processes wrote it; the log is theirs together."""
    common_fields["process"] = number


def build_line(fields: Mapping[str, Any], level: str) -> bytes:
    """Build one line of the log as JSON, with its level and its time."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    now = f"{_format_second(seconds)}.{nanoseconds // 1000:06}Z"
    line = {**fields, **common_fields, "level": level, "timestamp": now}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


@lru_cache(maxsize=2)  # all lines of a second have the same
def _format_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class LogQueue:
    """A queue that is written to as a binary file is."""

    def __init__(self, descriptor: int, *, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._queued_bytes = 0  # with those that are being written
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def write(self, text: bytes) -> int:
        """Queue whole lines; never waits."""
        with self._changed:
            if self._queued_bytes + len(text) > self._max_bytes:
                lines = text.count(b"\n")
                self._dropped += lines
                metrics.log_lines_dropped_total.inc(lines)
                return len(text)
            self._pieces.append(text)
            self._queued_bytes += len(text)
            self._start_thread()
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Return at once: the thread writes as fast as the log is read."""

    def drain(self, seconds: float = _EXIT_SECONDS) -> None:
        """Wait until all is written, for so long at most."""
        give_up_at = time.monotonic() + seconds
        with self._changed:
            while self._queued_bytes and time.monotonic() < give_up_at:
                self._changed.wait(give_up_at - time.monotonic())

    def _start_thread(self) -> None:
        if self._thread is None:
            # a daemon: a stalled reader must not keep the process from ending either
            self._thread = threading.Thread(target=self._run, name="log-queue", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            text = self._next()
            try:
                self._write_all(text)
            except OSError:  # nobody reads any more
                metrics.log_lines_dropped_total.inc(text.count(b"\n"))
            with self._changed:
                self._queued_bytes -= len(text)
                self._changed.notify_all()

    def _next(self) -> bytes:
        with self._changed:
            while not self._pieces:
                self._changed.wait()
            pieces, self._pieces = self._pieces, []
            if self._dropped:
                note = build_line({"event": "log_lines_dropped", "lines": self._dropped}, "warning")
                pieces.append(note)
                self._queued_bytes += len(note)
                self._dropped = 0
            return b"".join(pieces)

    def _write_all(self, text: bytes) -> None:
        """Write all; of a log that others write to as well, whole lines at a time."""
        pieces = _split_lines(text, _ATOMIC_BYTES) if common_fields else [text]
        for piece in pieces:
            self._write_piece(piece)

    def _write_piece(self, text: bytes) -> None:
        remaining = memoryview(text)
        while remaining:
            remaining = remaining[os.write(self._descriptor, remaining) :]


def _split_lines(text: bytes, size: int) -> Iterator[bytes]:
    """Yield whole lines, as many as fit into the size; a longer one by itself."""
    start = 0
    while start < len(text):
        end = text.rfind(b"\n", start, start + size) + 1 or text.find(b"\n", start) + 1
        yield text[start : end or len(text)]
        start = end or len(text)


class QueueLogger:
    """What structlog writes rendered events to; the methods of all levels are the same."""

    def __init__(self, queue: LogQueue) -> None:
        self._queue = queue

    def msg(self, event: str | bytes) -> None:
        """Queue one event as a line."""
        line = event.encode(errors="replace") if isinstance(event, str) else event
        self._queue.write(line + b"\n")

    debug = info = warning = error = critical = exception = msg


@cache
def standard_error() -> LogQueue:
    """The process's one queue before standard error; its last lines are written at exit."""
    queue = LogQueue(_STANDARD_ERROR)
    atexit.register(queue.drain)
    return queue
