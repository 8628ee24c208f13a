"""The documents of all processes: texts that clients registered, and those that operators pushed.

Pushed ones are in MongoDB and, inside `follow`, in memory: a stream in the state's Redis tells of
each push, and MongoDB is looked at besides, for Redis may be away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

from redis.asyncio import Redis

from services.cache.byte_lru import ByteLru
from services.cache.single_flight import SingleFlight
from services.documents.ids import is_sha256
from services.documents.registered import RegisteredDocuments, RegisteredRepository
from services.documents.trusted import TrustedDocument, TrustedDocuments
from services.errors import UpstreamUnavailable
from services.redis import cache_keys
from services.redis.follower import Follower
from services.redis.link import RedisLink
from services.silence import limit_silence
from services.telemetry import metrics

MAX_CHANGES = 100
_BLOCK_SECONDS = 1.0
_SILENCE_SECONDS = 1.0
_LOOK_SECONDS = 30.0  # at MongoDB, though no change was announced
_START_SECONDS = 5.0
_BEGINNING = b"0-0"
_MAX_SEEN = 1_000
Fingerprint = frozenset[tuple[str, float]]


class DocumentRepository(RegisteredRepository, Protocol):
    """Documents in MongoDB; all methods raise UpstreamUnavailable."""

    async def read_fingerprint(self) -> Fingerprint:
        """Read what differs after each push and prune."""

    async def read_pushed(self, known: Mapping[str, str]) -> list[TrustedDocument]:
        """Read all pushed documents, without the texts that are known by their ids."""

    async def find_pushed(self, document_id: str) -> TrustedDocument | None:
        """Return the pushed document of this id."""


class DocumentStore:
    """One per process.

    Args:
        redis: the cache's, which may evict.
        state: one that never evicts.
    """

    def __init__(
        self,
        redis: RedisLink,
        state: RedisLink,
        prefix: str,
        repository: DocumentRepository,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.trusted = TrustedDocuments()
        self._registered = RegisteredDocuments(redis, prefix, repository, clock)
        self._state = state
        self._stream = prefix + cache_keys.DOCUMENTS_CHANGED
        self._repository = repository
        self._lookups: SingleFlight[str | None] = SingleFlight()
        self._seen: ByteLru[str, bool] = ByteLru(_MAX_SEEN, _MAX_SEEN)
        self._fingerprint: Fingerprint | None = None
        self._looked_at = 0.0

    async def find(self, document_id: str) -> str | None:
        """Return the text of an id that is not in memory; None if no store has it.

        Raises:
            UpstreamUnavailable: MongoDB did not answer.
        """
        return await self._lookups.run(document_id, lambda: self._find(document_id))

    async def _find(self, document_id: str) -> str | None:
        text, outcome = None, "redis"
        try:
            if is_sha256(document_id):
                text = await self._registered.find_in_redis(document_id)
            if text is None:
                text, outcome = await self._find_in_mongo(document_id), "database"
        except UpstreamUnavailable:
            metrics.document_lookups_total.labels("failed").inc()
            raise
        metrics.document_lookups_total.labels("missing" if text is None else outcome).inc()
        return text

    async def _find_in_mongo(self, document_id: str) -> str | None:
        pushed = await self._repository.find_pushed(document_id)
        if pushed is not None:
            self.trusted.add(pushed)
            return pushed.text
        return await self._registered.find(document_id) if is_sha256(document_id) else None

    async def refresh(self, document_id: str) -> None:
        """Read again which clients a pushed document belongs to.

        Raises:
            UpstreamUnavailable: MongoDB did not answer.
        """
        pushed = await self._repository.find_pushed(document_id)
        if pushed is not None:
            self.trusted.add(pushed)

    async def register(self, sha256: str, text: str) -> None:
        """Store a text that a client sent with its SHA-256, for all processes."""
        await self._registered.register(sha256, text)

    def is_first_sight(self, digest: str) -> bool:
        """Whether this process was not asked about this digest lately."""
        if self._seen.get(digest):
            return False
        self._seen.put(digest, True, 1)
        return True

    def clear(self) -> None:
        """Forget everything, as a process that has just started."""
        self.trusted.replace(())
        self.trusted.take_used()
        self._seen.clear()
        self._fingerprint = None

    # ---- following pushes

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[None]:
        """Load all pushed documents, if MongoDB answers in time, and follow pushes inside."""
        with suppress(UpstreamUnavailable, TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self.reload()
        reading = partial(self._read, lambda: follower)
        follower: Follower = Follower(self._state, "documents", reading)
        follower.start()
        try:
            yield
        finally:
            await follower.aclose()

    async def announce(self) -> None:
        """Tell all processes that documents were pushed or pruned.

        Raises:
            UpstreamUnavailable: Redis is away; they will see it within half a minute.
        """
        with self._state.translate_errors():
            await self._state.xadd(
                self._stream, {b"changed": b"1"}, maxlen=MAX_CHANGES, approximate=True
            )

    async def reload(self) -> None:
        """Read the pushed documents if they changed.

        Raises:
            UpstreamUnavailable: MongoDB did not answer.
        """
        fingerprint = await self._repository.read_fingerprint()
        self._looked_at = time.monotonic()
        if fingerprint == self._fingerprint:
            return
        known = {one.id: one.text for one in self.trusted.list_all()}
        self.trusted.replace(await self._repository.read_pushed(known))
        self._fingerprint = fingerprint
        metrics.documents_trusted.set(len(self.trusted.list_all()))

    async def _read(self, get_follower: Callable[[], Follower], blocking: Redis) -> None:
        """Follow the stream until Redis fails; MongoDB is looked at before each new try."""
        try:
            last = await self._read_end(blocking)  # first: what comes after is read
        finally:
            await self._look()
        follower = get_follower()
        while True:
            follower.check()
            async with limit_silence(_BLOCK_SECONDS + _SILENCE_SECONDS):
                reply: Any = await blocking.xread(
                    {self._stream: last}, block=int(_BLOCK_SECONDS * 1000)
                )
            if reply or time.monotonic() - self._looked_at > _LOOK_SECONDS:
                last = reply[0][1][-1][0] if reply else await self._read_end(blocking)
                await self._look()
            follower.record_success()

    async def _read_end(self, blocking: Redis) -> bytes:
        """Return the newest id; of a stream that was rebuilt, too."""
        async with limit_silence(_SILENCE_SECONDS):
            entries: Any = await blocking.xrevrange(self._stream, count=1)
        return entries[0][0] if entries else _BEGINNING

    async def _look(self) -> None:
        with suppress(UpstreamUnavailable):
            await self.reload()
