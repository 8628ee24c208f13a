"""Ids of jobs to run, and claims on periodic tasks. The jobs themselves are in MongoDB.

The stream delivers a new job to one worker at once. A lost id does no harm: workers also poll
MongoDB.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError

from services.errors import UpstreamUnavailable
from services.redis import cache_keys
from services.redis.link import RedisLink

MAX_ENTRIES = 1000
_GROUP = "workers"
_FIELD = b"job"


class JobChangeReducer:
    """Reducer of the stream of changed job ids; each is its own generation (redis/hub.py)."""

    def __init__(self) -> None:
        self._generation = 0

    def __call__(self, body: bytes, at_ms: int) -> tuple[int, str]:
        self._generation += 1
        return self._generation, body.decode("ascii", "replace")


class JobQueue:
    """One per process."""

    def __init__(self, redis: RedisLink, prefix: str = "") -> None:
        self._redis = redis
        self._prefix = prefix
        self._stream = prefix + cache_keys.JOB_QUEUE

    async def push(self, job_id: str) -> None:
        """Offer a job to the workers.

        Raises:
            UpstreamUnavailable: Redis is away; workers will find the job in MongoDB.
        """
        with self._redis.translate_errors():
            await self._redis.xadd(
                self._stream, {_FIELD: job_id}, maxlen=MAX_ENTRIES, approximate=True
            )

    async def pop(self) -> str | None:
        """Return the id of a job that no other worker got; None when the queue is empty.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        with self._redis.translate_errors():
            try:
                return await self._pop()
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
            await self._create_group()  # the first time, or Redis came back empty
            return await self._pop()

    async def claim_period(self, name: str, seconds: float) -> bool:
        """Claim a periodic task; true for one caller of all processes every `seconds`.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        key = self._prefix + cache_keys.PERIOD_CLAIM.format(name)
        with self._redis.translate_errors():
            return bool(await self._redis.set(key, 1, nx=True, px=int(seconds * 1000)))

    async def release_period(self, name: str) -> None:
        """Release a claim whose task did not run, so that the next caller gets it."""
        with suppress(UpstreamUnavailable), self._redis.translate_errors():
            await self._redis.delete(self._prefix + cache_keys.PERIOD_CLAIM.format(name))

    async def _pop(self) -> str | None:
        # Without acknowledgement: MongoDB alone says whether a job is done.
        response: Any = await self._redis.xreadgroup(
            _GROUP, "worker", {self._stream: ">"}, count=1, noack=True
        )
        if not response:
            return None
        _, fields = response[0][1][0]
        return str(fields.get(_FIELD, b"").decode("ascii", "replace"))

    async def _create_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, _GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
