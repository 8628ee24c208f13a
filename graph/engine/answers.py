"""Whole answers of public operations as encoded bytes: a hit runs nothing and encodes nothing.

An answer lives as long as its shortest-lived field and dies with anything it was made of: it is
found by the cache keys its loaders read. What changes while it is being made keeps it out.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from graph.base.freshness import Freshness
from services.cache.byte_lru import ByteLru
from services.cache.cache import Cache
from services.cache.read_counts import count_reads

# The document's digest, the operation's name, and a digest of the coerced variables.
AnswerKey = tuple[str, str | None, bytes]
HeaderLines = Sequence[tuple[bytes, bytes]]
RenderTags = Callable[[Iterable[str]], HeaderLines]
_MAX_BYTES = 64 * 1024 * 1024
_MAX_ANSWERS = 50_000
_MAX_ANSWER_BYTES = 512 * 1024
_OVERHEAD_BYTES = 1_000  # of an answer with its key
_CACHE_KEY_BYTES = 150  # of a cache key beside its text: its place in two indexes
_SWEEP_SECONDS = 10.0
_ETAG_DIGITS = 24  # of SHA-256, for which processors have instructions


def digest_variables(coerced: Mapping[str, Any]) -> bytes:
    """Digest coerced variables; what JSON has no form for is written as Python shows it."""
    if not coerced:
        return b""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    text = orjson.dumps(coerced, default=repr, option=options)
    return hashlib.blake2b(text, digest_size=16).digest()


def build_etag(body: bytes) -> bytes:
    """Build the strong entity tag of a response, in quotes."""
    return b'"%b"' % hashlib.sha256(body).hexdigest()[:_ETAG_DIGITS].encode()


class Sources(Protocol):
    """What an operation read, which its answer was built from."""

    def seen_cache_keys(self) -> Iterable[str]:
        """Cache keys."""

    def seen_tags(self) -> Iterable[str]:
        """Tags by which a CDN drops the answer."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An encoded response; `etag` is quoted, as the header requires.

    `cache_keys` are what it was built from; `tag_lines` the header lines by which a CDN drops it.
    """

    body: bytes
    etag: bytes
    freshness: Freshness
    expires_at: float
    cache_keys: frozenset[str]
    tag_lines: HeaderLines = ()

    def age_seconds(self, now: float) -> int:
        """Return the whole seconds since it was built."""
        return max(0, self.freshness.max_age - int(self.expires_at - now))

    def is_expired(self, now: float) -> bool:
        """Whether it may not be used any more."""
        return self.expires_at <= now


class Answers:
    """Cache of encoded responses, one per process, bounded by bytes, keys and tags included.

    Args:
        render_tags: gives the header lines with tags for a CDN; None: there is none that has tags.
    """

    def __init__(
        self,
        cache: Cache,
        clock: Callable[[], float] = time.monotonic,
        render_tags: RenderTags | None = None,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._render_tags = render_tags
        self._stored: ByteLru[AnswerKey, StoredAnswer] = ByteLru(
            _MAX_BYTES, _MAX_ANSWERS, self._forget_tags
        )
        self._by_cache_key: dict[str, set[AnswerKey]] = {}
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
        freshness: Freshness,
        sources: Sources,
        since: int,
    ) -> StoredAnswer:
        """Store a response; beyond the limit others leave, or it itself.

        Args:
            sources: what the response was built from.
            since: `changes` before it was built.

        Returns:
            The answer. One that is too large is not stored, nor one built from what changed
            meanwhile, which has expired at once.
        """
        etag = build_etag(body)
        expires_at = self._clock() + freshness.max_age
        lines = self._render_tags(sources.seen_tags()) if self._render_tags is not None else ()
        if not self._cache.uses_answers and self._cache.changes == since:  # nobody needs its keys
            return StoredAnswer(body, etag, freshness, expires_at, frozenset(), lines)
        cache_keys = frozenset(sources.seen_cache_keys())
        stored = StoredAnswer(body, etag, freshness, expires_at, cache_keys, lines)
        if self._cache.has_changed(stored.cache_keys, since):
            return replace(stored, expires_at=self._clock())
        if len(body) > _MAX_ANSWER_BYTES or not self._cache.uses_answers:
            return stored
        self._sweep()
        self._stored.pop(key)
        for name in stored.cache_keys:
            self._by_cache_key.setdefault(name, set()).add(key)
        key_bytes = sum(len(name) + _CACHE_KEY_BYTES for name in stored.cache_keys)
        line_bytes = sum(len(value) for _, value in lines)
        self._stored.put(key, stored, len(body) + key_bytes + line_bytes + _OVERHEAD_BYTES)
        return stored

    def drop(self, cache_keys: Iterable[str] | None) -> None:
        """Remove every answer built from these cache keys; for None, all answers."""
        if cache_keys is None:
            self._stored.clear()
            self._by_cache_key.clear()
            return
        for name in cache_keys:
            for key in list(self._by_cache_key.get(name, ())):
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
        for name in stored.cache_keys:
            holders = self._by_cache_key.get(name)
            if holders is not None:
                holders.discard(key)
                if not holders:
                    del self._by_cache_key[name]
