"""Log lines of an outage: one as it begins, one a minute while it lasts, one as it ends.

Much fails because of one store that is away. Its own log tells of that; what fails meanwhile is its
consequence and says nothing, whichever of them is noticed first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import Enum
from typing import Any
from weakref import WeakSet

_REPEAT_SECONDS = 60.0
_GRACE_SECONDS = 2.0  # within which the store's own log notices what ended a connection
_NEVER = -math.inf


class Cause(Enum):
    """What a failure may come from, which decides whether a store's outage accounts for it."""

    UPSTREAM = "a service that did not answer"
    CONNECTION = "a connection that ended: the service may be away, and nobody has noticed yet"
    FAULT = "nothing outside"


class OutageLog:
    """Lines of one outage at a time: `<event>_unavailable` and `<event>_recovered`."""

    def __init__(self, log: Any, event: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._event = event
        self._clock = clock
        self._failing_since: float | None = None
        self._logged_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it failed, and has not recovered since."""
        return self._failing_since is not None

    def record_failure(self, *, cause: Cause = Cause.UPSTREAM, **fields: Any) -> None:
        """Log a failure as a warning, unless one was logged within the last minute."""
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        if cause is not Cause.FAULT and self._is_consequence():
            self._failing_since = now  # what is left of it afterwards begins there
            return
        if cause is Cause.CONNECTION and now - self._failing_since < _GRACE_SECONDS:
            return
        if self._logged_at is None or now - self._logged_at >= _REPEAT_SECONDS:
            self._logged_at = now
            self._log.warning(f"{self._event}_unavailable", **fields)

    def _is_consequence(self) -> bool:
        """Whether a store is away, or came back so lately that the failure is older than that."""
        return is_store_away() or 0 <= self._clock() - _recoveries[-1] < _GRACE_SECONDS

    def record_recovery(self, **fields: Any) -> None:
        """Log the end of the outage, if its beginning was."""
        self._failing_since = None
        if self._logged_at is not None:
            self._logged_at = None
            self._log.info(f"{self._event}_recovered", **fields)


class StoreOutageLog(OutageLog):
    """Lines of a store's outage, while which others are silent."""

    def open(self) -> None:
        """Note that the store is away, before the first line."""
        _away.add(self)

    def record_failure(self, *, cause: Cause = Cause.UPSTREAM, **fields: Any) -> None:
        """Log a failure of the store; see `OutageLog`."""
        _away.add(self)
        super().record_failure(cause=cause, **fields)

    def _is_consequence(self) -> bool:
        return False

    def record_recovery(self, **fields: Any) -> None:
        """Log the end of the store's outage, if its beginning was."""
        if self in _away:
            _away.discard(self)
            _recoveries[-1] = self._clock()
        super().record_recovery(**fields)

    def close(self) -> None:
        """Forget the outage: the process does not use the store any more."""
        _away.discard(self)
        _recoveries[-1] = _NEVER


_away: WeakSet[OutageLog] = WeakSet()
_recoveries = [_NEVER]  # when a store came back last


def is_store_away() -> bool:
    """Whether the outage of a store is under way, so that failures are its consequences."""
    return bool(_away)
