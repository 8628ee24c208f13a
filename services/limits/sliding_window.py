"""Sliding windows of requests and cost points, in Redis or, while it is away, in memory.

A key has two counters, of this bucket of time and of the one before, weighted: small, and one call
is enough. While Redis is away, every process counts for itself with the same limits: nothing fails,
and it is logged once and measured.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from services.errors import UpstreamUnavailable
from services.redis.link import RedisLink
from services.redis.scripts import Script
from services.telemetry import metrics
from services.telemetry.logs import get_logger
from services.telemetry.outages import OutageLog

log = get_logger("sliding_window")
_ACQUIRE = Script("limits", "sliding_window", "sliding_window_acquire")
_RELEASE = Script("limits", "sliding_window", "sliding_window_release")
_MAX_LOCAL = 50_000
NEWEST = -1
REQUESTS, POINTS = 1, 2


class WindowLimits(NamedTuple):
    """Limits of one window; without `points`, cost is not counted."""

    window_ms: int
    requests: int
    points: int = 0


class WindowResult(NamedTuple):
    """Result of one acquisition.

    `refused_by` is 0, REQUESTS or POINTS; `bucket` the index of the bucket it was counted in;
    `full_ms` the time until nothing counts any more; `retry_ms` the time until a refused
    acquisition fits; `prefetched` 1 if the prefetch was counted too.
    """

    refused_by: int
    bucket: int
    remaining_requests: int
    remaining_points: int
    full_ms: int
    retry_ms: int
    prefetched: int
    is_local: bool = False


@dataclass(slots=True)
class LocalWindow:
    """A window in this process, counted as by the scripts."""

    bucket: int = 0
    requests: int = 0
    requests_before: int = 0
    points: int = 0
    points_before: int = 0

    def acquire(
        self, limits: WindowLimits, requests: int, points: int, now_ms: int
    ) -> WindowResult:
        """Count `requests` and `points`, both or neither."""
        remaining_ms = self._roll(limits.window_ms, now_ms)
        length = limits.window_ms
        free = limits.requests - self.requests - self.requests_before * remaining_ms // length
        points_free = limits.points - self.points - self.points_before * remaining_ms // length
        refused_by = retry_ms = 0
        if requests > free:
            refused_by = REQUESTS
            counts = (limits.requests, requests, self.requests, self.requests_before)
            retry_ms = _wait_ms(length, remaining_ms, *counts)
        elif points > points_free:
            refused_by = POINTS
            counts = (limits.points, points, self.points, self.points_before)
            retry_ms = _wait_ms(length, remaining_ms, *counts)
        else:
            self.requests, self.points = self.requests + requests, self.points + points
            free, points_free = free - requests, points_free - points
        full_ms = self._full_ms(length, remaining_ms)
        remaining = max(0, free), max(0, points_free)
        return WindowResult(
            refused_by, self.bucket, *remaining, full_ms, retry_ms, 0, is_local=True
        )

    def release(
        self, limits: WindowLimits, bucket: int, requests: int, points: int, now_ms: int
    ) -> None:
        """Return unused requests and points to the bucket they were counted in."""
        self._roll(limits.window_ms, now_ms)
        if bucket == NEWEST:
            bucket = self.bucket if self.requests else self.bucket - 1
        if bucket == self.bucket:
            self.requests = max(0, self.requests - requests)
            self.points = max(0, self.points - points)
        elif bucket == self.bucket - 1:
            self.requests_before = max(0, self.requests_before - requests)
            self.points_before = max(0, self.points_before - points)

    def _roll(self, length_ms: int, now_ms: int) -> int:
        """Advance to the bucket of `now_ms`; returns how many ms of it remain."""
        bucket = now_ms // length_ms
        if bucket + 1 == self.bucket:  # the clock went back over the edge
            return length_ms
        if bucket != self.bucket:
            was_before = bucket - 1 == self.bucket
            self.requests_before = self.requests if was_before else 0
            self.points_before = self.points if was_before else 0
            self.bucket, self.requests, self.points = bucket, 0, 0
        return length_ms - now_ms % length_ms

    def _full_ms(self, length_ms: int, remaining_ms: int) -> int:
        if self.requests or self.points:
            return remaining_ms + length_ms
        return remaining_ms if self.requests_before or self.points_before else 0


def _wait_ms(length: int, remaining: int, limit: int, amount: int, count: int, before: int) -> int:
    """Return how long until `amount` fits, without further requests."""
    room = limit - amount + 1
    if room <= 0:
        return 2 * length
    if room > count:
        return max(1, int(remaining - (room - count) * length / before) + 1)
    return remaining + max(1, int(length - room * length / count) + 1)


class SlidingWindows:
    """Windows by key.

    Args:
        clock: seconds since 1970; None: Redis's own clock, the same for all processes.
    """

    def __init__(self, redis: RedisLink, clock: Callable[[], float] | None = None) -> None:
        self._scripts = redis.scripts
        self._clock = clock
        self._local: OrderedDict[str, LocalWindow] = OrderedDict()
        self._is_away = False
        self._outage = OutageLog(log, "limits_redis")

    async def acquire(
        self,
        key: str,
        limits: WindowLimits,
        requests: int = 1,
        points: int = 0,
        *,
        prefetch_requests: int = 0,
        prefetch_points: int = 0,
    ) -> WindowResult:
        """Count `requests` and `points`, both or neither; zero of both only reads.

        Never raises: without Redis this process counts for itself.

        Args:
            prefetch_requests: counted in addition, if half of the limit stays free.
            prefetch_points: likewise.
        """
        length_ms, most, most_points = limits
        sizes = (most, requests, prefetch_requests, most_points, points, prefetch_points)
        try:
            answer = await self._scripts.call(
                _ACQUIRE, 1, key, length_ms, self._script_clock_ms(), *sizes
            )
        except UpstreamUnavailable as error:
            self._switch_to_local(error)
        else:
            self._switch_to_redis()
            return WindowResult(*answer)
        metrics.rate_limit_fallbacks_total.inc()
        return self._window(key).acquire(limits, requests, points, self._now_ms())

    async def release(
        self,
        key: str,
        limits: WindowLimits,
        result: WindowResult | None,
        requests: int,
        points: int = 0,
    ) -> None:
        """Return unused requests and points to the bucket they were counted in.

        A release is lost while Redis is away: they count until the window has passed.

        Args:
            result: of the acquisition; None: the newest bucket.
        """
        bucket = result.bucket if result is not None else NEWEST
        if key in self._local and (result is None or result.is_local):
            self._local[key].release(limits, bucket, requests, points, self._now_ms())
        if result is not None and result.is_local:
            return
        args = (limits.window_ms, self._script_clock_ms(), bucket, requests, points)
        try:
            await self._scripts.call(_RELEASE, 1, key, *args)
        except UpstreamUnavailable as error:
            self._switch_to_local(error)

    def _script_clock_ms(self) -> int:
        return 0 if self._clock is None else self._now_ms()

    def _now_ms(self) -> int:
        return int((self._clock or time.time)() * 1000)

    def _window(self, key: str) -> LocalWindow:
        window = self._local.setdefault(key, LocalWindow())
        self._local.move_to_end(key)
        if len(self._local) > _MAX_LOCAL:
            self._local.popitem(last=False)
        return window

    def _switch_to_local(self, error: Exception) -> None:
        self._is_away = True
        self._outage.record_failure(error=repr(error.__cause__ or error))

    def _switch_to_redis(self) -> None:
        if self._is_away:
            self._is_away = False
            self._local.clear()
            self._outage.record_recovery()
