"""Circuit breakers by name, shared by all processes through Redis.

Each process counts its own calls. It exchanges them for the fleet's status at its next refresh, or
within 200 ms of a bad call. While Redis is away, the process's own calls decide; no call fails
because of that. Processes' clocks are assumed to agree within a second or two.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from services.breaker.local_state import CallWindow, LocalBreaker
from services.breaker.rules import (
    BreakerRules,
    BreakerSnapshot,
    BreakerState,
    BreakerStatus,
    CallOutcome,
    decode_status,
)
from services.breaker.shared_state import SharedState
from services.errors import UpstreamUnavailable, ValidationFailed
from services.redis.link import RedisLink
from services.telemetry import metrics
from services.telemetry.logs import get_logger

__all__ = [
    "BreakerChangeReducer",
    "BreakerRules",
    "BreakerSnapshot",
    "BreakerState",
    "CallOutcome",
    "CircuitBreaker",
    "CircuitBreakers",
    "Permit",
]  # fmt: skip

log = get_logger("breakers")

_FRESH_MS = 200  # how long a status from Redis is used without asking again
_FLUSH_SECONDS = 0.2
_WAIT_SECONDS = 0.25  # for Redis, before a call is decided by the local state
_MAX_ENDED = 32
_STATE_NUMBERS = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one call; `probe` is its id when a half-open breaker granted it."""

    probe: str | None = None


_FREE = Permit()


class BreakerChangeReducer:
    """Reducer of the stream of changes; each message is its own generation (redis/hub.py)."""

    def __init__(self) -> None:
        self._generation = 0

    def __call__(self, body: bytes, at_ms: int) -> tuple[int, BreakerSnapshot] | None:
        try:
            status = decode_status(body)
        except msgspec.DecodeError:
            return None
        self._generation += 1
        return self._generation, BreakerSnapshot.of(status, 0)


class CircuitBreaker:
    """The breaker of one name. Each permit that `admit` returns is followed by one `record`."""

    def __init__(self, name: str, slow_seconds: float, shared: SharedState) -> None:
        self.name = name
        self._slow_seconds = slow_seconds
        self._shared = shared
        self._local = LocalBreaker(name, shared.rules)
        self._pending = CallWindow(shared.rules.bucket_ms)
        self._ended: list[tuple[str, str]] = []
        self._backoff_until_ms = 0
        self._read_ms: int | None = None
        self._reader: asyncio.Task[None] | None = None
        self._flusher: asyncio.Task[None] | None = None

    @property
    def is_backing_off(self) -> bool:
        """Whether the service asked for a pause (Retry-After) that has not passed yet."""
        return (
            max(self._backoff_until_ms, self._local.status.backoff_until_ms) > self._shared.now_ms()
        )

    async def admit(self) -> Permit | None:
        """Decide about one call.

        Returns:
            The permit, or None when the call must not be made.
        """
        await self.refresh_if_stale()
        now_ms, status = self._shared.now_ms(), self._local.status
        if self.is_backing_off:
            return None
        if status.state is BreakerState.CLOSED:
            return _FREE
        is_due = status.state is BreakerState.HALF_OPEN or now_ms >= status.retry_ms
        if status.forced or not is_due:
            return None
        permit = secrets.token_hex(8)
        if not await self._may_probe(permit):
            return None
        return Permit(permit) if self._local.state is BreakerState.HALF_OPEN else _FREE

    def record(self, permit: Permit, outcome: CallOutcome, seconds: float = 0.0) -> None:
        """Count one finished call.

        Args:
            permit: what `admit` returned for it.
            seconds: its duration; from `slow_seconds` on it counts as slow.
        """
        is_slow = seconds >= self._slow_seconds
        is_bad = outcome is CallOutcome.FAILED or is_slow
        now_ms = self._shared.now_ms()
        if outcome is not CallOutcome.ABANDONED:
            self._pending.add(now_ms, outcome is CallOutcome.FAILED, is_slow)
        elif permit.probe is None:
            return
        if permit.probe is not None:
            probe_outcome = (
                CallOutcome.FAILED if is_bad and outcome is not CallOutcome.ABANDONED else outcome
            )
            self._ended = [*self._ended, (permit.probe, probe_outcome.value)][-_MAX_ENDED:]
        if not self._shared.is_up:
            self._decide_locally(now_ms)
        if permit.probe is not None:
            self._flush_now()
        elif is_bad:
            self._flush_soon()

    def back_off(self, seconds: float) -> None:
        """Refuse calls for `seconds`, in every process, because the service asked for it."""
        self._backoff_until_ms = max(
            self._backoff_until_ms, self._shared.now_ms() + math.ceil(seconds * 1000)
        )
        self._flush_soon()

    async def refresh_if_stale(self) -> None:
        """Refresh the status unless it is at most 200 ms old; waits for Redis at most 250 ms."""
        is_fresh = (
            self._read_ms is not None and abs(self._shared.now_ms() - self._read_ms) < _FRESH_MS
        )
        if not is_fresh:
            await self.refresh()

    async def refresh(self) -> None:
        """Send pending counts and fetch the fleet's status; concurrent callers share one call."""
        if not self._shared.allows_calls():
            self._decide_locally(self._shared.now_ms())
            return
        if self._reader is None or self._reader.done():
            self._reader = self._shared.start(self._exchange())
        await asyncio.wait({self._reader}, timeout=_WAIT_SECONDS)  # it goes on without us

    async def force(self, state: BreakerState | None, reason: str, by: str) -> None:
        """Force the state in all processes; None lifts an earlier override.

        Raises:
            UpstreamUnavailable: Redis is away; nothing may have changed.
        """
        override = {"state": state.value if state else "", "reason": reason, "by": by}
        self._apply_remote(await self._shared.step(self.name, force=override))

    def snapshot(self) -> BreakerSnapshot:
        """Return the status as last fetched, or of this process alone while Redis is away."""
        status = self._local.status if self._shared.is_up else self._get_local_status()
        return BreakerSnapshot.of(status, self._shared.now_ms())

    async def _may_probe(self, permit: str) -> bool:
        if self._shared.allows_calls():
            try:
                status = await self._shared.step(self.name, ask=permit)
            except UpstreamUnavailable:
                pass
            else:
                self._apply_remote(status)
                return status.granted
        before = self._local.state
        granted = self._local.grant(self._shared.now_ms(), permit)
        self._announce_if_changed(before)
        return granted

    async def _exchange(self) -> None:
        counts, ended, self._ended = self._pending.drain(), self._ended, []
        counts_by_bucket = [[bucket, *seen] for bucket, seen in counts.items()]
        try:
            status = await self._shared.step(
                self.name,
                counts=counts_by_bucket,
                ended=ended,
                backoff_until_ms=self._backoff_until_ms,
            )
        except UpstreamUnavailable:
            # The script may have run: then these count twice, which changes no rate.
            for bucket, seen in counts.items():
                self._pending.add_counts(bucket, seen)
            self._ended = [*ended, *self._ended][-_MAX_ENDED:]
            self._decide_locally(self._shared.now_ms())
        else:
            self._apply_remote(status)

    def _apply_remote(self, status: BreakerStatus) -> None:
        self._local.apply_remote(status)
        self._read_ms = self._shared.now_ms()
        metrics.breaker_state.labels(self.name).set(_STATE_NUMBERS[status.state])
        if status.changed:  # by our step, so only this process of the fleet counts and logs it
            self._announce(is_shared=True)

    def _decide_locally(self, now_ms: int) -> None:
        """Decide by the calls that were not sent to Redis: those since it is away."""
        before = self._local.state
        for permit, outcome in self._ended:
            self._local.end_probe(now_ms, permit, CallOutcome(outcome))
        if before is not BreakerState.CLOSED and self._local.state is BreakerState.CLOSED:
            self._pending.drain()
        self._local.judge(now_ms, self._pending.get_totals(now_ms))
        self._announce_if_changed(before)

    def _get_local_status(self) -> BreakerStatus:
        calls, failures, slow = self._pending.get_totals(self._shared.now_ms())
        return msgspec.structs.replace(
            self._local.status, calls=calls, failures=failures, slow_calls=slow
        )

    def _announce_if_changed(self, before: BreakerState) -> None:
        if self._local.state is not before:
            self._announce(is_shared=False)

    def _announce(self, *, is_shared: bool) -> None:
        status = self._local.status if is_shared else self._get_local_status()
        metrics.breaker_state.labels(self.name).set(_STATE_NUMBERS[status.state])
        metrics.breaker_transitions_total.labels(self.name, status.state.value).inc()
        log.warning(
            "breaker_changed",
            breaker=self.name,
            state=status.state.value,
            calls=status.calls,
            failures=status.failures,
            slow_calls=status.slow_calls,
            forced=status.forced,
            reason=status.reason,
            by=status.by,
            shared=is_shared,
        )

    def _flush_now(self) -> None:
        if self._shared.allows_calls():
            self._shared.start(self._exchange())

    def _flush_soon(self) -> None:
        if self._shared.allows_calls() and (self._flusher is None or self._flusher.done()):
            self._flusher = self._shared.start(self._flush_later())

    async def _flush_later(self) -> None:
        await asyncio.sleep(_FLUSH_SECONDS)
        await self._exchange()


