"""Which lists are cached, by tag, with what each was asked: so that a change can forget exactly the
lists it changed, and a tag can be purged.

A tag is a hash of cache key -> description. It lives longer than any entry it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.cache_keys import DAY, LISTS
from services.redis_pool import Client, Failure

_SECONDS = 2 * DAY
_MOST_LISTS = 20_000  # under one tag; then it begins anew
Described = Mapping[str, tuple[Iterable[str], bytes]]  # cache key -> its tags, its description


class ListIndex:
    """One per process."""

    def __init__(self, redis: Client, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def remember(self, lists: Described) -> list[str] | None:
        """Notes lists before they are stored. Returns the tags that are full by now; None: nothing
        could be noted, so nothing may be stored."""
        by_tag: dict[str, dict[str, bytes]] = {}
        for key, (tags, description) in lists.items():
            for tag in tags:
                by_tag.setdefault(tag, {})[key] = description
        pipeline = self._redis.pipeline(transaction=False)
        for tag, described in by_tag.items():
            pipeline.hset(self._name(tag), mapping=described)  # type: ignore[arg-type]
            pipeline.expire(self._name(tag), _SECONDS)
            pipeline.hlen(self._name(tag))
        try:
            answers = await pipeline.execute()
        except Failure:
            return None
        sizes = zip(by_tag, answers[2::3], strict=True)
        return [tag for tag, size in sizes if size > _MOST_LISTS]

    async def read(self, tags: Iterable[str]) -> dict[str, bytes]:
        """Every list noted under these tags, with its description; nothing with Redis away."""
        pipeline = self._redis.pipeline(transaction=False)
        for tag in tags:
            pipeline.hgetall(self._name(tag))
        try:
            answers = await pipeline.execute()
        except Failure:
            return {}
        return {key.decode(): text for answer in answers for key, text in answer.items()}

    async def drop(self, tags: Iterable[str], keys: Iterable[str]) -> None:
        """Forgets that these lists were noted, once they are forgotten themselves."""
        names = list(keys)
        if not names:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for tag in tags:
            pipeline.hdel(self._name(tag), *names)
        try:
            await pipeline.execute()
        except Failure:
            return  # they are noted once more than needed

    def _name(self, tag: str) -> str:
        return self._prefix + LISTS.format(tag)
