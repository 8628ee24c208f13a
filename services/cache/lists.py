"""Index of cached lists by tag, with a description of each query.

By it a change invalidates exactly the lists it affects, and a tag can be purged. A tag is a hash of
cache key -> digest of the description, which is stored once, however many tags and pages have it.
Both live longer than any entry they name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from services.errors import UpstreamUnavailable
from services.redis.cache_keys import CHANGED, DAY, LISTED, LISTS
from services.redis.link import RedisLink

_SECONDS = 2 * DAY
_MAX_LISTS = 20_000  # under one tag; beyond it the tag is emptied
_BATCH = 500  # keys in one command
_CHANGED_MS = 10_000  # as long as a changed key is marked
ListDescriptions = Mapping[
    str, tuple[Iterable[str], bytes]
]  # cache key -> its tags, its description


class ListRegistration(NamedTuple):
    """Result of registering lists, before they are read."""

    may_store: bool
    is_changed: bool = False  # a film of these tags changed moments ago: a secondary may lag
    full: tuple[str, ...] = ()  # tags with too many lists


def _digest(description: bytes) -> bytes:
    return hashlib.blake2b(description, digest_size=16).digest()


class ListIndex:
    """Access to the index in Redis; one per process."""

    def __init__(self, redis: RedisLink, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def register(self, lists: ListDescriptions) -> ListRegistration | None:
        """Register lists before they are read; None: Redis is away, so none may be stored."""
        by_tag: dict[str, dict[str, bytes]] = {}
        descriptions: dict[bytes, bytes] = {}
        for key, (tags, description) in lists.items():
            digest = _digest(description)
            descriptions[digest] = description
            for tag in tags:
                by_tag.setdefault(tag, {})[key] = digest
        pipeline = self._redis.pipeline(transaction=False)
        for digest, description in descriptions.items():
            pipeline.set(self._description_key(digest), description, ex=_SECONDS)
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
        answers = answers[len(descriptions) :]
        sizes = zip(by_tag, answers[2::4], strict=True)
        full = tuple(tag for tag, size in sizes if size > _MAX_LISTS)
        return ListRegistration(not full, any(answers[3::4]), full)

    async def read(self, tags: Iterable[str]) -> dict[str, bytes] | None:
        """Return each list registered under these tags with its description; None: Redis away.

        The description is empty where Redis has lost it.
        """
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
        digests = {key.decode(): digest for one in hashes for key, digest in one.items()}
        descriptions = await self._read_descriptions(list(set(digests.values())))
        if descriptions is None:
            return None
        return {key: descriptions[digest] for key, digest in digests.items()}

    async def _read_descriptions(self, digests: list[bytes]) -> dict[bytes, bytes] | None:
        found: list[Any] = []
        try:
            with self._redis.translate_errors():
                for first in range(0, len(digests), _BATCH):
                    batch = digests[first : first + _BATCH]
                    found += await self._redis.mget(map(self._description_key, batch))
        except UpstreamUnavailable:
            return None
        return {digest: text or b"" for digest, text in zip(digests, found, strict=True)}

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

    def _description_key(self, digest: bytes) -> str:
        return self._prefix + LISTED.format(digest.hex())

    def _changed_key(self, tag: str) -> str:
        return self._prefix + CHANGED + LISTS.format(tag)
