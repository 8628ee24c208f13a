"""For how long the calling thread has computed, or would have, had the machine let it."""

from __future__ import annotations

import time
from pathlib import Path

_SCHEDULER = Path("/proc/thread-self/schedstat")  # ns run, ns waiting to run, turns
_NANOSECONDS = 1_000_000_000


def read_runnable_seconds() -> float:
    """Return the thread's seconds of computing and of waiting for a processor.

    Where the system does not tell the latter (elsewhere than on Linux), of computing alone.

    Source: Linux's Documentation/scheduler/sched-stats.rst.
    """
    try:
        ran, waited, _ = _SCHEDULER.read_text().split()
    except (OSError, ValueError):
        return time.thread_time()
    return (int(ran) + int(waited)) / _NANOSECONDS