class CircuitBreakers:
    """All breakers of a process, by name; without `redis` they are not shared."""

    def __init__(
        self,
        redis: RedisLink | None = None,
        rules: BreakerRules | None = None,
        *,
        prefix: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shared = SharedState(redis, rules or BreakerRules(), prefix, clock)
        self._breakers: dict[str, CircuitBreaker] = {}

    def of(self, name: str, *, slow_seconds: float = math.inf) -> CircuitBreaker:
        """Return the one breaker of this name; the first caller sets its `slow_seconds`."""
        breaker = self._breakers.get(name)
        if breaker is None:
            breaker = self._breakers[name] = CircuitBreaker(name, slow_seconds, self._shared)
        return breaker

    async def snapshot(self, name: str) -> BreakerSnapshot | None:
        """Refresh one breaker and return its status; None where there is no such breaker."""
        breaker = self._breakers.get(name)
        if breaker is None:
            return None
        await breaker.refresh()
        return breaker.snapshot()

    async def snapshots(self) -> list[BreakerSnapshot]:
        """Refresh all breakers in one round trip and return them ordered by name."""
        breakers = [self._breakers[name] for name in sorted(self._breakers)]
        await asyncio.gather(*(one.refresh() for one in breakers))
        return [one.snapshot() for one in breakers]

    async def force(
        self, name: str, state: BreakerState | None, *, reason: str, by: str
    ) -> BreakerSnapshot | None:
        """Force a breaker OPEN or CLOSED until it is lifted with None.

        A lifted breaker starts CLOSED with no calls counted.

        Returns:
            The new status, or None where there is no such breaker.

        Raises:
            ValidationFailed: `state` is HALF_OPEN.
            UpstreamUnavailable: Redis is away; nothing may have changed.
        """
        if state is BreakerState.HALF_OPEN:
            raise ValidationFailed("A breaker can be held OPEN or CLOSED.", path=["state"])
        breaker = self._breakers.get(name)
        if breaker is None:
            return None
        await breaker.force(state, reason, by)
        return breaker.snapshot()

    async def aclose(self) -> None:
        """Cancel the running exchanges with Redis."""
        await self._shared.aclose()
