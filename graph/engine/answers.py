"""Whole answers of public operations as encoded bytes: a hit runs nothing and encodes nothing.

An answer lives as long as its shortest-lived root field and dies with anything it was made of: it
is tagged with the cache keys its loaders read. What changes while it is being made keeps it out.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graph.engine.documents import Operation
from services.cache.cache import Cache, count

AnswerKey = tuple[Operation, bytes]
_MAX_BYTES = 64 * 1024 * 1024
_MAX_ANSWER_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """`etag` is quoted, as the header wants it."""

    body: bytes
    etag: bytes
    expires_at: float
    tags: frozenset[str]

    def remaining_seconds(self, now: float) -> int:
        return max(0, int(self.expires_at - now))


class Answers:
    """One per process."""

    def __init__(self, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._clock = clock
        self._stored: OrderedDict[AnswerKey, StoredAnswer] = OrderedDict()
        self._by_tag: dict[str, set[AnswerKey]] = {}
        self._bytes = 0
        cache.on_invalidate(self.drop)

    @property
    def enabled(self) -> bool:
        return self._cache.uses_answers

    def now(self) -> float:
        return self._clock()

    def get(self, key: AnswerKey) -> StoredAnswer | None:
        stored = self._stored.get(key)
        if stored is not None and stored.expires_at > self._clock():
            count("response", 1, 0)
            return stored
        if stored is not None:
            self._remove(key)
        count("response", 0, 1)
        return None

    def changes(self) -> int:
        """Compare before and after making an answer: unequal, and it must not be kept."""
        return self._cache.changes

    def put(self, key: AnswerKey, body: bytes, seconds: int, tags: Iterable[str]) -> StoredAnswer:
        etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        stored = StoredAnswer(body, etag, self._clock() + seconds, frozenset(tags))
        if len(body) > _MAX_ANSWER_BYTES:
            return stored
        self._remove(key)
        self._stored[key] = stored
        self._bytes += len(body)
        for tag in stored.tags:
            self._by_tag.setdefault(tag, set()).add(key)
        while self._bytes > _MAX_BYTES:
            self._remove(next(iter(self._stored)))
        return stored

    def drop(self, tags: Iterable[str] | None) -> None:
        """Everything made of these cache keys; everything there is, for None."""
        if tags is None:
            self._stored.clear()
            self._by_tag.clear()
            self._bytes = 0
            return
        for tag in tags:
            for key in list(self._by_tag.get(tag, ())):
                self._remove(key)

    def _remove(self, key: AnswerKey) -> None:
        stored = self._stored.pop(key, None)
        if stored is None:
            return
        self._bytes -= len(stored.body)
        for tag in stored.tags:
            holders = self._by_tag.get(tag)
            if holders is not None:
                holders.discard(key)
                if not holders:
                    del self._by_tag[tag]
