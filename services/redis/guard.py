"""Availability of one Redis server, and the one translation of its failures.

All parts of a process that use a server share its guard, so the first failure stops the calls of
all for a moment: a second after a silence, 30 ms after a refusal. A new connection that
works ends the pause at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from redis.exceptions import (
    DataError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.errors import UpstreamUnavailable
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import StoreOutageLog

# All that a command can raise when Redis is away; `connection.py` turns the rest into these.
Failure = (RedisError, OSError, TimeoutError)
_SILENT = "Redis did not answer in time."
_REFUSED = "Redis refused the command."
_RETRY_AFTER_SECONDS = 1
_PAUSE_SECONDS = 1.0  # after a silence, which costs each caller its time-out
_REFUSED_PAUSE_SECONDS = 0.03  # after a refusal, which costs a fraction of a millisecond

log = get_logger("redis")


class Guard:
    """Memory of a server's failures: refuses calls for at most `pause_seconds` after one.

    A server that is full refuses writes but still reads, so it pauses the writes alone.

    Attributes:
        generation: grows with each failure; connections of an earlier one are opened anew before
            they are used, for the failure may have ended them too.
    """

    def __init__(
        self,
        name: str = "redis",
        pause_seconds: float = _PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.generation = 0
        self._pause = pause_seconds
        self._clock = clock
        self._closed_until = 0.0
        self._full_until = 0.0
        self._outage = StoreOutageLog(log, "redis")

    def allows_calls(self) -> bool:
        """Whether the server has not failed a moment ago."""
        return self._clock() >= self._closed_until

    def allows_writes(self) -> bool:
        """Whether calls are allowed, and none was refused for lack of memory a moment ago."""
        return self._clock() >= max(self._closed_until, self._full_until)

    def check(self) -> None:
        """Refuse a call at once while the server is away.

        Raises:
            UpstreamUnavailable: the server failed a moment ago.
        """
        if self._clock() < self._closed_until:
            metrics.redis_errors_total.inc()
            raise UpstreamUnavailable(_SILENT, retry_after_seconds=_RETRY_AFTER_SECONDS)

    def record_failure(self, error: BaseException) -> None:
        """Start the pause: the server cannot be reached, is silent or serves nobody."""
        self.generation += 1
        is_silent = isinstance(error, (RedisTimeoutError, TimeoutError))
        pause_seconds = self._pause if is_silent else min(self._pause, _REFUSED_PAUSE_SECONDS)
        self._closed_until = max(self._closed_until, self._clock() + pause_seconds)
        self._outage.record_failure(
            server=self.name, error=f"{type(error).__name__}: {error}"[:200]
        )

    def close(self) -> None:
        """Forget an outage: nobody uses the server any more."""
        self._outage.close()

    def record_lost_connection(self) -> None:
        """Distrust the other idle connections; whether the server is there, the next call shows."""
        self.generation += 1

    def record_connection(self) -> None:
        """End the pause: a new connection was opened and answered."""
        self._closed_until = 0.0
        self._outage.record_recovery(server=self.name)

    def translate(self, error: BaseException) -> UpstreamUnavailable:
        """Count a failed call and build the error for its caller; `error` is its cause."""
        metrics.redis_errors_total.inc()
        is_refusal = isinstance(error, ResponseError)
        if isinstance(error, (RedisTimeoutError, TimeoutError)):
            self.record_failure(error)
        elif isinstance(error, OutOfMemoryError) or _is_not_writing(error):
            self._full_until = self._clock() + self._pause
        # it was primary: another one may be by now
        elif isinstance(error, ReadOnlyError) or _has_script_code(error, "READONLY"):
            self.record_lost_connection()
        unavailable = UpstreamUnavailable(
            _REFUSED if is_refusal else _SILENT, retry_after_seconds=_RETRY_AFTER_SECONDS
        )
        unavailable.__cause__ = error
        return unavailable


class ErrorTranslation:
    """Context manager around commands: refuses them while Redis is away, translates failures.

    Faults of ours, such as an argument of a type that cannot be sent, pass unchanged.
    """

    __slots__ = ("_guard",)

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __enter__(self) -> None:
        self._guard.check()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and is_failure(error):
            raise self._guard.translate(error) from error


def is_failure(error: BaseException) -> bool:
    """Whether an error means that Redis failed or refused, and not that the call was wrong."""
    return isinstance(error, Failure) and not isinstance(error, DataError)


def _is_not_writing(error: BaseException) -> bool:
    """Whether Redis refuses writes because it is full or cannot save them to disk."""
    if isinstance(error, ResponseError) and str(error).startswith("MISCONF"):
        return True
    return _has_script_code(error, "OOM") or _has_script_code(error, "MISCONF")


def _has_script_code(error: BaseException, code: str) -> bool:
    """Whether a command of a script was refused so; before Redis 7 its error is in the text."""
    return isinstance(error, ResponseError) and f": -{code} " in str(error)
