"""Feeds: one subscriber's source of events, which never grows for one that is slow.

Events that wait are replaced by newer ones, or merged, as the feed's kind says. A subscriber is
called when there is something to take, and takes it when its client can receive it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Generic, Self, TypeVar

E = TypeVar("E")


def _ignore() -> None:
    """Listen to nothing."""


class Feed(ABC, Generic[E]):
    """One subscriber's events: listened to and taken, or iterated."""

    _on_ready: Callable[[], None] = staticmethod(_ignore)
    _ready: asyncio.Event | None = None  # of who iterates

    async def open(self) -> None:
        """Begin; called once, after `listen`.

        Raises:
            CodedError: the feed cannot be opened.
        """

    @abstractmethod
    def take(self) -> E | None:
        """Take the event that is ready; None without one. It then counts as delivered."""

    @property
    @abstractmethod
    def is_ended(self) -> bool:
        """Whether no event will come."""

    @abstractmethod
    def close(self) -> None:
        """End the feed; may be called again."""

    def share_key(self, event: E) -> Hashable | None:
        """What equal events have in common that subscribers of one field take.

        None: the event is this subscriber's alone.
        """
        return None

    def listen(self, on_ready: Callable[[], None]) -> None:
        """Call this, from now on, when an event is ready or the feed has ended."""
        self._on_ready = on_ready

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        if self._ready is None:
            self._ready = asyncio.Event()
            self.listen(self._ready.set)
            await self.open()
        while (event := self.take()) is None:
            if self.is_ended:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return event

    async def aclose(self) -> None:
        """End the feed, as `close` does."""
        self.close()
