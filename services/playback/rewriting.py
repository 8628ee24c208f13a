"""Progress that Redis knows, queued for MongoDB once more.

For a MongoDB that was restored from a backup: Redis has the positions of the last seven days, those
told as durable too. Where MongoDB has a later one it stays, so that repeating it is harmless.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from services.playback.keys import ProgressKeys
from services.playback.progress_scripts import progress_script
from services.redis.link import RedisLink

_REWRITE = progress_script("rewrite_progress")
_FULL = -1
_SHARE = 0.5  # of the stream's entries; the others are for what viewers report meanwhile
_PAUSE_SECONDS = 0.5
_AT_ONCE = 200


async def rewrite_progress(
    redis: RedisLink, keys: ProgressKeys, shard_entries: int, pause_seconds: float = _PAUSE_SECONDS
) -> int:
    """Queue all progress in Redis for the workers, as fast as they write; returns how much.

    Raises:
        UpstreamUnavailable: Redis is away; begin again.
    """
    count, batch = 0, []
    async for title in _iterate_titles(redis, keys):
        batch.append(title)
        if len(batch) == _AT_ONCE:
            count += await _queue(redis, keys, batch, shard_entries, pause_seconds)
            batch = []
    return count + await _queue(redis, keys, batch, shard_entries, pause_seconds)


async def _iterate_titles(redis: RedisLink, keys: ProgressKeys) -> AsyncIterator[tuple[str, str]]:
    """User and title of each progress; some may come twice."""
    pattern = keys.progress("*", "*").rpartition(":")[0]
    name = re.compile(re.escape(pattern).replace(r"\*", "([^:]+)") + r":\{p\d+\}")
    with redis.translate_errors():
        async for key in redis.scan_iter(match=pattern + ":*", count=1000):
            parts = name.fullmatch(key.decode(errors="replace"))
            if parts is not None:
                yield parts[1], parts[2]


async def _queue(
    redis: RedisLink,
    keys: ProgressKeys,
    titles: list[tuple[str, str]],
    shard_entries: int,
    pause_seconds: float,
) -> int:
    """Queue these titles; waits for the workers where a stream is full."""
    count = 0
    while titles:
        answers = await asyncio.gather(
            *(_rewrite(redis, keys, *title, int(_SHARE * shard_entries)) for title in titles)
        )
        count += sum(answer > 0 for answer in answers)
        titles = [title for title, answer in zip(titles, answers, strict=True) if answer == _FULL]
        if titles:
            await asyncio.sleep(pause_seconds)
    return count


async def _rewrite(
    redis: RedisLink, keys: ProgressKeys, user_id: str, playable_id: str, most: int
) -> int:
    names = (
        keys.progress(user_id, playable_id),
        keys.unflushed(user_id),
        keys.stream(keys.shard(user_id)),
    )
    answer = await redis.scripts.call(_REWRITE, 3, *names, user_id, playable_id, most)
    return int(answer)
