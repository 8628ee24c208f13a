"""Circuit breakers by name, shared by all processes through Redis.

Each process counts for itself; with its next look at Redis, or within 200 ms of a bad call, it
tells and learns how the breaker stands. Redis away: its own calls decide. No call fails here.
Processes' clocks are taken to agree within a second or two.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from services.breaker.local_state import BreakerAlone, Window
from services.breaker.rules import (
    BreakerRules,
    BreakerSnapshot,
    BreakerState,
    Standing,
    Verdict,
    read_standing,
)
from services.breaker.shared_state import BreakerLink
from services.errors import UpstreamUnavailable, ValidationFailed
from services.redis.scripts import ScriptCalls
from services.telemetry import metrics
from services.telemetry.logs import get_logger

__all__ = [
    "BreakerRules", "BreakerSnapshot", "BreakerState", "Changed", "CircuitBreaker",
    "CircuitBreakers", "Permit", "Verdict",
]  # fmt: skip

log = get_logger("breakers")

_FRESH_MS = 200  # how long what Redis said is believed
_TELL_SECONDS = 0.2
_WAIT_SECONDS = 0.25  # for Redis, before a call goes on by what is known here
_MAX_ENDED = 32
_LEVEL = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


@dataclass(frozen=True, slots=True)
class Permit:
    """A call may be made; `probe` names it when it is one of the few of a half-open breaker."""

    probe: str | None = None


_FREE = Permit()


class Changed:
    """Changes from the stream, each one news of its own (services/redis/hub.py)."""

    def __init__(self) -> None:
        self._round = 0

    def __call__(self, body: bytes) -> tuple[int, BreakerSnapshot] | None:
        try:
            standing = read_standing(body)
        except msgspec.DecodeError:
            return None
        self._round += 1
        return self._round, BreakerSnapshot.of(standing, 0)


class CircuitBreaker:
    """One name's breaker. Each `admit` that gave a permit is followed by one `tell`."""

    def __init__(self, name: str, slow_seconds: float, link: BreakerLink) -> None:
        self.name = name
        self._slow_seconds = slow_seconds
        self._link = link
        self._alone = BreakerAlone(name, link.rules)
        self._untold = Window(link.rules.bucket_ms)
        self._ended: list[tuple[str, str]] = []
        self._rest_ms = 0
        self._read_ms: int | None = None
        self._reader: asyncio.Task[None] | None = None
        self._teller: asyncio.Task[None] | None = None

    @property
    def is_resting(self) -> bool:
        """The service asked to be left alone for a while."""
        return max(self._rest_ms, self._alone.standing.rest_ms) > self._link.now_ms()

    async def admit(self) -> Permit | None:
        """None: the call must not be made."""
        await self.look()
        now_ms, standing = self._link.now_ms(), self._alone.standing
        if self.is_resting:
            return None
        if standing.state is BreakerState.CLOSED:
            return _FREE
        is_due = standing.state is BreakerState.HALF_OPEN or now_ms >= standing.retry_ms
        if standing.forced or not is_due:
            return None
        permit = secrets.token_hex(8)
        if not await self._may_probe(permit):
            return None
        return Permit(permit) if self._alone.state is BreakerState.HALF_OPEN else _FREE

    def tell(self, permit: Permit, verdict: Verdict, seconds: float = 0.0) -> None:
        """How the call went, and how long it took."""
        is_slow = seconds >= self._slow_seconds
        is_bad = verdict is Verdict.FAILED or is_slow
        now_ms = self._link.now_ms()
        if verdict is not Verdict.LEFT:
            for window in (self._untold, self._alone):
                window.add(now_ms, verdict is Verdict.FAILED, is_slow)
        elif permit.probe is None:
            return
        if permit.probe is not None:
            meant = Verdict.FAILED if is_bad and verdict is not Verdict.LEFT else verdict
            self._ended = [*self._ended, (permit.probe, meant.value)][-_MAX_ENDED:]
        if not self._link.is_up:
            self._decide_alone(now_ms)
        if permit.probe is not None:
            self._tell_now()
        elif is_bad:
            self._tell_soon()

    def rest(self, seconds: float) -> None:
        """The service asked not to be called for so long; every process hears of it."""
        self._rest_ms = max(self._rest_ms, self._link.now_ms() + math.ceil(seconds * 1000))
        self._tell_soon()

    async def look(self) -> None:
        """Makes sure that what is known is not older than 200 ms, if Redis answers in time."""
        is_fresh = (
            self._read_ms is not None and abs(self._link.now_ms() - self._read_ms) < _FRESH_MS
        )
        if not is_fresh:
            await self.read()

    async def read(self) -> None:
        """Tells what was not told and learns how things stand; many at once are one call."""
        if not self._link.allows():
            self._decide_alone(self._link.now_ms())
            return
        if self._reader is None or self._reader.done():
            self._reader = self._link.start(self._exchange())
        await asyncio.wait({self._reader}, timeout=_WAIT_SECONDS)  # it goes on without us

    async def force(self, state: BreakerState | None, reason: str, by: str) -> None:
        """
        Raises:
            UpstreamUnavailable: Redis is away; nothing may have changed.
        """
        meant = {"state": state.value if state else "", "reason": reason, "by": by}
        self._follow(await self._link.step(self.name, force=meant))

    def snapshot(self) -> BreakerSnapshot:
        now_ms = self._link.now_ms()
        standing = self._alone.standing if self._link.is_up else self._alone.now(now_ms)
        return BreakerSnapshot.of(standing, now_ms)

    async def _may_probe(self, permit: str) -> bool:
        if self._link.allows():
            try:
                standing = await self._link.step(self.name, ask=permit)
            except UpstreamUnavailable:
                pass
            else:
                self._follow(standing)
                return standing.granted
        before = self._alone.state
        granted = self._alone.grant(self._link.now_ms(), permit)
        self._note(before)
        return granted

    async def _exchange(self) -> None:
        counts, ended, self._ended = self._untold.take(), self._ended, []
        told = [[bucket, *seen] for bucket, seen in counts.items()]
        try:
            standing = await self._link.step(
                self.name, counts=told, ended=ended, rest=self._rest_ms
            )
        except UpstreamUnavailable:
            # The script may have run: then these count twice, which changes no rate.
            for bucket, seen in counts.items():
                self._untold.merge(bucket, seen)
            self._ended = [*ended, *self._ended][-_MAX_ENDED:]
            self._decide_alone(self._link.now_ms())
        else:
            self._follow(standing)

    def _follow(self, standing: Standing) -> None:
        self._alone.follow(standing)
        self._read_ms = self._link.now_ms()
        metrics.breaker_state.labels(self.name).set(_LEVEL[standing.state])
        if standing.changed:  # by our step: one process in the fleet counts and tells it
            self._announce(is_shared=True)

    def _decide_alone(self, now_ms: int) -> None:
        before = self._alone.state
        for permit, verdict in self._ended:
            self._alone.ended(now_ms, permit, Verdict(verdict))
        self._alone.judge(now_ms)
        self._note(before)

    def _note(self, before: BreakerState) -> None:
        if self._alone.state is not before:
            self._announce(is_shared=False)

    def _announce(self, *, is_shared: bool) -> None:
        alone = self._alone
        standing = alone.standing if is_shared else alone.now(self._link.now_ms())
        metrics.breaker_state.labels(self.name).set(_LEVEL[standing.state])
        metrics.breaker_transitions_total.labels(self.name, standing.state.value).inc()
        log.warning(
            "breaker_changed",
            breaker=self.name,
            state=standing.state.value,
            calls=standing.calls,
            failures=standing.failures,
            slow_calls=standing.slow_calls,
            forced=standing.forced,
            reason=standing.reason,
            by=standing.by,
            shared=is_shared,
        )

    def _tell_now(self) -> None:
        if self._link.allows():
            self._link.start(self._exchange())

    def _tell_soon(self) -> None:
        if self._link.allows() and (self._teller is None or self._teller.done()):
            self._teller = self._link.start(self._tell_later())

    async def _tell_later(self) -> None:
        await asyncio.sleep(_TELL_SECONDS)
        await self._exchange()


