"""How many operations and cost points one may use in a window: an account by its tier, else an
address. Counted in the cache's Redis by one script call (sliding_window.py).

Never more pass than the limit as Redis counts it. Who asks often has some counted ahead, which this
process then admits without waiting: at most a tenth of the limit, only while half of it is free,
given back after a second. For so long it may be missing to other processes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from services.limits.address_prefixes import counted_as
from services.limits.sliding_window import REQUESTS, Limits, SlidingWindows, Taken
from services.redis import cache_keys
from services.settings.settings import Settings
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("rate_limit")
ANONYMOUS = "ANONYMOUS"
_MOST_KNOWN = 50_000
_MOST_REMEMBERED = 16_384
_MOST_RETURNS = 20_000
_HOLD_SECONDS = 1.0
_SWEEP_SECONDS = 0.05


class Who(NamedTuple):
    """Whose window it is."""

    tier: str
    key: str
    limits: Limits


@dataclass(slots=True)
class Admission:
    """What was counted for one operation. `requested` is its reserved cost; `requests_left` and
    `points_left` are as known here at that moment."""

    who: Who
    requested: int
    taken: Taken
    requests_left: int
    points_left: int
    is_allowed: bool = True
    is_settled: bool = False

    @property
    def retry_after_seconds(self) -> int:
        return max(1, math.ceil(self.taken.retry_ms / 1000))

    @property
    def full_seconds(self) -> int:
        """Until the whole limit is free again, if nothing more is asked."""
        return math.ceil(self.taken.full_ms / 1000)


@dataclass(slots=True)
class _Known:
    """What this process knows of one window, and what it holds of it: counted, not yet used."""

    taken: Taken
    asked_at: float = 0.0
    wanted: int = 0
    requests: int = 0
    points: int = 0
    held_since: float = 0.0
    refused_until: float = 0.0
    is_asking: bool = False


class RateLimiter:
    """One per process. `clock` tells seconds that never go back."""

    def __init__(
        self,
        settings: Settings,
        windows: SlidingWindows,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_on = settings.rate_limit_mode != "off"
        self._enforces = settings.rate_limit_mode == "enforce"
        self._limits = _limits(settings)
        self._prefix = settings.redis_key_prefix
        self._who = lru_cache(maxsize=_MOST_REMEMBERED)(self._named)
        self._windows = windows
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._holding: OrderedDict[str, Who] = OrderedDict()  # longest held first
        self._returns: deque[tuple[Who, Taken, int, int]] = deque(maxlen=_MOST_RETURNS)
        self._sweeper: asyncio.Task[None] | None = None
        self._logged_at = -math.inf

    def user(self, tier: str, user_id: str) -> Who:
        """`tier` is FREE, PREMIUM or API."""
        return self._who(tier, user_id)

    def address(self, address: str | None) -> Who:
        return self._who(ANONYMOUS, counted_as(address))

    def _named(self, tier: str, subject: str) -> Who:
        return Who(
            tier,
            self._prefix + cache_keys.RATE_LIMIT.format(tier, subject),
            self._limits[tier],
        )

    def admit_now(self, who: Who, points: int) -> Admission | None:
        """From what is known and held here; None: Redis has to be asked."""
        known = self._known.get(who.key)
        if known is None:
            return None
        if known.refused_until and self._clock() < known.refused_until:
            return self._refused(who, points, known.taken)
        if known.requests < 1 or known.points < points:
            return None
        return self._use_held(who, points, known)

    def refused_now(self, who: Who) -> Admission | None:
        """The refusal of who is known to have nothing left, before anything is read."""
        known = self._known.get(who.key)
        if known is None or not known.refused_until or self._clock() >= known.refused_until:
            return None
        return self._refused(who, 0, known.taken)

    async def admit(self, who: Who, points: int) -> Admission:
        """One operation of `points`; `is_allowed` tells whether it may run."""
        found = self.admit_now(who, points)
        return found if found is not None else await self._ask(who, points)

    async def count(self, what: str, address: str | None, limits: Limits) -> Taken:
        """One of something else that addresses may do so often, whatever RATE_LIMIT_MODE says."""
        key = self._prefix + cache_keys.RATE_LIMIT.format(what, counted_as(address))
        return await self._windows.take(key, limits)

    def settle(self, admission: Admission, actual: int) -> int:
        """Gives back, once, what the operation cost less than reserved; returns its charge."""
        if admission.is_settled or admission.taken.refused_by:
            return admission.requested
        admission.is_settled = True
        refund = admission.requested - max(0, actual)
        if refund <= 0:
            return admission.requested
        known = self._known.get(admission.who.key)
        if (
            known is not None
            and known.taken.part == admission.taken.part
            and (not admission.taken.is_local and not known.taken.is_local)
        ):
            self._hold(admission.who, known, 0, refund)
        else:
            self._give_back(admission.who, admission.taken, 0, refund)
        return admission.requested - refund

    async def aclose(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for key in list(self._holding):
            self._let_go(key)
        await self._send_returns()

    async def _ask(self, who: Who, points: int) -> Admission:
        known = self._known.get(who.key)
        more, more_points = self._more(who, points, known)
        try:
            taken = await self._windows.take(
                who.key, who.limits, 1, points, more_requests=more, more_points=more_points
            )
        finally:
            if known is not None and more:
                known.is_asking = False
        known = self._remember(who, taken)
        if taken.held:
            self._hold(who, known, more, more_points)
        if not taken.refused_by:
            left = taken.requests_left + known.requests, taken.points_left + known.points
            return Admission(who, points, taken, *left)
        if known.requests >= 1 and known.points >= points:
            return self._use_held(who, points, known)
        if taken.refused_by == REQUESTS:
            wait_seconds = min(taken.retry_ms / 1000, _HOLD_SECONDS)
            known.refused_until = self._clock() + wait_seconds
        return self._refused(who, points, taken)

    def _more(self, who: Who, points: int, known: _Known | None) -> tuple[int, int]:
        """How much to have counted ahead: doubled with every asking within a second."""
        if known is None or known.is_asking:
            return 0, 0
        now = self._clock()
        is_often = now - known.asked_at < _HOLD_SECONDS
        known.asked_at = now
        known.wanted = min(who.limits.requests // 10, max(2, 2 * known.wanted)) if is_often else 0
        more = known.wanted - known.requests
        if more <= 0:
            return 0, 0
        more_points = max(0, known.wanted * points - known.points)
        if more_points > who.limits.points // 10:
            return 0, 0
        known.is_asking = True
        return more, more_points

    def _remember(self, who: Who, taken: Taken) -> _Known:
        known = self._known.get(who.key)
        if known is None:
            known = self._known[who.key] = _Known(taken, asked_at=self._clock())
            if len(self._known) > _MOST_KNOWN:
                self._let_go(next(iter(self._known)))
                self._known.popitem(last=False)
            return known
        self._known.move_to_end(who.key)
        if known.taken.part != taken.part or known.taken.is_local != taken.is_local:
            self._let_go(who.key)  # it was counted in another part of time, or elsewhere
        known.taken = taken
        known.refused_until = 0.0
        return known

    def _use_held(self, who: Who, points: int, known: _Known) -> Admission:
        known.requests -= 1
        known.points -= points
        taken = known.taken
        if taken.refused_by:
            taken = taken._replace(refused_by=0, retry_ms=0)
        left = taken.requests_left + known.requests, taken.points_left + known.points
        return Admission(who, points, taken, *left)

    def _refused(self, who: Who, points: int, taken: Taken) -> Admission:
        outcome = "refused" if self._enforces else "let_through"
        metrics.rate_limited_total.labels(who.tier, outcome).inc()
        if not self._enforces and self._clock() - self._logged_at >= 1:
            self._logged_at = self._clock()
            log.warning("over_rate_limit", key=who.key, by=taken.refused_by)
        left = taken.requests_left, taken.points_left
        return Admission(who, points, taken, *left, is_allowed=not self._enforces)

    def _hold(self, who: Who, known: _Known, requests: int, points: int) -> None:
        known.requests += requests
        known.points += points
        if who.key not in self._holding:
            self._holding[who.key] = who
            known.held_since = self._clock()
        self._start_sweeper()

    def _let_go(self, key: str) -> None:
        who, known = self._holding.pop(key, None), self._known.get(key)
        if who is None or known is None or not (known.requests or known.points):
            return
        self._give_back(who, known.taken, known.requests, known.points)
        known.requests = known.points = 0

    def _give_back(self, who: Who, taken: Taken, requests: int, points: int) -> None:
        self._returns.append((who, taken, requests, points))
        self._start_sweeper()

    def _start_sweeper(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        try:
            while self._holding or self._returns:
                await asyncio.sleep(_SWEEP_SECONDS)
                self._let_go_of_old()
                await self._send_returns()
        finally:
            self._sweeper = None

    def _let_go_of_old(self) -> None:
        before = self._clock() - _HOLD_SECONDS
        while self._holding:
            key = next(iter(self._holding))
            if self._known[key].held_since > before:
                return
            self._let_go(key)

    async def _send_returns(self) -> None:
        """All of this moment in one pipeline (scripts.py)."""
        returns = list(self._returns)
        self._returns.clear()
        with suppress(Exception):  # a lost return counts on until its window has passed
            await asyncio.gather(
                *(
                    self._windows.give_back(who.key, who.limits, taken, requests, points)
                    for who, taken, requests, points in returns
                )
            )


def _limits(settings: Settings) -> dict[str, Limits]:
    window_ms = settings.rate_limit_window_ms
    return {
        ANONYMOUS: Limits(
            window_ms,
            settings.rate_limit_anonymous_max_requests,
            settings.rate_limit_anonymous_max_cost,
        ),
        "FREE": Limits(window_ms, settings.rate_limit_max_requests, settings.rate_limit_max_cost),
        "PREMIUM": Limits(
            window_ms,
            settings.rate_limit_premium_max_requests,
            settings.rate_limit_premium_max_cost,
        ),
        "API": Limits(
            window_ms, settings.rate_limit_api_max_requests, settings.rate_limit_api_max_cost
        ),
    }
