"""Broadcast from any process to every subscriber of this one, over a capped Redis stream.

One hub per process reads the stream with its own blocking client and survives Redis restarts. A
subscriber buffers at most `capacity` messages; the newest stay, and `gap` reports dropped ones. The
stream id is the cursor.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

from redis.asyncio import Redis

from services.errors import InvalidCursor, TooManyStreams
from services.redis.cancellation import raise_if_cancelled
from services.redis.follower import Follower
from services.redis.link import RedisLink
from services.silence import limit_silence
from services.telemetry import metrics

T = TypeVar("T")
Id = tuple[int, int]
# body, time of the entry in ms by Redis's clock -> (generation, value); keeps state
Reducer = Callable[[bytes, int], tuple[int, T] | None]

MAX_ENTRIES = 600
MAX_SUBSCRIBERS = 10_000
_FIELD = b"body"
_BLOCK_SECONDS = 2.0
_DELIVERED_AT_ONCE = 64  # subscribers, of whom each may cost a write to a socket
_LOOK_BACK_MS = 3000  # what a reducer must read before its first message is complete


class Message(NamedTuple, Generic[T]):
    """One message; of those with the same generation the last replaces the others."""

    id: Id
    generation: int
    value: T


class Batch(NamedTuple, Generic[T]):
    """Messages, oldest first; `gap` means that some before or between them were dropped."""

    messages: list[Message[T]]
    gap: bool

    @property
    def cursor(self) -> str:
        """The cursor of the newest message; the batch must not be empty."""
        return format_cursor(self.messages[-1].id)


def format_cursor(stream_id: Id) -> str:
    """Format a stream id, (ms, sequence), as a cursor such as `1700000000000-0`."""
    return f"{stream_id[0]}-{stream_id[1]}"


def parse_cursor(cursor: str) -> Id:
    """Parse a cursor into a stream id, (ms, sequence).

    Raises:
        InvalidCursor: `cursor` is not the id of a stream entry.
    """
    match = re.fullmatch(r"([0-9]{1,15})-([0-9]{1,15})", cursor)
    if match is None:
        raise InvalidCursor("This cursor is not one of ours.")
    return int(match[1]), int(match[2])


class Subscription(Generic[T]):
    """Bounded buffer of one subscriber, taken or iterated by batches.

    The first batch is ready with the first message, each later one when `capacity` messages have
    arrived. Iteration ends when the hub closes.
    """

    def __init__(self, capacity: int, longest_step_ms: float = math.inf) -> None:
        self._slot: list[Message[T]] = []
        self._capacity = capacity
        self._longest_step_ms = longest_step_ms
        self._threshold = 1
        self._after: Id = (0, 0)
        self._delivered_generation = -1
        self._gap = False
        self._closed = False
        self._ready: asyncio.Event | None = None
        self._on_ready: Callable[[], None] = _ignore

    def put(self, message: Message[T]) -> None:
        """Buffer a message; an older generation is ignored, the same one replaced."""
        if message.id <= self._after or message.generation <= self._delivered_generation:
            return
        slot = self._slot
        previous = slot[-1].id if slot else self._after
        if previous[0] and message.id[0] - previous[0] > self._longest_step_ms:
            self._gap = True
        if slot and slot[-1].generation == message.generation:
            slot[-1] = message
        else:
            if len(slot) == self._capacity:
                del slot[0]
                self._gap = True
                metrics.live_events_skipped_total.inc()
            slot.append(message)
        if len(slot) >= self._threshold:
            self._on_ready()

    def listen(self, on_ready: Callable[[], None]) -> None:
        """Call this when a batch is ready, and when the hub closes."""
        self._on_ready = on_ready

    def take(self) -> Batch[T] | None:
        """Take the batch that is ready; None without one."""
        slot = self._slot
        if self._closed or len(slot) < self._threshold:
            return None
        batch = Batch(slot, self._gap)
        self._slot, self._gap, self._threshold = [], False, self._capacity
        newest = slot[-1]
        self._after, self._delivered_generation = newest.id, newest.generation
        return batch

    def skip_to(self, stream_id: Id) -> None:
        """Drop messages up to this id: the subscriber got them in another way."""
        self._after = stream_id
        self._slot = [message for message in self._slot if message.id > stream_id]

    @property
    def after(self) -> Id:
        """The id up to which the subscriber has everything."""
        return self._after

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def restart(self) -> None:
        """Take any message as new, with a gap: the stream ends before what was delivered."""
        self._after = (0, 0)
        self._gap = True

    def mark_gap(self) -> None:
        """Report a gap with the next batch."""
        self._gap = True

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._on_ready()

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> Batch[T]:
        raise_if_cancelled()
        if self._ready is None:
            self._ready = asyncio.Event()
            self.listen(self._ready.set)
        while (batch := self.take()) is None:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return batch


def _ignore() -> None:
    """Listen to nothing."""


class Hub(Generic[T]):
    """Reader of one stream, from the first subscriber on until closed.

    Args:
        new_reducer: builds a reducer, which turns entry bodies into values.
        longest_step_ms: the longest time between two messages, of a stream that is written
            regularly; a longer one is a gap.
    """

    def __init__(
        self,
        redis: RedisLink,
        stream: str,
        new_reducer: Callable[[], Reducer[T]],
        longest_step_ms: float = math.inf,
    ) -> None:
        self._redis = redis
        self._stream = stream
        self._new_reducer = new_reducer
        self._reducer = new_reducer()
        self._longest_step_ms = longest_step_ms
        self._newest: Message[T] | None = None
        self._subscriptions: dict[Subscription[T], None] = {}
        self._last: Id | None = None
        self._follower = Follower(redis, f"hub {stream}", self._read, on_gap=self._mark_gaps)
        self._closed = False

    async def publish(self, body: bytes) -> None:
        """Append a message to the stream.

        Raises:
            UpstreamUnavailable: Redis did not answer in time; the message may be lost.
        """
        entry: dict[bytes | str, bytes] = {_FIELD: body}
        with self._redis.translate_errors():
            await self._redis.xadd(self._stream, entry, maxlen=MAX_ENTRIES, approximate=True)  # type: ignore[arg-type]

    @contextmanager
    def subscribe(self, capacity: int = 1) -> Iterator[Subscription[T]]:
        """Open a subscription while the block runs; see `open`.

        Raises:
            TooManyStreams: this process has MAX_SUBSCRIBERS already.
        """
        subscription = self.open(capacity)
        try:
            yield subscription
        finally:
            self.close(subscription)

    def open(self, capacity: int = 1) -> Subscription[T]:
        """Open a subscription that starts with the newest message, if there is one.

        Raises:
            TooManyStreams: this process has MAX_SUBSCRIBERS already.
        """
        if len(self._subscriptions) >= MAX_SUBSCRIBERS:
            raise TooManyStreams("Too many subscribers: try again later.", retry_after_seconds=10)
        subscription: Subscription[T] = Subscription(capacity, self._longest_step_ms)
        self._subscriptions[subscription] = None
        if self._newest is not None:
            subscription.put(self._newest)
        if self._closed:
            subscription.close()
        else:
            self._follower.start()
        return subscription

    def close(self, subscription: Subscription[T]) -> None:
        """Close a subscription of this hub; may be called again."""
        self._subscriptions.pop(subscription, None)

    async def replay_after(self, after: Id) -> Batch[T]:
        """Read the messages after this id that the stream still has, the last of each generation.

        None, with a gap, if the stream is empty or ends before this id: it is another one.

        Raises:
            UpstreamUnavailable: Redis did not answer in time.
        """
        with self._redis.translate_errors():
            oldest, newest, entries = await self._read_from(after[0])
        if _end_of(newest) < after:
            return Batch([], gap=True)
        messages = self._reduce(entries, after)
        times = [after[0], *(message.id[0] for message in messages)]
        has_gap = not oldest or _parse_id(oldest[0][0]) > after or self._has_hole(times)
        return Batch(messages, gap=has_gap)

    async def read_recent(self, seconds: float) -> Batch[T]:
        """Read the messages of the last seconds that the stream has, the last of each generation.

        Seconds are counted back from the newest message; `gap` says that some between are missing.

        Raises:
            UpstreamUnavailable: Redis did not answer in time.
        """
        with self._redis.translate_errors():
            newest: Any = await self._redis.xrevrange(self._stream, count=1)
            start_ms = max(_end_of(newest)[0] - int(seconds * 1000), 0)
            _, _, entries = await self._read_from(start_ms)
        messages = self._reduce(entries, (start_ms, 0))
        return Batch(messages, gap=self._has_hole([message.id[0] for message in messages]))

    async def _read_from(self, start_ms: int) -> Any:
        """The oldest and the newest entry, and all from a time on and those before that count."""
        start = f"{max(start_ms - _LOOK_BACK_MS, 0)}-0"
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xrange(self._stream, count=1)
        pipeline.xrevrange(self._stream, count=1)
        pipeline.xrange(self._stream, min=start, count=2 * MAX_ENTRIES)
        return await pipeline.execute()

    def _reduce(self, entries: Any, after: Id) -> list[Message[T]]:
        """The last message of each generation after this id."""
        generations: dict[int, Message[T]] = {}
        for message in _parse_messages(entries, self._new_reducer()):
            if message.id > after:
                generations[message.generation] = message
        return list(generations.values())

    def _has_hole(self, times_ms: list[int]) -> bool:
        return any(later - one > self._longest_step_ms for one, later in pairwise(times_ms))

    def restart(self, subscription: Subscription[T]) -> None:
        """Let a subscription begin again at the newest message, with a gap."""
        subscription.restart()
        if self._newest is not None:
            subscription.put(self._newest)

    async def aclose(self) -> None:
        """End every subscription and stop reading."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()
        await self._follower.aclose()

    async def _read(self, blocking: Redis) -> None:
        async with asyncio.timeout(_BLOCK_SECONDS):
            await self._check_place(blocking)
        while True:
            self._follower.check()
            async with limit_silence(2 * _BLOCK_SECONDS):
                if self._last is None:
                    self._last, messages = await self._read_newest(blocking)
                else:
                    self._last, messages = await self._read_after(blocking, self._last)
            self._follower.record_success()
            await self._deliver(messages)

    async def _check_place(self, blocking: Redis) -> None:
        """Begin again if the stream ends before what was read of it: Redis was rebuilt."""
        newest: Any = await blocking.xrevrange(self._stream, count=1)
        end = _end_of(newest)
        if self._last is not None and self._last > end:
            self._last, self._newest = None, None
        for subscription in self._subscriptions:
            if subscription.after > end:
                subscription.restart()

    def _mark_gaps(self) -> None:
        for subscription in self._subscriptions:
            subscription.mark_gap()  # publishers could not write either

    async def _read_newest(self, blocking: Redis) -> tuple[Id, list[Message[T]]]:
        """The newest message only; the entries it was reduced from are read silently."""
        entries: Any = await blocking.xrevrange(self._stream, count=32)
        messages = list(_parse_messages(entries[::-1], self._reducer))
        return (messages[-1].id if messages else (0, 0)), messages[-1:]

    async def _read_after(self, blocking: Redis, last: Id) -> tuple[Id, list[Message[T]]]:
        response: Any = await blocking.xread(
            {self._stream: format_cursor(last)}, count=100, block=int(_BLOCK_SECONDS * 1000)
        )
        entries = response[0][1] if response else []
        messages = list(_parse_messages(entries, self._reducer))
        return (_parse_id(entries[-1][0]) if entries else last), messages

    async def _deliver(self, messages: list[Message[T]]) -> None:
        """Give messages to all subscribers; others of this process get their turns between."""
        for message in messages:
            self._newest = message
            for number, subscription in enumerate(list(self._subscriptions), 1):
                if subscription in self._subscriptions:
                    subscription.put(message)
                if number % _DELIVERED_AT_ONCE == 0:
                    await asyncio.sleep(0)


def _end_of(newest: list[tuple[bytes, dict[bytes, bytes]]]) -> Id:
    """The id of a stream's newest entry; that of an empty stream comes before every entry."""
    return _parse_id(newest[0][0]) if newest else (0, 0)


def _parse_id(raw: bytes) -> Id:
    return parse_cursor(raw.decode())


def _parse_messages(
    entries: list[tuple[bytes, dict[bytes, bytes]]], reducer: Reducer[T]
) -> Iterator[Message[T]]:
    for raw_id, fields in entries:
        stream_id = _parse_id(raw_id)
        reduced = reducer(fields.get(_FIELD, b""), stream_id[0])
        if reduced is not None:
            yield Message(stream_id, *reduced)
