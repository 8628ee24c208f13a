"""Access that ended before its token did: sign-ins, users and API keys, known to every process.

Written to MongoDB, told through a stream of the state's Redis, held in bounded memory until the
last token they could end has run out. While Redis is away a process keeps asking MongoDB.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple, Protocol

from services.errors import UpstreamUnavailable
from services.redis.pool import Client, Failure
from services.telemetry import metrics
from services.telemetry.logs import get_logger

log = get_logger("revocations")
_MAX_ENTRIES = 10_000
_MAX_KNOWN = 200_000
# Redis falling silent is noticed, and MongoDB asked, well within a second.
_BLOCK_SECONDS = 0.3
_SILENCE_SECONDS = 0.3
_PAUSE_SECONDS = 0.3
_OVERLAP_SECONDS = 10.0  # clocks of two machines differ, and a write takes a moment
_JUST_AFTER_SECONDS = 1e-6


class Kind(Enum):
    LOGIN = "login"
    USER = "user"
    KEY = "key"


class Revocation(NamedTuple):
    """`at` (seconds since 1970): of a user, what was issued until then has ended."""

    kind: Kind
    subject: str
    at: float


class Holder(Protocol):
    """Whoever came in with a token or a key; `login_id` is the key's id for a key."""

    @property
    def user_id(self) -> str: ...
    @property
    def login_id(self) -> str: ...
    @property
    def issued_at(self) -> float: ...


class Store(Protocol):
    """What survives Redis and restarts. Both raise UpstreamUnavailable."""

    async def keep(self, revocations: Sequence[Revocation], lifetime_seconds: float) -> None: ...

    async def since(self, moment: float, most: int) -> list[Revocation]:
        """Those written since; the newest if there are more."""


