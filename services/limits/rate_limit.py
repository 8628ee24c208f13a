"""Rate limits of operations and cost points, by account and tier or by address.

Counted in the cache's Redis by one script call (sliding_window.py); never more pass than the limit.
For a frequent client some are prefetched, which this process then admits without a call: at most a
tenth of the limit, only while half of it is free, returned after a second. Until then other
processes cannot use them.
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

from services.limits.address_prefixes import group_address
from services.limits.sliding_window import REQUESTS, SlidingWindows, WindowLimits, WindowResult
from services.redis import cache_keys
from services.settings.settings import Settings
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("rate_limit")
ANONYMOUS = "ANONYMOUS"
_MAX_QUOTAS = 50_000
_MAX_CACHED_KEYS = 16_384
_MAX_RELEASES = 20_000
_PREFETCH_SECONDS = 1.0
_SWEEP_SECONDS = 0.05


class QuotaKey(NamedTuple):
    """Owner of a window: tier, key in Redis, and limits."""

    tier: str
    redis_key: str
    limits: WindowLimits


@dataclass(slots=True)
class Admission:
    """Decision about one operation.

    `requested` is its reserved cost in points; `remaining_requests` and `remaining_points` are what
    the window still had, as far as this process knew.
    """

    quota_key: QuotaKey
    requested: int
    result: WindowResult
    remaining_requests: int
    remaining_points: int
    is_allowed: bool = True
    is_settled: bool = False

    @property
    def retry_after_seconds(self) -> int:
        """Seconds until a refused operation fits, at least 1."""
        return max(1, math.ceil(self.result.retry_ms / 1000))

    @property
    def full_seconds(self) -> int:
        """Seconds until the whole limit is free again, without further operations."""
        return math.ceil(self.result.full_ms / 1000)


@dataclass(slots=True)
class _LocalQuota:
    """A window's last result, and the requests and points prefetched from it."""

    result: WindowResult
    acquired_at: float = 0.0
    target: int = 0
    requests: int = 0
    points: int = 0
    prefetched_at: float = 0.0
    refused_until: float = 0.0
    is_prefetching: bool = False


