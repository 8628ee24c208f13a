"""Subscriptions as streams of answers, iterated or, where the source is a feed, pushed.

What a client is not ready for waits in its feed, which keeps the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from graph.engine.audiences import Audience, Audiences, Execute, audience_of, execute_event
from graph.engine.execution.plan import Plan
from resolvers.context import Context
from services.feed import Feed

A = TypeVar("A")
Source = Feed[Any] | AsyncIterator[Any]


@dataclass(frozen=True, slots=True)
class Subscriber(Generic[A]):
    """One client's subscription, ready to be opened.

    `find_source` calls the root field's function, `execute` answers an event, `refuse` answers an
    exception, which ends the stream. `variant` is what else the answers depend on. `waits`: an
    execution may have to wait.
    """

    plan: Plan
    variables: dict[str, Any]
    context: Context
    find_source: Callable[[], Source]
    execute: Execute[A]
    refuse: Callable[[Exception], A]
    variant: Hashable
    waits: bool


class LiveStream(Generic[A]):
    """One subscription's answers.

    Iterating yields an answer per event. Where `open` says so, `listen` and `take` give the same
    answers, without a task that waits for them.
    """

    __slots__ = (
        "_answers", "_audience", "_audiences", "_feed", "_is_closed", "_on_ready", "_pending",
        "_refusal", "_source", "_subscriber", "_viewer",
    )  # fmt: skip

    def __init__(self, subscriber: Subscriber[A], audiences: Audiences[A]) -> None:
        self._subscriber = subscriber
        self._audiences = audiences
        self._audience: Audience[A] | None = None
        self._viewer = subscriber.context.viewer
        self._feed: Feed[Any] | None = None
        self._source: AsyncIterator[Any] | None = None
        self._pending: asyncio.Task[A] | None = None
        self._refusal: A | None = None
        self._is_closed = False
        self._on_ready: Callable[[], None] | None = None
        self._answers: AsyncGenerator[A, None] | None = None

    # ---- pushed

    async def open(self) -> bool:
        """Open the source; whether it is pushed. If it is refused, that is what can be taken."""
        if self._feed is not None or self._source is not None or self._is_closed:
            return self._source is None
        try:
            source = self._subscriber.find_source()
            if not isinstance(source, Feed):
                self._source = source
                return False
            self._feed = source
            source.listen(self._notify)
            await source.open()
        except Exception as error:
            self._end(error)
        return True

    def listen(self, on_ready: Callable[[], None]) -> None:
        """Call this when an answer may be ready, or the stream has ended."""
        self._on_ready = on_ready

    def take(self) -> A | None:
        """Take the answer that is ready; None without one."""
        if not self._is_closed:
            try:
                return self._take_event() if self._pending is None else self._take_pending()
            except Exception as error:
                self._end(error)
        refusal, self._refusal = self._refusal, None
        return refusal

    @property
    def is_ended(self) -> bool:
        """Whether there is nothing to take, and nothing will come."""
        if self._refusal is not None or self._pending is not None:
            return False
        return self._is_closed or self._feed is None or self._feed.is_ended

    def close(self) -> None:
        """End the stream at once; may be called again."""
        self._is_closed, self._on_ready, self._pending = True, None, None
        if self._feed is not None:
            self._feed.close()
            self._feed = None  # it calls this stream: a circle
        self._leave()

    def _notify(self, _: object = None) -> None:
        if self._on_ready is not None:
            self._on_ready()

    def _take_event(self) -> A | None:
        if self._feed is None:
            return None
        event = self._feed.take()
        if event is None:
            return None
        answer = self._answer(self._feed.share_key(event), event)
        if not isinstance(answer, asyncio.Task):
            return answer
        self._pending = answer
        answer.add_done_callback(self._notify)
        return None

    def _take_pending(self) -> A | None:
        pending = self._pending
        if pending is None or not pending.done():
            return None
        self._pending = None
        return pending.result()

    def _end(self, error: Exception) -> None:
        self._refusal = self._subscriber.refuse(error)
        self._is_closed, self._pending = True, None
        if self._feed is not None:
            self._feed.close()

    # ---- sharing

    def _answer(self, key: Hashable | None, event: Any) -> A | asyncio.Task[A]:
        subscriber = self._subscriber
        if key is None:
            return execute_event(
                subscriber.execute, subscriber.context, event, waits=subscriber.waits
            )
        if self._audience is None or subscriber.context.viewer is not self._viewer:
            self._audience = self._join()
        return self._audience.answer(key, event)

    def _join(self) -> Audience[A]:
        """Join the audience of the viewer's present rights."""
        self._leave()
        one = self._subscriber
        self._viewer = one.context.viewer
        key, context = audience_of(one.plan, one.variables, one.context)
        return self._audiences.join((key, one.variant), context, one.execute, waits=one.waits)

    def _leave(self) -> None:
        if self._audience is not None:
            self._audiences.leave(self._audience)
            self._audience = None

    # ---- iterated

    def __aiter__(self) -> LiveStream[A]:
        return self

    async def __anext__(self) -> A:
        if self._answers is None:
            self._answers = self._iterate()
        return await anext(self._answers)

    async def aclose(self) -> None:
        """End the iteration and the stream."""
        answers, self._answers = self._answers, None
        if answers is not None:
            await answers.aclose()
        self.close()

    async def _iterate(self) -> AsyncGenerator[A, None]:
        answers = self._iterate_feed() if await self.open() else self._iterate_source()
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    async def _iterate_feed(self) -> AsyncGenerator[A, None]:
        ready = asyncio.Event()
        self.listen(ready.set)
        while True:
            ready.clear()
            while (answer := self.take()) is not None:
                yield answer
            if self.is_ended:
                return
            await ready.wait()

    async def _iterate_source(self) -> AsyncGenerator[A, None]:
        """Answer the events of a source that waits until its last event is answered."""
        source: Any = self._source
        one = self._subscriber
        try:
            async with aclosing(source) as events:
                async for event in events:
                    yield await one.execute(one.context.for_event(), event)
        except Exception as error:
            yield one.refuse(error)
