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
from services.cache.cache import Cache
from services.cache.read_counts import count_reads

AnswerKey = tuple[Operation, bytes]
_MAX_BYTES = 64 * 1024 * 1024
_MAX_ANSWER_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An encoded response; `etag` is quoted, as the header requires."""

    body: bytes
    etag: bytes
    expires_at: float
    tags: frozenset[str]

    def remaining_seconds(self, now: float) -> int:
        """Return the whole seconds until the answer expires, at least 0."""
        return max(0, int(self.expires_at - now))


class Answers:
    """Cache of encoded responses, one per process, bounded by bytes."""

    def __init__(self, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._clock = clock
        self._stored: OrderedDict[AnswerKey, StoredAnswer] = OrderedDict()
        self._by_tag: dict[str, set[AnswerKey]] = {}
        self._bytes = 0
        cache.on_invalidate(self.drop)

    @property
    def enabled(self) -> bool:
        """Whether answers are cached at all."""
        return self._cache.uses_answers

    def now(self) -> float:
        """Return the clock's time, in seconds."""
        return self._clock()

    def get(self, key: AnswerKey) -> StoredAnswer | None:
        """Return the stored answer that has not expired, and count the hit or the miss."""
        stored = self._stored.get(key)
        if stored is not None and stored.expires_at > self._clock():
            count_reads("response", 1, 0)
            return stored
        if stored is not None:
            self._remove(key)
        count_reads("response", 0, 1)
        return None

    def changes(self) -> int:
        """Return the number of invalidations so far.

        An answer built while it grew may be outdated and must not be stored.
        """
        return self._cache.changes

    def put(self, key: AnswerKey, body: bytes, seconds: int, tags: Iterable[str]) -> StoredAnswer:
        """Store a response for so many seconds, evicting the oldest beyond the byte limit.

        Args:
            tags: the cache keys the response was built from.

        Returns:
            The answer; one above the size limit of an answer is returned without being stored.
        """
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
        """Remove every answer built from these cache keys; for None, all answers."""
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