class RateLimiter:
    """The rate limiter of one process. `clock` returns seconds and is monotonic."""

    def __init__(
        self,
        settings: Settings,
        windows: SlidingWindows,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_on = settings.rate_limit_mode != "off"
        self._enforces = settings.rate_limit_mode == "enforce"
        self._limits = _build_limits(settings)
        self._prefix = settings.redis_key_prefix
        self._key_of = lru_cache(maxsize=_MAX_CACHED_KEYS)(self._build_key)
        self._windows = windows
        self._clock = clock
        self._quotas: OrderedDict[str, _LocalQuota] = OrderedDict()
        self._prefetched: OrderedDict[str, QuotaKey] = OrderedDict()  # oldest first
        self._releases: deque[tuple[QuotaKey, WindowResult, int, int]] = deque(maxlen=_MAX_RELEASES)
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._logged_at = -math.inf

    def user_key(self, tier: str, user_id: str) -> QuotaKey:
        """Return the key of an account's window; `tier` is FREE, PREMIUM or API."""
        return self._key_of(tier, user_id)

    def address_key(self, address: str | None) -> QuotaKey:
        """Return the key of an anonymous client's window."""
        return self._key_of(ANONYMOUS, group_address(address))

    def _build_key(self, tier: str, subject: str) -> QuotaKey:
        return QuotaKey(
            tier,
            self._prefix + cache_keys.RATE_LIMIT.format(tier, subject),
            self._limits[tier],
        )

    def admit_now(self, quota_key: QuotaKey, points: int) -> Admission | None:
        """Decide from this process's memory; None when a call to Redis is needed."""
        quota = self._quotas.get(quota_key.redis_key)
        if quota is None:
            return None
        if quota.refused_until and self._clock() < quota.refused_until:
            return self._refuse(quota_key, points, quota.result)
        if quota.requests < 1 or quota.points < points:
            return None
        return self._spend_prefetched(quota_key, points, quota)

    def refuse_now(self, quota_key: QuotaKey) -> Admission | None:
        """Refuse a client known to be over its limit; None when it may have operations left."""
        quota = self._quotas.get(quota_key.redis_key)
        if quota is None or not quota.refused_until or self._clock() >= quota.refused_until:
            return None
        return self._refuse(quota_key, 0, quota.result)

    async def admit(self, quota_key: QuotaKey, points: int) -> Admission:
        """Count one operation of `points`; `is_allowed` says whether it may run."""
        admission = self.admit_now(quota_key, points)
        return admission if admission is not None else await self._acquire(quota_key, points)

    async def count(self, subject: str, address: str | None, limits: WindowLimits) -> WindowResult:
        """Count one event of another kind for an address, whatever RATE_LIMIT_MODE is.

        Args:
            subject: the kind, such as `bandwidth`; part of the key.
        """
        key = self._prefix + cache_keys.RATE_LIMIT.format(subject, group_address(address))
        return await self._windows.acquire(key, limits)

    def settle(self, admission: Admission, actual: int) -> int:
        """Return, once, the reserved points not used, or charge those used beyond them.

        Returns:
            The points charged.
        """
        if admission.is_settled or admission.result.refused_by:
            return admission.requested
        admission.is_settled = True
        refund = admission.requested - max(0, actual)
        if refund == 0:
            return admission.requested
        quota = self._quotas.get(admission.quota_key.redis_key)
        if (
            refund > 0
            and quota is not None
            and quota.result.bucket == admission.result.bucket
            and (not admission.result.is_local and not quota.result.is_local)
        ):
            self._add_prefetched(admission.quota_key, quota, 0, refund)
        else:
            self._queue_release(admission.quota_key, admission.result, 0, refund)
        return admission.requested - refund

    async def aclose(self) -> None:
        """Let the sweeper finish what it sends, and return all prefetched quota."""
        self._closing.set()
        if self._sweeper is not None:
            await asyncio.gather(self._sweeper, return_exceptions=True)
        self._closing.clear()
        for key in list(self._prefetched):
            self._return_prefetched(key)
        await self._send_releases()

    async def _acquire(self, quota_key: QuotaKey, points: int) -> Admission:
        quota = self._quotas.get(quota_key.redis_key)
        extra, prefetch_points = self._choose_prefetch(quota_key, points, quota)
        try:
            result = await self._windows.acquire(
                quota_key.redis_key,
                quota_key.limits,
                1,
                points,
                prefetch_requests=extra,
                prefetch_points=prefetch_points,
            )
        finally:
            if quota is not None and extra:
                quota.is_prefetching = False
        quota = self._remember(quota_key, result)
        if result.prefetched:
            self._add_prefetched(quota_key, quota, extra, prefetch_points)
        if not result.refused_by:
            remaining = (
                result.remaining_requests + quota.requests,
                result.remaining_points + quota.points,
            )
            return Admission(quota_key, points, result, *remaining)
        if quota.requests >= 1 and quota.points >= points:
            return self._spend_prefetched(quota_key, points, quota)
        if result.refused_by == REQUESTS:
            wait_seconds = min(result.retry_ms / 1000, _PREFETCH_SECONDS)
            quota.refused_until = self._clock() + wait_seconds
        return self._refuse(quota_key, points, result)

    def _choose_prefetch(
        self, quota_key: QuotaKey, points: int, quota: _LocalQuota | None
    ) -> tuple[int, int]:
        """Return how many requests and points to prefetch: doubled with each call in a second."""
        if quota is None or quota.is_prefetching:
            return 0, 0
        now = self._clock()
        is_frequent = now - quota.acquired_at < _PREFETCH_SECONDS
        quota.acquired_at = now
        quota.target = (
            min(quota_key.limits.requests // 10, max(2, 2 * quota.target)) if is_frequent else 0
        )
        extra = quota.target - quota.requests
        if extra <= 0:
            return 0, 0
        prefetch_points = max(0, quota.target * points - quota.points)
        if prefetch_points > quota_key.limits.points // 10:
            return 0, 0
        quota.is_prefetching = True
        return extra, prefetch_points

    def _remember(self, quota_key: QuotaKey, result: WindowResult) -> _LocalQuota:
        quota = self._quotas.get(quota_key.redis_key)
        if quota is None:
            quota = self._quotas[quota_key.redis_key] = _LocalQuota(
                result, acquired_at=self._clock()
            )
            if len(self._quotas) > _MAX_QUOTAS:
                self._return_prefetched(next(iter(self._quotas)))
                self._quotas.popitem(last=False)
            return quota
        self._quotas.move_to_end(quota_key.redis_key)
        if quota.result.bucket != result.bucket or quota.result.is_local != result.is_local:
            self._return_prefetched(
                quota_key.redis_key
            )  # prefetched in another bucket, or elsewhere
        quota.result = result
        quota.refused_until = 0.0
        return quota

    def _spend_prefetched(self, quota_key: QuotaKey, points: int, quota: _LocalQuota) -> Admission:
        quota.requests -= 1
        quota.points -= points
        result = quota.result
        if result.refused_by:
            result = result._replace(refused_by=0, retry_ms=0)
        remaining = (
            result.remaining_requests + quota.requests,
            result.remaining_points + quota.points,
        )
        return Admission(quota_key, points, result, *remaining)

    def _refuse(self, quota_key: QuotaKey, points: int, result: WindowResult) -> Admission:
        outcome = "refused" if self._enforces else "let_through"
        metrics.rate_limited_total.labels(quota_key.tier, outcome).inc()
        if not self._enforces and self._clock() - self._logged_at >= 1:
            self._logged_at = self._clock()
            log.warning("rate_limit_exceeded", key=quota_key.redis_key, by=result.refused_by)
        remaining = result.remaining_requests, result.remaining_points
        return Admission(quota_key, points, result, *remaining, is_allowed=not self._enforces)

    def _add_prefetched(
        self, quota_key: QuotaKey, quota: _LocalQuota, requests: int, points: int
    ) -> None:
        quota.requests += requests
        quota.points += points
        if quota_key.redis_key not in self._prefetched:
            self._prefetched[quota_key.redis_key] = quota_key
            quota.prefetched_at = self._clock()
        self._start_sweeper()

    def _return_prefetched(self, key: str) -> None:
        quota_key, quota = self._prefetched.pop(key, None), self._quotas.get(key)
        if quota_key is None or quota is None or not (quota.requests or quota.points):
            return
        self._queue_release(quota_key, quota.result, quota.requests, quota.points)
        quota.requests = quota.points = 0

    def _queue_release(
        self, quota_key: QuotaKey, result: WindowResult, requests: int, points: int
    ) -> None:
        self._releases.append((quota_key, result, requests, points))
        self._start_sweeper()

    def _start_sweeper(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        try:
            while (self._prefetched or self._releases) and not self._closing.is_set():
                await self._wait_for_sweep()
                self._return_old()
                await self._send_releases()
        finally:
            self._sweeper = None

    async def _wait_for_sweep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SWEEP_SECONDS):
                await self._closing.wait()

    def _return_old(self) -> None:
        before = self._clock() - _PREFETCH_SECONDS
        while self._prefetched:
            key = next(iter(self._prefetched))
            if self._quotas[key].prefetched_at > before:
                return
            self._return_prefetched(key)

    async def _send_releases(self) -> None:
        """Send all queued releases; they share one pipeline (scripts.py)."""
        releases = list(self._releases)
        self._releases.clear()
        with suppress(Exception):  # a lost release counts until its window has passed
            await asyncio.gather(
                *(
                    self._windows.release(
                        quota_key.redis_key, quota_key.limits, result, requests, points
                    )
                    for quota_key, result, requests, points in releases
                )
            )


def _build_limits(settings: Settings) -> dict[str, WindowLimits]:
    window_ms = settings.rate_limit_window_ms
    return {
        ANONYMOUS: WindowLimits(
            window_ms,
            settings.rate_limit_anonymous_max_requests,
            settings.rate_limit_anonymous_max_cost,
        ),
        "FREE": WindowLimits(
            window_ms, settings.rate_limit_max_requests, settings.rate_limit_max_cost
        ),
        "PREMIUM": WindowLimits(
            window_ms,
            settings.rate_limit_premium_max_requests,
            settings.rate_limit_premium_max_cost,
        ),
        "API": WindowLimits(
            window_ms, settings.rate_limit_api_max_requests, settings.rate_limit_api_max_cost
        ),
    }
