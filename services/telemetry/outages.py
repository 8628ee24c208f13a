"""Log lines of an outage: one as it begins, one a minute while it lasts, one as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_REPEAT_SECONDS = 60.0


class OutageLog:
    """Lines of one outage at a time: `<event>_unavailable` and `<event>_recovered`."""

    def __init__(self, log: Any, event: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._event = event
        self._clock = clock
        self._logged_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether an outage was logged whose end was not."""
        return self._logged_at is not None

    def record_failure(self, **fields: Any) -> None:
        """Log a failure as a warning, unless one was logged within the last minute."""
        now = self._clock()
        if self._logged_at is None or now - self._logged_at >= _REPEAT_SECONDS:
            self._logged_at = now
            self._log.warning(f"{self._event}_unavailable", **fields)

    def record_recovery(self, **fields: Any) -> None:
        """Log the end of the outage, if there was one."""
        if self._logged_at is not None:
            self._logged_at = None
            self._log.info(f"{self._event}_recovered", **fields)
