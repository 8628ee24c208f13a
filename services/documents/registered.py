"""Texts that clients registered under their SHA-256: in Redis, with a copy in MongoDB.

Redis answers first and has those used last, within a number of bytes; it may lose all of them. What
is written to MongoDB is bounded per process and minute, and trimmed there by a worker.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Protocol

from services.errors import UpstreamUnavailable
from services.redis import cache_keys
from services.redis.link import RedisLink
from services.redis.scripts import Script
from services.telemetry import metrics

MAX_REDIS_BYTES = 32 * 1024 * 1024
MAX_WRITTEN_BYTES = 2 * 1024 * 1024  # to MongoDB, a minute and process
_EXPIRE_SECONDS = 30 * 24 * 3600
_WINDOW_SECONDS = 60.0
_REGISTER = Script("documents", "document_register")
_FIND = Script("documents", "document_find")


class RegisteredRepository(Protocol):
    """The copy; both methods raise UpstreamUnavailable."""

    async def find_registered(self, sha256: str) -> str | None:
        """Return the text of this SHA-256; None if there is none."""

    async def save_registered(self, sha256: str, text: str) -> None:
        """Store a text."""


class RegisteredDocuments:
    """One per process."""

    def __init__(
        self,
        redis: RedisLink,
        prefix: str,
        repository: RegisteredRepository,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._scripts = redis.scripts
        names = (cache_keys.DOCUMENT_TEXTS, cache_keys.DOCUMENT_USES)
        self._keys = tuple(prefix + name for name in names)
        self._repository = repository
        self._clock = clock
        self._window = (0.0, 0)  # its beginning, and the bytes written in it

    async def find(self, sha256: str) -> str | None:
        """Return the text of this SHA-256; None if nobody registered it.

        Raises:
            UpstreamUnavailable: Redis does not have it, and MongoDB did not answer.
        """
        text = await self.find_in_redis(sha256)
        if text is None:
            text = await self._repository.find_registered(sha256)
            if text is not None and _is_of(sha256, text):
                await self._store_in_redis(sha256, text)
        return text if text is not None and _is_of(sha256, text) else None

    async def find_in_redis(self, sha256: str) -> str | None:
        """Return the text that Redis has; None where it has none, or is away."""
        try:
            text = await self._scripts.call(_FIND, 2, *self._keys, sha256, self._now_ms())
        except UpstreamUnavailable:
            return None
        decoded = None if text is None else text.decode("utf-8", "replace")
        return decoded if decoded is not None and _is_of(sha256, decoded) else None

    async def register(self, sha256: str, text: str) -> None:
        """Store a text for all processes; a store that is away is left out."""
        is_in_redis = await self._store_in_redis(sha256, text)
        is_in_mongo = await self._copy(sha256, text)
        outcome = "stored" if is_in_mongo else "redis_only" if is_in_redis else "lost"
        metrics.document_registrations_total.labels(outcome).inc()

    async def _store_in_redis(self, sha256: str, text: str) -> bool:
        bounds = (self._now_ms(), MAX_REDIS_BYTES, _EXPIRE_SECONDS)
        try:
            await self._scripts.call(_REGISTER, 2, *self._keys, sha256, text.encode(), *bounds)
        except UpstreamUnavailable:
            return False
        return True

    async def _copy(self, sha256: str, text: str) -> bool:
        if not self._takes(len(text.encode())):
            return False
        try:
            await self._repository.save_registered(sha256, text)
        except UpstreamUnavailable:
            return False
        return True

    def _takes(self, size: int) -> bool:
        """Count bytes to be written; false beyond those of a minute."""
        begun_at, written = self._window
        now = self._clock()
        if not 0 <= now - begun_at < _WINDOW_SECONDS:
            begun_at, written = now, 0
        if written + size > MAX_WRITTEN_BYTES:
            return False
        self._window = begun_at, written + size
        return True

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _is_of(sha256: str, text: str) -> bool:
    return hashlib.sha256(text.encode()).hexdigest() == sha256
