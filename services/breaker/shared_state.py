"""The breakers' state in Redis: one script call does one step of one breaker.

The link's guard stops calls for a second after a failure: requests do not wait for Redis in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from services.breaker.rules import BUCKETS, BreakerRules, BreakerStatus, decode_status
from services.errors import UpstreamUnavailable
from services.redis import cache_keys
from services.redis.hub import MAX_ENTRIES
from services.redis.link import RedisLink
from services.redis.scripts import Script

_STEP = Script("breaker", "breaker_step")
_KEEP_MS = 86_400_000
_encode = msgspec.msgpack.Encoder().encode


class SharedState:
    """Access to the state in Redis, shared by all breakers of a process."""

    def __init__(
        self,
        redis: RedisLink | None,
        rules: BreakerRules,
        prefix: str,
        clock: Callable[[], float],
    ) -> None:
        self.rules = rules
        self.is_up = redis is not None  # until a call shows otherwise
        self._redis = redis
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()
        self._key = prefix + cache_keys.BREAKER
        self._stream = prefix + cache_keys.BREAKERS_CHANGED
        self._rules = {
            "bucket_ms": rules.bucket_ms,
            "buckets": BUCKETS,
            "minimum": rules.minimum_calls,
            "failure_percent": rules.failure_percent,
            "slow_percent": rules.slow_percent,
            "open_ms": rules.open_ms,
            "probes": rules.probes,
            "successes": rules.successes,
            "permit_ms": rules.permit_ms,
            "keep_ms": _KEEP_MS,
        }

    def now_ms(self) -> int:
        """Return the clock's time in ms."""
        return int(self._clock() * 1000)

    def allows_calls(self) -> bool:
        """Whether there is a Redis that has not just failed."""
        return self._redis is not None and self._redis.guard.allows_calls()

    async def step(self, name: str, **step: Any) -> BreakerStatus:
        """Run one step of one breaker; `step` holds the fields that the script reads.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        if self._redis is None:
            raise UpstreamUnavailable("There is no Redis that breakers could be shared through.")
        common = {"name": name, "now": self.now_ms(), "rules": self._rules, "entries": MAX_ENTRIES}
        packed = _encode(common | {"counts": [], "ended": [], "backoff_until_ms": 0} | step)
        try:
            answer = await self._redis.scripts.call(
                _STEP, 2, self._key.format(name), self._stream, packed
            )
        except UpstreamUnavailable:
            self.is_up = False
            raise
        self.is_up = True
        return decode_status(answer)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task that `aclose` cancels."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Cancel all running tasks and wait for their end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