class CircuitBreakers:
    """All breakers of a process, by name. Without `scripts` they are this process's own."""

    def __init__(
        self,
        scripts: ScriptCalls | None = None,
        rules: BreakerRules | None = None,
        *,
        prefix: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._link = BreakerLink(scripts, rules or BreakerRules(), prefix, clock)
        self._breakers: dict[str, CircuitBreaker] = {}

    def of(self, name: str, *, slow_seconds: float = math.inf) -> CircuitBreaker:
        """The one breaker of this name; who asks first says when its calls are slow."""
        found = self._breakers.get(name)
        if found is None:
            found = self._breakers[name] = CircuitBreaker(name, slow_seconds, self._link)
        return found

    async def snapshot(self, name: str) -> BreakerSnapshot | None:
        found = self._breakers.get(name)
        if found is None:
            return None
        await found.read()
        return found.snapshot()

    async def snapshots(self) -> list[BreakerSnapshot]:
        """All of them by name, in one round trip."""
        breakers = [self._breakers[name] for name in sorted(self._breakers)]
        await asyncio.gather(*(one.read() for one in breakers))
        return [one.snapshot() for one in breakers]

    async def force(
        self, name: str, state: BreakerState | None, *, reason: str, by: str
    ) -> BreakerSnapshot | None:
        """Holds it OPEN or CLOSED until it is lifted with None; then it starts CLOSED, with
        nothing counted. Returns None where there is no such breaker.

        Raises:
            ValidationFailed: it cannot be held HALF_OPEN.
            UpstreamUnavailable: Redis is away; nothing may have changed.
        """
        if state is BreakerState.HALF_OPEN:
            raise ValidationFailed("A breaker can be held OPEN or CLOSED.", path=["state"])
        found = self._breakers.get(name)
        if found is None:
            return None
        await found.force(state, reason, by)
        return found.snapshot()

    async def aclose(self) -> None:
        """Ends what runs beside."""
        await self._link.aclose()