class Revocations:
    """One per process. `lifetime_seconds` is the longest life of what a revocation can end."""

    def __init__(
        self,
        redis: Client,
        blocking: Client,
        stream: str,
        store: Store,
        *,
        lifetime_seconds: float,
        clock: Callable[[], float] = time.time,
        max_known: int = _MAX_KNOWN,
    ) -> None:
        self._redis = redis
        self._blocking = blocking
        self._stream = stream
        self._store = store
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock
        self._max_known = max_known
        self._ended: dict[str, float] = {}  # sign-ins and keys
        self._users: dict[str, float] = {}
        self._known: deque[tuple[float, Revocation]] = deque()  # oldest first, with its end
        self._untold: deque[Revocation] = deque(maxlen=_MAX_ENTRIES)
        self._callbacks: list[Callable[[Revocation], None]] = []
        self._read_at: float | None = None
        self._follower: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    # ---- asking

    def is_revoked(self, holder: Holder) -> bool:
        """Whether this token or key has ended before its time. Two lookups."""
        if holder.login_id in self._ended:
            return True
        at = self._users.get(holder.user_id)
        return at is not None and holder.issued_at <= at

    def is_ended(self, login_id: str) -> bool:
        return login_id in self._ended

    def issue_time(self, user_id: str, now: float) -> float:
        """When a token issued now is issued: after all that ended this user's tokens."""
        at = self._users.get(user_id)
        return now if at is None or at < now else at + _JUST_AFTER_SECONDS

    def subscribe(self, callback: Callable[[Revocation], None]) -> Callable[[], None]:
        """`callback` hears of each new revocation, in the loop, at once; returns what ends that."""
        self._callbacks.append(callback)

        def unsubscribe() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return unsubscribe

    # ---- revoking

    async def revoke_login(self, login_id: str, *, at: float | None = None) -> None:
        """Ends one sign-in's access tokens and media addresses.

        Raises:
            UpstreamUnavailable: ended here, and where Redis tells it, but not safely stored.
        """
        await self._revoke(Kind.LOGIN, [login_id], at)

    async def revoke_logins(self, login_ids: Iterable[str], *, at: float | None = None) -> None:
        await self._revoke(Kind.LOGIN, login_ids, at)

    async def revoke_user(self, user_id: str, *, at: float | None = None) -> None:
        """Ends all access tokens issued to the user so far; new ones may be had at once.

        Media addresses go with their sign-ins: end those too where they shall end.
        """
        await self._revoke(Kind.USER, [user_id], at)

    async def revoke_key(self, key_id: str, *, at: float | None = None) -> None:
        await self._revoke(Kind.KEY, [key_id], at)

    async def _revoke(self, kind: Kind, subjects: Iterable[str], at: float | None) -> None:
        when = self._clock() if at is None else at
        told = [Revocation(kind, subject, when) for subject in subjects]
        if not told:
            return
        self.learn(told)
        metrics.revocations_total.labels(kind.value).inc(len(told))
        task = asyncio.create_task(self._tell(told))  # whoever asked may go away meanwhile
        self._telling.add(task)
        task.add_done_callback(self._told)
        await asyncio.shield(task)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("revocation_not_stored", error=repr(task.exception())[:200])

    async def _tell(self, told: list[Revocation]) -> None:
        kept, _ = await asyncio.gather(
            self._store.keep(told, self._lifetime_seconds),
            self._publish(told),
            return_exceptions=True,
        )
        if isinstance(kept, BaseException):
            raise kept

    async def _publish(self, told: Sequence[Revocation]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for one in told:
            pipeline.xadd(self._stream, _fields(one), maxlen=_MAX_ENTRIES, approximate=True)
        try:
            await pipeline.execute()
        except Failure:
            metrics.redis_errors_total.inc()
            self._untold.extend(told)

    # ---- learning

    def learn(self, found: Iterable[Revocation]) -> None:
        self._forget()
        for revocation in found:
            if self._remember(revocation):
                for callback in list(self._callbacks):
                    _call(callback, revocation)
        metrics.revocations_known.set(len(self._known))

    def clear(self) -> None:
        """Forgets everything, as a new process would know it without its stores."""
        self._ended.clear()
        self._users.clear()
        self._known.clear()

    def _remember(self, revocation: Revocation) -> bool:
        known = self._of(revocation.kind)
        if known.get(revocation.subject, -1.0) >= revocation.at:
            return False
        known[revocation.subject] = revocation.at
        until = max(revocation.at, self._clock()) + self._lifetime_seconds
        self._known.append((until, revocation))
        if len(self._known) > self._max_known:
            log.error("too_many_revocations", kept=self._max_known)
            self._drop_oldest()
        return True

    def _forget(self) -> None:
        now = self._clock()
        while self._known and self._known[0][0] <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, oldest = self._known.popleft()
        known = self._of(oldest.kind)
        if known.get(oldest.subject) == oldest.at:
            del known[oldest.subject]

    def _of(self, kind: Kind) -> dict[str, float]:
        return self._users if kind is Kind.USER else self._ended

    # ---- following the others

    async def start(self) -> None:
        """Knows what is in force when it returns, and hears of more from then on."""
        last = await self._end_of_stream()
        await self._read_store()
        self._follower = asyncio.create_task(self._follow(last))

    async def aclose(self) -> None:
        """What is being told is told to its end."""
        await asyncio.gather(*self._telling, return_exceptions=True)
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await self._blocking.aclose()

    async def _follow(self, last: bytes | None) -> None:
        while True:
            if last is not None:
                await self._read_stream(last)
                await self._read_store()
            await asyncio.sleep(_PAUSE_SECONDS)
            last = await self._end_of_stream()  # first: what comes after is read from there
            await self._read_store()

    async def _read_stream(self, last: bytes) -> None:
        """Until Redis fails."""
        try:
            while True:
                async with asyncio.timeout(_BLOCK_SECONDS + _SILENCE_SECONDS):
                    found: Any = await self._blocking.xread(
                        {self._stream: last}, count=1000, block=int(_BLOCK_SECONDS * 1000)
                    )
                entries = found[0][1] if found else []
                self.learn(_revocations(entries))
                last = entries[-1][0] if entries else last
        except Failure as error:
            metrics.redis_errors_total.inc()
            log.warning("revocations_without_redis", error=repr(error)[:200])

    async def _end_of_stream(self) -> bytes | None:
        """None while Redis is away. Tells it first what it could not be told before."""
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                entries: Any = await self._blocking.xrevrange(self._stream, count=1)
        except Failure:
            return None
        untold = list(self._untold)
        self._untold.clear()
        if untold:
            await self._publish(untold)
        return entries[0][0] if entries else b"0-0"

    async def _read_store(self) -> None:
        now = self._clock()
        moment = now - self._lifetime_seconds
        if self._read_at is not None:
            moment = max(moment, self._read_at - _OVERLAP_SECONDS)
        try:
            found = await self._store.since(moment, self._max_known)
        except UpstreamUnavailable:
            return  # read from the same moment on at the next turn
        self._read_at = now
        self.learn(reversed(found))


def _fields(one: Revocation) -> dict[Any, Any]:
    return {b"kind": one.kind.value, b"subject": one.subject, b"at": repr(one.at)}


def _revocations(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> Iterable[Revocation]:
    for _, fields in entries:
        with suppress(KeyError, ValueError):  # another version's
            kind, subject = Kind(fields[b"kind"].decode()), fields[b"subject"].decode()
            yield Revocation(kind, subject, float(fields[b"at"]))


def _call(callback: Callable[[Revocation], None], revocation: Revocation) -> None:
    try:
        callback(revocation)
    except Exception as error:  # one listener's fault must not keep the others from hearing
        log.error("revocation_listener_failed", exc_info=error)
