"""Whole answers of public operations as encoded bytes: a hit runs nothing and encodes nothing.

An answer lives as long as its shortest-lived root field and dies with anything it was made of: it
is tagged with the cache keys its loaders read. What changes while it is being made keeps it out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from services.cache.byte_lru import ByteLru
from services.cache.cache import Cache
from services.cache.read_counts import count_reads

# The document's digest, the operation's name, and a digest of the coerced variables.
AnswerKey = tuple[str, str | None, bytes]
_MAX_BYTES = 64 * 1024 * 1024
_MAX_ANSWERS = 50_000
_MAX_ANSWER_BYTES = 512 * 1024
_OVERHEAD_BYTES = 1_000  # of an answer with its key
_TAG_BYTES = 150  # of a tag beside its text: its place in two indexes
_SWEEP_SECONDS = 10.0


def digest_variables(coerced: Mapping[str, Any]) -> bytes:
    """Digest coerced variables; what JSON has no form for is written as Python shows it."""
    if not coerced:
        return b""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    text = orjson.dumps(coerced, default=repr, option=options)
    return hashlib.blake2b(text, digest_size=16).digest()


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
    """Cache of encoded responses, one per process, bounded by bytes, keys and tags included."""

    def __init__(self, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._clock = clock
        self._stored: ByteLru[AnswerKey, StoredAnswer] = ByteLru(
            _MAX_BYTES, _MAX_ANSWERS, self._forget_tags
        )
        self._by_tag: dict[str, set[AnswerKey]] = {}
        self._swept_at = clock()
        cache.on_invalidate(self.drop)

    def now(self) -> float:
        """Return the clock's time, in seconds."""
        return self._clock()

    def get(self, key: AnswerKey) -> StoredAnswer | None:
        """Return the stored answer that has not expired, and count the hit or the miss."""
        stored = self.recall(key)
        if stored is None and self._cache.uses_answers:
            self._stored.pop(key)
            count_reads("response", 0, 1)
        return stored

    def recall(self, key: AnswerKey) -> StoredAnswer | None:
        """Return the stored answer that has not expired, and count the hit alone."""
        stored = self._stored.get(key) if self._cache.uses_answers else None
        if stored is None or stored.expires_at <= self._clock():
            return None
        count_reads("response", 1, 0)
        return stored

    def changes(self) -> int:
        """Return the number of invalidations so far, to be given to `put`."""
        return self._cache.changes

    def put(
        self,
        key: AnswerKey,
        body: bytes,
        seconds: int,
        find_tags: Callable[[], Iterable[str]],
        since: int,
    ) -> StoredAnswer:
        """Store a response for so many seconds; beyond the limit others leave, or it itself.

        Args:
            find_tags: gives the cache keys the response was built from.
            since: `changes` before it was built.

        Returns:
            The answer. One that is too large is not stored, nor one built from what changed
            meanwhile, which has expired at once.
        """
        etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        expires_at = self._clock() + seconds
        if not self._cache.uses_answers and self._cache.changes == since:
            return StoredAnswer(body, etag, expires_at, frozenset())  # nobody needs its tags
        stored = StoredAnswer(body, etag, expires_at, frozenset(find_tags()))
        if self._cache.has_changed(stored.tags, since):
            return replace(stored, expires_at=self._clock())
        if len(body) > _MAX_ANSWER_BYTES or not self._cache.uses_answers:
            return stored
        self._sweep()
        self._stored.pop(key)
        for tag in stored.tags:
            self._by_tag.setdefault(tag, set()).add(key)
        tag_bytes = sum(len(tag) + _TAG_BYTES for tag in stored.tags)
        self._stored.put(key, stored, len(body) + tag_bytes + _OVERHEAD_BYTES)
        return stored

    def drop(self, tags: Iterable[str] | None) -> None:
        """Remove every answer built from these cache keys; for None, all answers."""
        if tags is None:
            self._stored.clear()
            self._by_tag.clear()
            return
        for tag in tags:
            for key in list(self._by_tag.get(tag, ())):
                self._stored.pop(key)

    def _sweep(self) -> None:
        """Remove what has expired, at most every ten seconds."""
        now = self._clock()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self._swept_at = now
            expired = [key for key, stored in self._stored.items() if stored.expires_at <= now]
            for key in expired:
                self._stored.pop(key)

    def _forget_tags(self, key: AnswerKey, stored: StoredAnswer) -> None:
        for tag in stored.tags:
            holders = self._by_tag.get(tag)
            if holders is not None:
                holders.discard(key)
                if not holders:
                    del self._by_tag[tag]
