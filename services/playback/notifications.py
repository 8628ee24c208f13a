"""Notifications of changed progress over one pub/sub connection per process.

It opens with the first listener, on the channels of listeners' shards only. A listener buffers ids
of changed titles, each once and a bounded number: a late reader reads the newest state. After a gap
it is told to resync: every title may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from services.errors import TooManyStreams
from services.playback.keys import ProgressKeys
from services.redis.cancellation import raise_if_cancelled
from services.redis.follower import Follower, next_message
from services.redis.guard import Failure
from services.redis.link import RedisLink
from services.silence import limit_silence

_MOST_TITLES = 200  # of one listener, unread
_WAIT_SECONDS = 1.0  # for a new listener's channel; without it they begin a moment later
_QUIET_SECONDS = 5.0  # then a PING
_PONG_SECONDS = 2.0


class Changes(NamedTuple):
    """Titles that changed since the last read; `resync`: any other may have changed too."""

    playable_ids: list[str]
    resync: bool


class Listener:
    """One subscriber's slot; iterating yields Changes and ends when the hub closes."""

    def __init__(self, matches: Callable[[str], bool]) -> None:
        self._matches = matches
        self._changed: dict[str, None] = {}
        self._resync = False
        self._closed = False
        self._ready = asyncio.Event()

    def put(self, playable_id: str) -> None:
        """Add a changed title; beyond the bound the listener has to resync."""
        if not self._matches(playable_id):
            return
        if len(self._changed) >= _MOST_TITLES and playable_id not in self._changed:
            self._resync = True
        else:
            self._changed[playable_id] = None
        self._ready.set()

    def mark_resync(self) -> None:
        """Note that changes may have been lost."""
        self._resync = True
        self._ready.set()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._ready.set()

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> Changes:
        raise_if_cancelled()
        await self._ready.wait()
        if self._closed:
            raise StopAsyncIteration
        changes = Changes(list(self._changed), self._resync)
        self._changed, self._resync = {}, False
        self._ready.clear()
        return changes


class _Channel:
    """The listeners of one shard, by user."""

    def __init__(self) -> None:
        self.listeners: dict[str, set[Listener]] = {}
        self.is_subscribed = asyncio.Event()


class ProgressNotifications:
    """Hub of progress changes, one per process."""

    def __init__(
        self, redis: RedisLink, keys: ProgressKeys, *, most_listeners: int = 10_000
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._most_listeners = most_listeners
        self._channels: dict[str, _Channel] = {}
        self._count = 0
        self._pubsub: PubSub | None = None
        self._follower: Follower | None = None
        self._closed = False

    @asynccontextmanager
    async def listen(self, user_id: str, playable_id: str | None = None) -> AsyncIterator[Listener]:
        """Listen to a user's changes from now on, of one title or of all.

        Raises:
            TooManyStreams: this process serves as many listeners as it may.
        """
        if self._count >= self._most_listeners:
            raise TooManyStreams("Too many subscribers: try again later.", retry_after_seconds=10)
        listener = Listener(lambda changed: playable_id in (None, changed))
        name = self._keys.changed(self._keys.shard(user_id))
        channel = self._channels.setdefault(name, _Channel())
        channel.listeners.setdefault(user_id, set()).add(listener)
        self._count += 1
        try:
            if self._closed:
                listener.close()
            else:
                await self._subscribe(name, channel)
                listener.mark_resync()  # what came before it listened
            yield listener
        finally:
            self._count -= 1
            await self._remove(name, channel, user_id, listener)

    async def aclose(self) -> None:
        """End every listener and the reader."""
        self._closed = True
        for listener in self._all_listeners():
            listener.close()
        await self._stop_reading()

    @property
    def is_connected(self) -> bool:
        """Say whether the pub/sub connection is open."""
        return self._pubsub is not None

    async def _subscribe(self, name: str, channel: _Channel) -> None:
        if self._follower is None:
            self._follower = self._start_reading()
        elif self._pubsub is not None and not channel.is_subscribed.is_set():
            with suppress(*Failure):  # the reader notices the same, and begins anew
                await self._pubsub.subscribe(name)
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_SECONDS):
                await channel.is_subscribed.wait()

    async def _remove(self, name: str, channel: _Channel, user_id: str, listener: Listener) -> None:
        others = channel.listeners[user_id]
        others.discard(listener)
        if others:
            return
        del channel.listeners[user_id]
        if channel.listeners or self._channels.get(name) is not channel:
            return
        del self._channels[name]
        if not self._channels:
            await self._stop_reading()
        elif self._pubsub is not None:
            with suppress(*Failure):
                await self._pubsub.unsubscribe(name)

    def _start_reading(self) -> Follower:
        async def read(blocking: Redis) -> None:
            await self._read(follower, blocking)

        follower = Follower(self._redis, "progress notifications", read)
        follower.start()
        return follower

    async def _stop_reading(self) -> None:
        follower, self._follower = self._follower, None
        if follower is not None:
            await follower.aclose()

    async def _read(self, follower: Follower, blocking: Redis) -> None:
        async with blocking.pubsub() as pubsub:
            try:
                await self._subscribe_all(pubsub)
                while True:
                    follower.check()
                    message = await next_message(
                        pubsub, quiet_seconds=_QUIET_SECONDS, pong_seconds=_PONG_SECONDS
                    )
                    follower.record_success()
                    if message is not None:
                        self._dispatch(message)
            finally:
                self._on_connection_lost(pubsub)

    async def _subscribe_all(self, pubsub: PubSub) -> None:
        first = list(self._channels)
        async with limit_silence(_PONG_SECONDS):
            await pubsub.subscribe(*first)
        self._pubsub = pubsub
        pending = [name for name in self._channels if name not in first]
        if pending:  # came while the first ones were on their way
            await pubsub.subscribe(*pending)

    def _on_connection_lost(self, pubsub: PubSub) -> None:
        if self._pubsub is not pubsub:
            return  # another reader has begun
        self._pubsub = None
        for channel in self._channels.values():
            channel.is_subscribed.clear()

    def _dispatch(self, message: dict[str, Any]) -> None:
        name = (message["channel"] or b"").decode()
        channel = self._channels.get(name)
        if channel is None:
            return
        if message["type"] == "subscribe":
            channel.is_subscribed.set()
            for listeners in channel.listeners.values():
                for listener in listeners:
                    listener.mark_resync()  # changes before the subscription are lost
        elif message["type"] == "message":
            user_id, _, playable_id = message["data"].decode().partition(" ")
            for listener in channel.listeners.get(user_id, ()):
                listener.put(playable_id)

    def _all_listeners(self) -> list[Listener]:
        return [
            listener
            for channel in self._channels.values()
            for listeners in channel.listeners.values()
            for listener in listeners
        ]
