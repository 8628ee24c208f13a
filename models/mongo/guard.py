"""Availability of MongoDB: after a failure calls fail at once until a ping is answered.

Without it each level of a query waits out the driver's time-outs for copies that lie in memory. A
slow command closes the guard for the milliseconds of one ping; a set that has lost its primary
stays open, for its secondaries answer the ping.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)

from models.mongo.refusals import Refusal, describe_refusal
from services.errors import UpstreamUnavailable
from services.supervision import SupervisedTask
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import StoreOutageLog

_PROBE_PAUSE_SECONDS = 0.25
_UNKNOWN_SECONDS = 0.1  # a single lost connection makes the driver look again within milliseconds
_LOOK_SECONDS = 0.05  # while calls are under way
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
        self._is_away = asyncio.Event()
        self._reason = ""
        self._unknown_since: float | None = None
        self._waiting: set[asyncio.Task[Any]] = set()
        self._look: asyncio.TimerHandle | None = None
        self._outage = StoreOutageLog(log, "database")
        self._probe = SupervisedTask("database probe", self._probe_whenever_away)
        self._refusal: Refusal | None = None
        self._refusals_logged_at: dict[int | None, float] = {}  # MongoDB has a few hundred codes

    def check(self) -> None:
        """Refuse a call at once while the database is away.

        Raises:
            UpstreamUnavailable: it did not answer, or no server of it is seen.
        """
        if not self._is_away.is_set() and self._knows_servers():
            self._unknown_since = None
            return
        if not self._is_away.is_set():
            now = time.monotonic()
            self._unknown_since = self._unknown_since or now
            if now - self._unknown_since < _UNKNOWN_SECONDS:
                return
            self.record_failure("no server is seen")
        raise UpstreamUnavailable(_SILENT, retry_after_seconds=1)

    @contextmanager
    def watch_call(self) -> Iterator[None]:
        """End the call of the block, too, when no server is seen any more.

        The driver would look for one until the call's deadline.

        Raises:
            UpstreamUnavailable: no server is seen.
        """
        task = asyncio.current_task()
        if task is None or task in self._waiting:
            yield
            return
        self._waiting.add(task)
        self._look = self._look or self._look_later()
        try:
            yield
        except BaseException as error:
            is_ended_here = task not in self._waiting and not task.uncancel()
            if is_ended_here and isinstance(error, asyncio.CancelledError):
                raise UpstreamUnavailable(_SILENT, retry_after_seconds=1) from None
            raise
        else:
            if task not in self._waiting:
                task.uncancel()  # it was answered all the same
        finally:
            self._waiting.discard(task)

    def _look_later(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_for_servers)

    def _look_for_servers(self) -> None:
        """Look while calls are under way, and cancel them when all servers are gone."""
        self._look = self._look_later() if self._waiting else None
        with suppress(UpstreamUnavailable):
            self.check()
            return
        if self._knows_servers():  # they are silent, or slow: each call has its own deadline
            return
        waiting, self._waiting = self._waiting, set()
        for task in waiting:
            task.cancel()

    def record_failure(self, reason: str) -> None:
        """Refuse calls from now on, until a ping is answered."""
        if not self._is_away.is_set():
            self._reason = reason
            self._is_away.set()
            self._outage.open()
            self._probe.start()

    def record_refusal(self, error: OperationFailure) -> None:
        """Note why MongoDB refused, and log that once a minute per code."""
        refusal = self._refusal = describe_refusal(error)
        logged_at = self._refusals_logged_at.get(refusal.code)
        if logged_at is None or refusal.at - logged_at >= _REPEAT_SECONDS:
            self._refusals_logged_at[refusal.code] = refusal.at
            log.error("database_refused", code=refusal.code, name=refusal.name, why=refusal.why)

    def latest_refusal(self) -> Refusal | None:
        """The last refusal, of the last minute; None: there was none."""
        refusal = self._refusal
        if refusal is None or time.monotonic() - refusal.at >= _REPEAT_SECONDS:
            return None
        return refusal

    async def aclose(self) -> None:
        """End the probe."""
        if self._look is not None:
            self._look.cancel()
        self._outage.close()
        await self._probe.aclose()

    async def _probe_whenever_away(self) -> None:
        while True:
            await self._is_away.wait()
            await self._probe_until_answered()
            self._probe.record_success()

    async def _probe_until_answered(self) -> None:
        while True:
            if await self._is_answered():
                break
            await asyncio.sleep(_PROBE_PAUSE_SECONDS)
        self._is_away.clear()
        self._unknown_since = None
        self._outage.record_recovery()

    async def _is_answered(self) -> bool:
        try:
            await self._ping()
        except OperationFailure:
            return True  # it refuses, but it answers
        except Exception as error:  # whatever it was, the next ping may be answered
            self._outage.record_failure(reason=self._reason, error=type(error).__name__)
            return False
        return True


_guard: DatabaseGuard | None = None


@contextmanager
def guard_database(guard: DatabaseGuard) -> Iterator[None]:
    """Let this guard decide for the process's one database."""
    global _guard
    before, _guard = _guard, guard
    try:
        yield
    finally:
        _guard = before


def guard_call() -> AbstractContextManager[None]:
    """Guard the call of a block: it is refused or ended at once while the database is away.

    Raises:
        UpstreamUnavailable: it is.
    """
    if _guard is None:
        return nullcontext()
    _guard.check()
    return _guard.watch_call()


def latest_refusal() -> Refusal | None:
    """Why MongoDB refused an operation within the last minute; None: it did not."""
    return _guard.latest_refusal() if _guard is not None else None


def translate_error(error: PyMongoError, passing_codes: frozenset[int]) -> UpstreamUnavailable:
    """Count a failure and build the error for its caller; says whether MongoDB refused."""
    metrics.database_errors_total.inc()
    if isinstance(error, OperationFailure):
        if error.code in passing_codes or error.timeout:
            return UpstreamUnavailable(_SILENT)  # it answers, so nobody else is kept from it
        if _guard is not None:
            _guard.record_refusal(error)
        return UpstreamUnavailable(_REFUSED)
    is_lost = isinstance(error, ConnectionFailure) or error.timeout
    if is_lost and not isinstance(error, WaitQueueTimeoutError) and _guard is not None:
        _guard.record_failure(type(error).__name__)
    return UpstreamUnavailable(_SILENT)


def record_refusal(error: OperationFailure) -> None:
    """Note for operators why MongoDB refused, where a caller words its own error."""
    if _guard is not None:
        _guard.record_refusal(error)
