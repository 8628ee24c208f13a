"""Unforeseen exceptions: which of them are faults of ours, and what clients see of those."""

from __future__ import annotations

import asyncio
from typing import Any

from services.errors import ErrorCode

MASKED_MESSAGE = "Something went wrong on our side."


def is_ending(error: BaseException) -> bool:
    """Whether the exception ends the task or the process, and so must go on.

    A CancelledError is a fault where nobody cancelled this task: then it came out of something that
    the task awaited. A group ends what one of its exceptions ends.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(is_ending(part) for part in error.exceptions)
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


def mask_fault(request_id: str) -> dict[str, Any]:
    """The GraphQL error that stands for a fault."""
    code = ErrorCode.INTERNAL_SERVER_ERROR.value
    return {
        "message": MASKED_MESSAGE,
        "extensions": {"code": code, "requestId": request_id},
    }
