"""Index of cached lists by tag, with a description of each query.

By it a change invalidates exactly the lists it affects, and a tag can be purged. A tag is a hash of
cache key -> description and lives longer than any entry it names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from services.errors import UpstreamUnavailable
from services.redis.cache_keys import CHANGED, DAY, LISTS
from services.redis.link import RedisLink

_SECONDS = 2 * DAY
_MAX_LISTS = 20_000  # under one tag; beyond it the tag is emptied
_CHANGED_MS = 10_000  # as long as a changed key is marked
ListDescriptions = Mapping[
    str, tuple[Iterable[str], bytes]
]  # cache key -> its tags, its description


class ListRegistration(NamedTuple):
    """Result of registering lists, before they are read."""

    may_store: bool
    is_changed: bool = False  # a film of these tags changed moments ago: a secondary may lag
    full: tuple[str, ...] = ()  # tags with too many lists


class ListIndex:
    """Access to the index in Redis; one per process."""

    def __init__(self, redis: RedisLink, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def register(self, lists: ListDescriptions) -> ListRegistration | None:
        """Register lists before they are read; None: Redis is away, so none may be stored."""
        by_tag: dict[str, dict[str, bytes]] = {}
        for key, (tags, description) in lists.items():
            for tag in tags:
                by_tag.setdefault(tag, {})[key] = description
        pipeline = self._redis.pipeline(transaction=False)
        for tag, described in by_tag.items():
            pipeline.hset(self._tag_key(tag), mapping=described)  # type: ignore[arg-type]
            pipeline.expire(self._tag_key(tag), _SECONDS)
            pipeline.hlen(self._tag_key(tag))
            pipeline.exists(self._changed_key(tag))  # after HSET: a change marks before it looks
        try:
            with self._redis.translate_errors():
                answers = await pipeline.execute()
        except UpstreamUnavailable:
            return None
        sizes = zip(by_tag, answers[2::4], strict=True)
        full = tuple(tag for tag, size in sizes if size > _MAX_LISTS)
        return ListRegistration(not full, any(answers[3::4]), full)

    async def read(self, tags: Iterable[str]) -> dict[str, bytes] | None:
        """Return each list registered under these tags with its description; None: Redis away."""
        return await self._read(tags, marking=False)

    async def read_changing(self, tags: Iterable[str]) -> dict[str, bytes] | None:
        """Like `read`, and mark the tags as changed, once a film of theirs has changed.

        Lists registered while the mark lasts are read from the primary.
        """
        return await self._read(tags, marking=True)

    async def _read(self, tags: Iterable[str], *, marking: bool) -> dict[str, bytes] | None:
        names = list(tags)
        pipeline = self._redis.pipeline(transaction=False)
        for tag in names if marking else ():
            pipeline.set(self._changed_key(tag), b"1", px=_CHANGED_MS)
        for tag in names:
            pipeline.hgetall(self._tag_key(tag))
        try:
            with self._redis.translate_errors():
                answers = await pipeline.execute()
        except UpstreamUnavailable:
            return None
        hashes = answers[-len(names) :] if names else []
        return {key.decode(): text for one in hashes for key, text in one.items()}

    async def drop(self, tags: Iterable[str], keys: Collection[str]) -> None:
        """Remove lists from the index.

        Call it before the lists are invalidated: a list stored again meanwhile stays registered.
        """
        if not keys:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for tag in tags:
            pipeline.hdel(self._tag_key(tag), *keys)
        try:
            with self._redis.translate_errors():
                await pipeline.execute()
        except UpstreamUnavailable:
            return  # an entry too many does no harm

    def _tag_key(self, tag: str) -> str:
        return self._prefix + LISTS.format(tag)

    def _changed_key(self, tag: str) -> str:
        return self._prefix + CHANGED + LISTS.format(tag)
