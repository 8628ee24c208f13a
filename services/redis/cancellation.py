"""Detection of swallowed cancellations.

On Python 3.11 `asyncio.wait_for`, which both drivers use, may swallow a cancellation that arrives
as its own wait ends; the task's next wait would then never end.
"""

from __future__ import annotations

import asyncio


def raise_if_cancelled() -> None:
    """Raise if the current task was cancelled; call it before a wait without a deadline.

    Raises:
        CancelledError: the task's cancellation was swallowed earlier.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
