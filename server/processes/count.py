"""How many processes serve: a number, or one for each core that this one may use."""

from __future__ import annotations

import os
from contextlib import suppress
from math import ceil
from pathlib import Path

from services.settings.process import MAX_PROCESSES

AUTO = "auto"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds in a period


def parse_processes(text: str) -> int:
    """Return the number; 0 and `auto` mean one for each core.

    Raises:
        ValueError: it is no such number.
    """
    word = text.strip().lower()
    number = 0 if word == AUTO else int(word) if word.isascii() and word.isdigit() else -1
    if not 0 <= number <= MAX_PROCESSES:
        raise ValueError(f"{text!r} is neither `auto` nor a number from 0 to {MAX_PROCESSES}.")
    return number


def count_processes(number: int) -> int:
    """Return the number, or for 0 the cores that this process may use, at least one."""
    return number or max(1, min(count_cores(), MAX_PROCESSES))


def count_cores(quota: Path = _QUOTA) -> int:
    """Count the cores, by affinity and by the container's quota, which is rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):
        share, period = quota.read_text().split()
        return min(cores or 1, max(1, ceil(int(share) / int(period))))
    return cores or 1
