"""Thresholds, states and status types of circuit breakers. No call is made here.

A failure is a timeout, a broken connection, a 5xx, a 429 or an unreadable answer. Slow calls are
counted separately; in the half-open state a slow call is a failure, since it proves no recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import msgspec

from services.settings.settings import Settings

BUCKETS = 12  # of the window; the oldest is dropped as a whole


class BreakerState(Enum):
    """State of a circuit breaker: CLOSED lets calls through, HALF_OPEN a few probes."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class CallOutcome(Enum):
    """Outcome of a call for the breaker; ABANDONED: the caller gave up, so it proves nothing."""

    OK = "OK"
    FAILED = "FAILED"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """Thresholds of a breaker; a probe that never ends frees its permit after `permit_seconds`."""

    minimum_calls: int = 20
    failure_percent: int = 50
    slow_percent: int = 50
    window_seconds: float = 60
    open_seconds: float = 60
    probes: int = 3
    successes: int = 3
    permit_seconds: float = 10

    @classmethod
    def of(cls, settings: Settings) -> BreakerRules:
        """Build the rules from the settings BREAKER_*."""
        return cls(
            minimum_calls=settings.breaker_minimum_calls,
            failure_percent=settings.breaker_failure_percent,
            slow_percent=settings.breaker_slow_percent,
            window_seconds=settings.breaker_window_seconds,
            open_seconds=settings.breaker_open_seconds,
        )

    @property
    def bucket_ms(self) -> int:
        """Length of one bucket of the window."""
        return max(1, int(self.window_seconds * 1000 / BUCKETS))

    @property
    def open_ms(self) -> int:
        """`open_seconds` in ms."""
        return int(self.open_seconds * 1000)

    @property
    def permit_ms(self) -> int:
        """`permit_seconds` in ms."""
        return int(self.permit_seconds * 1000)

    def should_open(self, calls: int, failures: int, slow: int) -> bool:
        """Whether the counts of one window reach a threshold, with enough calls to judge."""
        return calls >= self.minimum_calls and (
            failures * 100 >= self.failure_percent * calls
            or slow * 100 >= self.slow_percent * calls
        )


class BreakerStatus(msgspec.Struct):
    """Status of a breaker as the script returns it, in JSON; times in ms, 0 for none."""

    name: str
    state: BreakerState = BreakerState.CLOSED
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0
    opened_ms: int = 0
    retry_ms: int = 0
    backoff_until_ms: int = msgspec.field(default=0, name="rest_ms")
    forced: bool = False
    reason: str | None = None
    by: str | None = None
    granted: bool = False
    changed: bool = False


decode_status = msgspec.json.Decoder(BreakerStatus).decode


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """Status of a breaker over all processes; while Redis is away, in this one.

    `retry_at` is when calls are let through again; `reason` and `by` belong to a forced state.
    """

    name: str
    state: BreakerState
    calls: int = 0
    failures: int = 0
    slow_calls: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    forced: bool = False
    reason: str | None = None
    by: str | None = None

    @property
    def id(self) -> str:
        """Stable id, built from the name."""
        return f"breaker_{self.name}"

    @property
    def failure_rate(self) -> float:
        """Failed calls divided by all calls, 0 to 1."""
        return self.failures / self.calls if self.calls else 0.0

    @classmethod
    def of(cls, status: BreakerStatus, now_ms: int) -> BreakerSnapshot:
        """Convert a status; `now_ms` decides whether a requested pause still counts."""
        retry_ms = status.retry_ms if status.state is BreakerState.OPEN else 0
        if status.backoff_until_ms > now_ms:
            retry_ms = max(retry_ms, status.backoff_until_ms)
        return cls(
            status.name,
            status.state,
            status.calls,
            status.failures,
            status.slow_calls,
            _to_datetime(status.opened_ms),
            _to_datetime(retry_ms),
            status.forced,
            status.reason,
            status.by,
        )


def _to_datetime(ms: int) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None
