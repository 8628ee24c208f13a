"""Retries of failed calls, and the pause that a service asks for in Retry-After.

The caller's deadline is `asyncio.timeout` around the whole: it ends a call and a wait alike.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import stamina

T = TypeVar("T")

# Each service counts and logs its own requests; the library would add a metric and a log line.
stamina.instrumentation.set_on_retry_hooks(())


async def retry(
    call: Callable[[], Awaitable[T]],
    on: type[Exception],
    *,
    attempts: int,
    first_wait_seconds: float = 0.0,
) -> T:
    """Call until it does not raise `on`, `attempts` times at most.

    Args:
        first_wait_seconds: the shortest first wait; each next one is twice as long. Up to twice of
            the first comes on top by chance: callers that failed together do not come back so.

    Raises:
        Exception: what the last attempt raised, or any one that is no `on`.
    """
    caller = stamina.AsyncRetryingCaller(
        attempts=attempts,
        timeout=None,
        wait_initial=first_wait_seconds,
        wait_jitter=2 * first_wait_seconds,
    )
    return await caller(on, call)


def parse_retry_after(text: str | None) -> float | None:
    """Parse a Retry-After header (RFC 9110, 10.2.3): its seconds, or those until its date.

    Returns:
        0 for a date that has passed; None if there is no header or it makes no sense.
    """
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        # "-0000" is a date without a zone (RFC 5322, 3.3), and as good as GMT
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds.total_seconds())
