"""Agreement of all processes on PROGRESS_SHARDS, which is part of the names of progress keys.

Two layouts at once would hide from each other what is not flushed. So a process does not start
while others use another number, or while progress waits in the shards of another number; the first
to start with a new one clears what the old one left.
"""

from __future__ import annotations

from typing import Any

from services.errors import StartupError
from services.playback.keys import ProgressKeys
from services.redis import cache_keys
from services.redis.link import RedisLink
from services.redis.scripts import Script
from services.telemetry.logs import get_logger

_COUNTS_SECONDS = 6.0  # a process that said nothing for so long has ended: it does each second
_BATCH = 1000
_JOIN = Script("playback", "join_layout")

log = get_logger("progress_layout")


class ProgressLayout:
    """This process's word on the number of shards, one object per process."""

    def __init__(self, redis: RedisLink, shards: int, prefix: str = "") -> None:
        self._redis = redis
        self._shards = shards
        self._prefix = prefix
        self._key = prefix + cache_keys.PROGRESS_LAYOUTS

    async def join(self) -> None:
        """Say which number of shards this process uses.

        Raises:
            StartupError: other processes, or progress that waits, have another number of shards.
            UpstreamUnavailable: Redis is away.
        """
        others = await self._say()
        await self._refuse_beside(others)
        if others:
            await self._replace([shards for shards, _ in others])

    async def check(self) -> None:
        """Say whether a process could join, and change nothing.

        Raises:
            StartupError, UpstreamUnavailable: as `join`.
        """
        with self._redis.translate_errors():
            said: dict[Any, Any] = await self._redis.hgetall(self._key)
            seconds, microseconds = await self._redis.time()
        counts_from_ms = seconds * 1000 + microseconds / 1000 - _COUNTS_SECONDS * 1000
        layouts = {int(shards): float(at_ms) >= counts_from_ms for shards, at_ms in said.items()}
        layouts.pop(self._shards, None)
        await self._refuse_beside(list(layouts.items()))

    async def _refuse_beside(self, others: list[tuple[int, bool]]) -> None:
        for shards, is_used in others:
            if is_used:
                raise StartupError(
                    f"PROGRESS_SHARDS is {self._shards}, but running processes use {shards}: "
                    f"end all of them first, or keep {shards}."
                )
            if await self._count_waiting(shards):
                raise StartupError(
                    f"PROGRESS_SHARDS is {self._shards}, but progress waits in {shards} shards: "
                    f"run a worker with PROGRESS_SHARDS={shards} until none does."
                )

    async def _say(self) -> list[tuple[int, bool]]:
        answer = await self._redis.scripts.call(
            _JOIN, 1, self._key, self._shards, int(_COUNTS_SECONDS * 1000)
        )
        return [(int(shards), bool(is_used)) for shards, is_used in answer]

    async def _count_waiting(self, shards: int) -> int:
        keys = ProgressKeys(shards, self._prefix)
        pipeline = self._redis.pipeline(transaction=False)
        for shard in keys.shards:
            pipeline.xlen(keys.stream(shard))
        with self._redis.translate_errors():
            return sum(await pipeline.execute())

    async def _replace(self, shards: list[int]) -> None:
        """Clear what older layouts left, all of which MongoDB has; then they are forgotten."""
        await self._clear_flushed()
        with self._redis.translate_errors():
            await self._redis.hdel(self._key, *(str(number) for number in shards))
        await self._say()
        log.info("progress_layout_changed", shards=self._shards, before=shards)

    async def _clear_flushed(self) -> None:
        """Or it would be taken for new if its number of shards came back."""
        pattern = self._prefix + cache_keys.USER_PROGRESS.format("*", "*", "*")
        cursor: int = 0
        while True:
            with self._redis.translate_errors():
                cursor, names = await self._redis.scan(cursor, match=pattern, count=_BATCH)
                await self._unlink_flushed(names)
            if cursor == 0:
                return

    async def _unlink_flushed(self, names: list[Any]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.ttl(name)
        lifetimes = await pipeline.execute() if names else []
        flushed = [name for name, seconds in zip(names, lifetimes, strict=True) if seconds >= 0]
        if flushed:
            await self._redis.unlink(*flushed)
