"""When a circuit breaker opens and closes, and how one stands. No call is made here.

A failure is a timeout, a broken connection, a 5xx, a 429, an answer nobody can read. A slow call
counts beside that; in the half-open state it is a failure: it proves no recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import msgspec

from services.settings.settings import Settings

BUCKETS = 12  # parts of the window; the oldest leaves it whole


class BreakerState(Enum):
    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class CallOutcome(Enum):
    """What a finished call says about the service; LEFT: nothing, we went away ourselves."""

    OK = "OK"
    FAILED = "FAILED"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """A permit for a probe that nobody gives back is free again after `permit_seconds`."""

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
        return cls(
            minimum_calls=settings.breaker_minimum_calls,
            failure_percent=settings.breaker_failure_percent,
            slow_percent=settings.breaker_slow_percent,
            window_seconds=settings.breaker_window_seconds,
            open_seconds=settings.breaker_open_seconds,
        )

    @property
    def bucket_ms(self) -> int:
        return max(1, int(self.window_seconds * 1000 / BUCKETS))

    @property
    def open_ms(self) -> int:
        return int(self.open_seconds * 1000)

    @property
    def permit_ms(self) -> int:
        return int(self.permit_seconds * 1000)

    def should_open(self, calls: int, failures: int, slow: int) -> bool:
        return calls >= self.minimum_calls and (
            failures * 100 >= self.failure_percent * calls
            or slow * 100 >= self.slow_percent * calls
        )


class BreakerStatus(msgspec.Struct):
    """How a breaker stands, as the script tells it; times in ms, 0 for none."""

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
    """How a breaker stands over all processes; while Redis is away, in this one.

    `retry_at` is when calls are let through again; `reason` and `by` are of who forced it.
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
        return f"breaker_{self.name}"

    @property
    def failure_rate(self) -> float:
        """0 to 1."""
        return self.failures / self.calls if self.calls else 0.0

    @classmethod
    def of(cls, status: BreakerStatus, now_ms: int) -> BreakerSnapshot:
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
