"""Revocations of sign-ins, users and API keys before their tokens expire, in every process.

Stored in MongoDB, published through a stream of the state's Redis, and cached in bounded memory
until the last token they could end has expired. While Redis is away a process polls MongoDB.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Redis

from services.errors import UpstreamUnavailable
from services.redis.follower import Follower
from services.redis.guard import Failure
from services.redis.link import RedisLink
from services.silence import limit_silence
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("revocations")
_MAX_STREAM_ENTRIES = 10_000
_MAX_ACTIVE = 200_000
# Redis falling silent is noticed, and MongoDB read, well within a second.
_BLOCK_SECONDS = 0.3
_SILENCE_SECONDS = 0.3
_PAUSE_SECONDS = 0.3
_OVERLAP_SECONDS = 10.0  # clocks of two machines differ, and a write takes a moment
_JUST_AFTER_SECONDS = 1e-6
_READ_AT_ONCE = 1000
_BEGINNING = b"0-0"


class RevocationKind(Enum):
    """Kind of access that a revocation ends: one sign-in, all of a user, or an API key."""

    LOGIN = "login"
    USER = "user"
    KEY = "key"


class Revocation(NamedTuple):
    """`at` (seconds since 1970): of a user, what was issued until then has ended."""

    kind: RevocationKind
    subject: str
    at: float


class TokenHolder(Protocol):
    """Bearer of a token or an API key; `login_id` is the key's id for a key."""

    @property
    def user_id(self) -> str:
        """User the token belongs to."""

    @property
    def login_id(self) -> str:
        """Sign-in or API key the token belongs to."""

    @property
    def issued_at(self) -> float:
        """Issue time in seconds since 1970."""


class RevocationRepository(Protocol):
    """Revocations that survive Redis and restarts; both methods raise UpstreamUnavailable."""

    async def save(self, revocations: Sequence[Revocation], lifetime_seconds: float) -> None:
        """Store revocations for `lifetime_seconds`."""

    async def list_since(self, moment: float, most: int) -> list[Revocation]:
        """List revocations written since `moment`, at most `most`: the newest."""


