"""Cancellations that were lost on the way.

On Python 3.11 `asyncio.wait_for`, which both drivers use, may swallow one that arrives as its own
wait ends: whoever waits next would wait for good.
"""

from __future__ import annotations

import asyncio


def raise_if_cancelled() -> None:
    """Called before a wait without an end of its own.

    Raises:
        CancelledError: this task was to end already.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
