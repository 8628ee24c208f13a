"""Availability of MongoDB: after a failure calls are refused at once until a ping is answered.

Without it each level of a query waits out the driver's time-outs for copies that lie in memory. A
slow command closes the guard for the milliseconds of one ping; a set that has lost its primary
stays open, for its secondaries answer the ping.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)

from services.errors import UpstreamUnavailable
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import OutageLog

_PROBE_PAUSE_SECONDS = 0.25
_UNKNOWN_SECONDS = 0.1  # a single lost connection makes the driver look again within milliseconds
_REPEAT_SECONDS = 60.0
_SILENT = "The database did not answer in time."
_REFUSED = "The database refused the operation."

log = get_logger("database")


class DatabaseGuard:
    """Guard of one client.

    Args:
        ping: asks any server of the set.
        knows_servers: whether the driver's monitors see a server at the moment.
    """

    def __init__(
        self, ping: Callable[[], Awaitable[object]], knows_servers: Callable[[], bool]
    ) -> None:
        self._ping = ping
        self._knows_servers = knows_servers
        self._probe: asyncio.Task[None] | None = None
        self._unknown_since: float | None = None
        self._outage = OutageLog(log, "database")

    def check(self) -> None:
        """Refuse a call at once while the database is away.

        Raises:
            UpstreamUnavailable: it did not answer, or no server of it is seen.
        """
        if self._probe is None and self._knows_servers():
            self._unknown_since = None
            return
        if self._probe is None:
            now = time.monotonic()
            self._unknown_since = self._unknown_since or now
            if now - self._unknown_since < _UNKNOWN_SECONDS:
                return
            self.record_failure("no server is seen")
        raise UpstreamUnavailable(_SILENT, retry_after_seconds=1)

    def record_failure(self, reason: str) -> None:
        """Refuse calls from now on, until a ping is answered."""
        if self._probe is None:
            self._probe = asyncio.create_task(
                self._probe_until_answered(reason), name="mongo probe"
            )

    async def aclose(self) -> None:
        """End the probe."""
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()
            await asyncio.wait([probe])

    async def _probe_until_answered(self, reason: str) -> None:
        while True:
            try:
                await self._ping()
                break
            except OperationFailure:
                break  # it refuses, but it answers
            except Exception as error:  # whatever it was, the next ping may be answered
                self._outage.record_failure(reason=reason, error=type(error).__name__)
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)
        self._probe, self._unknown_since = None, None
        self._outage.record_recovery()


_guard: DatabaseGuard | None = None
_refusals_logged_at: dict[int | None, float] = {}  # by code; MongoDB has a few hundred


@contextmanager
def guard_database(guard: DatabaseGuard) -> Iterator[None]:
    """Let this guard decide for the process's one database."""
    global _guard
    before, _guard = _guard, guard
    try:
        yield
    finally:
        _guard = before


def check_database() -> None:
    """Refuse a call at once while the database is away.

    Raises:
        UpstreamUnavailable: it is.
    """
    if _guard is not None:
        _guard.check()


def translate_error(error: PyMongoError, passing_codes: frozenset[int]) -> UpstreamUnavailable:
    """Count a failure and build the error for its caller; says whether MongoDB refused."""
    metrics.database_errors_total.inc()
    if isinstance(error, OperationFailure) and error.code not in passing_codes:
        _log_refusal(error)
        return UpstreamUnavailable(_REFUSED)
    is_lost = isinstance(error, ConnectionFailure) or error.timeout
    if is_lost and not isinstance(error, WaitQueueTimeoutError) and _guard is not None:
        _guard.record_failure(type(error).__name__)
    return UpstreamUnavailable(_SILENT)


def _log_refusal(error: OperationFailure) -> None:
    """Log the code and its name, once a minute; the text may hold what a user sent."""
    now = time.monotonic()
    if now - _refusals_logged_at.get(error.code, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
        return
    _refusals_logged_at[error.code] = now
    name = (error.details or {}).get("codeName", type(error).__name__)
    log.error("database_refused", code=error.code, name=name)
