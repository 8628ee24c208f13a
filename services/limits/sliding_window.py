"""Sliding windows of requests and cost points, counted in Redis and, while that is away, in here.

Two counters a key (this part of time and the one before, weighted): small, and one call does all.
While Redis is away every process counts for itself with the same limits: nothing fails, and it is
logged once and measured.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from services.errors import UpstreamUnavailable
from services.redis.pool import Guard
from services.redis.scripts import Script, ScriptCalls
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("sliding_window")
_TAKE = Script("limits", "sliding_window", "sliding_window_take")
_GIVE_BACK = Script("limits", "sliding_window", "sliding_window_give_back")
_MOST_LOCAL = 50_000
_PAUSE_SECONDS = 1.0
NEWEST = -1
REQUESTS, POINTS = 1, 2


class Limits(NamedTuple):
    """In one window. No points: cost is not counted."""

    window_ms: int
    requests: int
    points: int = 0


class Taken(NamedTuple):
    """`refused_by` is 0, REQUESTS or POINTS; `part` when it was counted; `full_ms` how
    long anything still counts; `retry_ms` when a refused taking fits if nobody takes more; `held`
    1 if the extra was taken too."""

    refused_by: int
    part: int
    requests_left: int
    points_left: int
    full_ms: int
    retry_ms: int
    held: int
    is_local: bool = False


@dataclass(slots=True)
class Window:
    """The same counting as the scripts', in this process."""

    part: int = 0
    requests: int = 0
    requests_before: int = 0
    points: int = 0
    points_before: int = 0

    def take(self, limits: Limits, requests: int, points: int, now_ms: int) -> Taken:
        left_ms = self._roll(limits.window_ms, now_ms)
        length = limits.window_ms
        free = limits.requests - self.requests - self.requests_before * left_ms // length
        points_free = limits.points - self.points - self.points_before * left_ms // length
        refused_by = retry_ms = 0
        if requests > free:
            refused_by = REQUESTS
            given = (limits.requests, requests, self.requests, self.requests_before)
            retry_ms = _wait_ms(length, left_ms, *given)
        elif points > points_free:
            refused_by = POINTS
            given = (limits.points, points, self.points, self.points_before)
            retry_ms = _wait_ms(length, left_ms, *given)
        else:
            self.requests, self.points = self.requests + requests, self.points + points
            free, points_free = free - requests, points_free - points
        full_ms = self._full_ms(length, left_ms)
        left = max(0, free), max(0, points_free)
        return Taken(refused_by, self.part, *left, full_ms, retry_ms, 0, is_local=True)

    def give_back(self, limits: Limits, part: int, requests: int, points: int, now_ms: int) -> None:
        self._roll(limits.window_ms, now_ms)
        if part == NEWEST:
            part = self.part if self.requests else self.part - 1
        if part == self.part:
            self.requests = max(0, self.requests - requests)
            self.points = max(0, self.points - points)
        elif part == self.part - 1:
            self.requests_before = max(0, self.requests_before - requests)
            self.points_before = max(0, self.points_before - points)

    def _roll(self, length_ms: int, now_ms: int) -> int:
        """Moves on to the part of time that `now_ms` is in; how much of it is left."""
        part = now_ms // length_ms
        if part + 1 == self.part:  # the clock went back over the edge
            return length_ms
        if part != self.part:
            was_before = part - 1 == self.part
            self.requests_before = self.requests if was_before else 0
            self.points_before = self.points if was_before else 0
            self.part, self.requests, self.points = part, 0, 0
        return length_ms - now_ms % length_ms

    def _full_ms(self, length_ms: int, left_ms: int) -> int:
        if self.requests or self.points:
            return left_ms + length_ms
        return left_ms if self.requests_before or self.points_before else 0


def _wait_ms(length: int, left: int, limit: int, amount: int, count: int, before: int) -> int:
    """How long until `amount` fits if nobody takes more."""
    room = limit - amount + 1
    if room <= 0:
        return 2 * length
    if room > count:
        return max(1, int(left - (room - count) * length / before) + 1)
    return left + max(1, int(length - room * length / count) + 1)


class SlidingWindows:
    """`clock` tells seconds since 1970; without one, Redis's own clock counts for all processes."""

    def __init__(self, scripts: ScriptCalls, clock: Callable[[], float] | None = None) -> None:
        self._scripts = scripts
        self._clock = clock
        self._guard = Guard(_PAUSE_SECONDS)
        self._local: OrderedDict[str, Window] = OrderedDict()
        self._is_away = False

    async def take(
        self,
        key: str,
        limits: Limits,
        requests: int = 1,
        points: int = 0,
        *,
        more_requests: int = 0,
        more_points: int = 0,
    ) -> Taken:
        """Takes `requests` and `points`, both or neither; `more` besides, if that leaves half free.

        Zero of both only looks. Never raises: without Redis this process counts for itself.
        """
        if self._guard.allows():
            length_ms, most, most_points = limits
            sizes = (most, requests, more_requests, most_points, points, more_points)
            try:
                told = await self._scripts.call(_TAKE, 1, key, length_ms, self._given_ms(), *sizes)
            except UpstreamUnavailable as error:
                self._is_lost(error)
            else:
                self._is_back()
                return Taken(*told)
        metrics.rate_limit_fallbacks_total.inc()
        return self._window(key).take(limits, requests, points, self._now_ms())

    async def give_back(
        self, key: str, limits: Limits, taken: Taken | None, requests: int, points: int = 0
    ) -> None:
        """What was not used goes back to where it was counted; without `taken`, to the newest part.

        Lost when Redis is away: it counts on until the window has passed.
        """
        part = taken.part if taken is not None else NEWEST
        if key in self._local and (taken is None or taken.is_local):
            self._local[key].give_back(limits, part, requests, points, self._now_ms())
        if (taken is not None and taken.is_local) or not self._guard.allows():
            return
        parts = (limits.window_ms, self._given_ms(), part, requests, points)
        try:
            await self._scripts.call(_GIVE_BACK, 1, key, *parts)
        except UpstreamUnavailable as error:
            self._is_lost(error)

    def _given_ms(self) -> int:
        return 0 if self._clock is None else self._now_ms()

    def _now_ms(self) -> int:
        return int((self._clock or time.time)() * 1000)

    def _window(self, key: str) -> Window:
        window = self._local.setdefault(key, Window())
        self._local.move_to_end(key)
        if len(self._local) > _MOST_LOCAL:
            self._local.popitem(last=False)
        return window

    def _is_lost(self, error: Exception) -> None:
        self._guard.failed()
        if not self._is_away:
            self._is_away = True
            log.warning("limits_count_locally", error=repr(error.__cause__ or error))

    def _is_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._local.clear()
            log.info("limits_count_in_redis")