class Revocations:
    """Revocations in force, one object per process.

    Args:
        lifetime_seconds: the longest life of a token that a revocation can end.
    """

    def __init__(
        self,
        redis: RedisLink,
        stream: str,
        store: RevocationRepository,
        *,
        lifetime_seconds: float,
        clock: Callable[[], float] = time.time,
        max_active: int = _MAX_ACTIVE,
    ) -> None:
        self._redis = redis
        self._stream = stream
        self._store = store
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock
        self._max_active = max_active
        self._revoked_logins: dict[str, float] = {}  # sign-ins and keys
        self._revoked_users: dict[str, float] = {}
        self._active: deque[tuple[float, Revocation]] = deque()  # oldest first, with its end
        self._unpublished: deque[Revocation] = deque(maxlen=_MAX_STREAM_ENTRIES)
        self._callbacks: list[Callable[[Revocation], None]] = []
        self._read_at: float | None = None
        self._last: bytes | None = None  # read from there on; None: from the stream's end
        self._follower = Follower(
            redis, "revocations", self._follow, longest_pause_seconds=_PAUSE_SECONDS
        )
        self._publishing: set[asyncio.Task[None]] = set()

    # ---- asking

    def is_revoked(self, holder: TokenHolder) -> bool:
        """Say whether this token or key was revoked: two lookups in memory."""
        if holder.login_id in self._revoked_logins:
            return True
        at = self._revoked_users.get(holder.user_id)
        return at is not None and holder.issued_at <= at

    def is_login_revoked(self, login_id: str) -> bool:
        """Say whether this sign-in was revoked."""
        return login_id in self._revoked_logins

    def issue_time(self, user_id: str, now: float) -> float:
        """Choose the issue time of a new token: later than the user's last revocation."""
        at = self._revoked_users.get(user_id)
        return now if at is None or at < now else at + _JUST_AFTER_SECONDS

    def subscribe(self, callback: Callable[[Revocation], None]) -> Callable[[], None]:
        """Call `callback` in the loop for each new revocation; returns the unsubscriber."""
        self._callbacks.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return unsubscribe

    # ---- revoking

    async def revoke_login(self, login_id: str, *, at: float | None = None) -> None:
        """Revoke one sign-in's access tokens and media addresses.

        Raises:
            UpstreamUnavailable: revoked here, and where Redis publishes it, but not safely stored.
        """
        await self._revoke(RevocationKind.LOGIN, [login_id], at)

    async def revoke_logins(self, login_ids: Iterable[str], *, at: float | None = None) -> None:
        """Revoke the access tokens and media addresses of several sign-ins."""
        await self._revoke(RevocationKind.LOGIN, login_ids, at)

    async def revoke_user(self, user_id: str, *, at: float | None = None) -> None:
        """Revoke all access tokens issued to the user so far; new ones may be had at once.

        Media addresses go with their sign-ins: end those too where they shall end.
        """
        await self._revoke(RevocationKind.USER, [user_id], at)

    async def revoke_key(self, key_id: str, *, at: float | None = None) -> None:
        """Revoke an API key."""
        await self._revoke(RevocationKind.KEY, [key_id], at)

    async def _revoke(
        self, kind: RevocationKind, subjects: Iterable[str], at: float | None
    ) -> None:
        when = self._clock() if at is None else at
        revocations = [Revocation(kind, subject, when) for subject in subjects]
        if not revocations:
            return
        self.apply(revocations)
        metrics.revocations_total.labels(kind.value).inc(len(revocations))
        task = asyncio.create_task(
            self._store_and_publish(revocations)
        )  # the caller may be cancelled meanwhile
        self._publishing.add(task)
        task.add_done_callback(self._on_published)
        await asyncio.shield(task)

    def _on_published(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("revocation_store_failed", error=repr(task.exception())[:200])

    async def _store_and_publish(self, revocations: list[Revocation]) -> None:
        stored, _ = await asyncio.gather(
            self._store.save(revocations, self._lifetime_seconds),
            self._publish(revocations),
            return_exceptions=True,
        )
        if isinstance(stored, BaseException):
            raise stored

    async def _publish(self, revocations: Sequence[Revocation]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for revocation in revocations:
            pipeline.xadd(
                self._stream,
                _encode_fields(revocation),
                maxlen=_MAX_STREAM_ENTRIES,
                approximate=True,
            )
        try:
            with self._redis.translate_errors():
                await pipeline.execute()
        except UpstreamUnavailable:
            self._unpublished.extend(revocations)

    async def _publish_pending(self) -> None:
        """Publish what could not be published before; what fails again stays pending."""
        pending = list(self._unpublished)
        self._unpublished.clear()
        if pending:
            await self._publish(pending)

    # ---- learning

    def apply(self, revocations: Iterable[Revocation]) -> None:
        """Apply revocations to memory and notify subscribers of the new ones."""
        self._drop_expired()
        for revocation in revocations:
            if self._add(revocation):
                for callback in list(self._callbacks):
                    _notify(callback, revocation)
        metrics.revocations_known.set(len(self._active))

    def clear(self) -> None:
        """Forget all revocations in memory, as a process that has read no store."""
        self._revoked_logins.clear()
        self._revoked_users.clear()
        self._active.clear()

    def _add(self, revocation: Revocation) -> bool:
        latest = self._latest_by_subject(revocation.kind)
        if latest.get(revocation.subject, -1.0) >= revocation.at:
            return False
        latest[revocation.subject] = revocation.at
        until = max(revocation.at, self._clock()) + self._lifetime_seconds
        self._active.append((until, revocation))
        if len(self._active) > self._max_active:
            log.error("revocations_overflowed", limit=self._max_active)
            self._drop_oldest()
        return True

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._active and self._active[0][0] <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, oldest = self._active.popleft()
        latest = self._latest_by_subject(oldest.kind)
        if latest.get(oldest.subject) == oldest.at:
            del latest[oldest.subject]

    def _latest_by_subject(self, kind: RevocationKind) -> dict[str, float]:
        return self._revoked_users if kind is RevocationKind.USER else self._revoked_logins

    # ---- following the others

    async def start(self) -> None:
        """Load the revocations in force, then follow the stream in a task."""
        with suppress(*Failure):
            self._last = await self._end_of_stream(self._follower.blocking)
        await self._read_store()
        self._follower.start()

    async def aclose(self) -> None:
        """Finish writes under way, then end the follower and its connection."""
        await asyncio.gather(*self._publishing, return_exceptions=True)
        await self._follower.aclose()

    async def _follow(self, blocking: Redis) -> None:
        """Follow the stream until Redis fails; then MongoDB is read before each new try."""
        last, self._last = self._last, None
        if last is None:
            try:
                last = await self._end_of_stream(blocking)  # first: what comes after is read
            finally:
                await self._read_store()
        while True:
            self._follower.check()
            async with limit_silence(_BLOCK_SECONDS + _SILENCE_SECONDS):
                reply: Any = await blocking.xread(
                    {self._stream: last}, count=_READ_AT_ONCE, block=int(_BLOCK_SECONDS * 1000)
                )
            entries = reply[0][1] if reply else []
            self.apply(_parse_entries(entries))
            await self._publish_pending()  # of a Redis that read but did not write
            if await self._has_gap(blocking, last, len(entries)):
                log.warning("revocations_gap_found", entries=len(entries))
                last = await self._end_of_stream(blocking)  # first: what comes after is read
                await self._read_store()
            else:
                last = entries[-1][0] if entries else last
            self._follower.record_success()

    async def _has_gap(self, blocking: Redis, last: bytes, count: int) -> bool:
        """Say whether entries behind `last` may have been trimmed or lost before they were read.

        They were not if `last` is still there after the read: a stream is trimmed from its start.
        """
        if last == _BEGINNING:
            return count >= _READ_AT_ONCE
        async with limit_silence(_SILENCE_SECONDS):
            return not await blocking.xrange(self._stream, last, last, count=1)

    async def _end_of_stream(self, blocking: Redis) -> bytes:
        """Return the newest id. Publishes first what could not be published before."""
        async with limit_silence(_SILENCE_SECONDS):
            entries: Any = await blocking.xrevrange(self._stream, count=1)
        await self._publish_pending()
        return entries[0][0] if entries else _BEGINNING

    async def _read_store(self) -> None:
        now = self._clock()
        moment = now - self._lifetime_seconds
        if self._read_at is not None:
            moment = max(moment, self._read_at - _OVERLAP_SECONDS)
        try:
            revocations = await self._store.list_since(moment, self._max_active)
        except UpstreamUnavailable:
            return  # read from the same moment on in the next round
        self._read_at = now
        self.apply(reversed(revocations))


def _encode_fields(revocation: Revocation) -> dict[Any, Any]:
    return {
        b"kind": revocation.kind.value,
        b"subject": revocation.subject,
        b"at": repr(revocation.at),
    }


def _parse_entries(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> Iterable[Revocation]:
    for _, fields in entries:
        with suppress(KeyError, ValueError):  # another version's
            kind, subject = RevocationKind(fields[b"kind"].decode()), fields[b"subject"].decode()
            yield Revocation(kind, subject, float(fields[b"at"]))


def _notify(callback: Callable[[Revocation], None], revocation: Revocation) -> None:
    try:
        callback(revocation)
    except Exception as error:  # one listener's fault must not keep the others from hearing
        log.error("revocation_listener_failed", exc_info=error)
