"""A value that is read every few seconds while somebody watches it, once for all who do.

A watcher begins with the present value and gets each one that differs; a slow one, the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from services.errors import TooManyStreams
from services.feed import Feed
from services.redis.cancellation import raise_if_cancelled
from services.supervision import SupervisedTask

V = TypeVar("V")
MAX_WATCHERS = 10_000
_CALLED_AT_ONCE = 64
Read = Callable[[], Awaitable[V]]


class WatchedValue(Generic[V]):
    """One value of a process.

    Args:
        name: of its task.
        differs: says whether a value is worth telling to who has the other.
        seconds: how often it is read while it is watched.
    """

    def __init__(self, name: str, *, differs: Callable[[V, V], bool], seconds: float = 2.0) -> None:
        self.version = 0  # of the value; 0 before there is one
        self.is_closed = False
        self._differs = differs
        self._seconds = seconds
        self._value: V | None = None
        self._read: Read[V] | None = None
        self._feeds: dict[ValueFeed[V], None] = {}
        self._is_watched = asyncio.Event()
        self._task = SupervisedTask(name, self._follow)

    def __len__(self) -> int:
        return len(self._feeds)

    @property
    def value(self) -> V | None:
        """The value as it was read last, if it was."""
        return self._value

    def watch(self, read: Read[V]) -> ValueFeed[V]:
        """A feed of the value, which is read with `read` from now on."""
        self._read = read
        return ValueFeed(self)

    async def add(self, feed: ValueFeed[V]) -> None:
        """Add a watcher, and read the value.

        Raises:
            TooManyStreams: this process has MAX_WATCHERS already.
        """
        if len(self._feeds) >= MAX_WATCHERS:
            raise TooManyStreams("Too many subscribers: try again later.", retry_after_seconds=10)
        self._feeds[feed] = None
        await self._refresh()
        self._is_watched.set()
        if not self.is_closed:
            self._task.start()

    def remove(self, feed: ValueFeed[V]) -> None:
        """Remove a watcher; may be called again."""
        self._feeds.pop(feed, None)
        if not self._feeds:
            self._is_watched.clear()

    async def aclose(self) -> None:
        """Stop reading, and end every feed."""
        self.is_closed = True
        await self._task.aclose()
        for feed in list(self._feeds):
            feed.call()

    async def _follow(self) -> None:
        while True:
            raise_if_cancelled()
            await self._is_watched.wait()
            await asyncio.sleep(self._seconds)
            await self._refresh()
            self._task.record_success()

    async def _refresh(self) -> None:
        assert self._read is not None
        value = await self._read()
        previous, self._value = self._value, value
        if previous is None or self._differs(value, previous):
            self.version += 1
            await self._call_watchers()

    async def _call_watchers(self) -> None:
        for number, feed in enumerate(list(self._feeds), 1):
            feed.call()
            if number % _CALLED_AT_ONCE == 0:
                await asyncio.sleep(0)


class ValueFeed(Feed[V]):
    """One watcher; what it has not taken is the value itself, so nothing waits for it."""

    def __init__(self, watched: WatchedValue[V]) -> None:
        self._watched = watched
        self._version = 0
        self._is_open = self._is_closed = False

    async def open(self) -> None:
        await self._watched.add(self)
        self._is_open = True

    def call(self) -> None:
        """Tell the watcher of a change or of the end."""
        self._on_ready()

    def take(self) -> V | None:
        if self.is_ended or not self._is_open or self._version == self._watched.version:
            return None
        self._version = self._watched.version
        return self._watched.value

    @property
    def is_ended(self) -> bool:
        return self._is_closed or self._watched.is_closed

    def close(self) -> None:
        self._is_closed = True
        self._watched.remove(self)

    def share_key(self, event: V) -> Hashable:
        return self._version
