"""A bounded cache in process memory with a short lifetime and one read per key at a time.

While the source is away, an older value is served for `stale_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.cache.single_flight import SingleFlight
from services.errors import UpstreamUnavailable

V = TypeVar("V")


class TtlCache(Generic[V]):
    """Values by key.

    Args:
        fresh_seconds: how long a value is served without reading again.
        stale_seconds: how long it may be served when reading fails.
        max_entries: beyond it the oldest quarter is dropped.
    """

    def __init__(
        self,
        *,
        fresh_seconds: float,
        stale_seconds: float,
        max_entries: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._max_entries = max_entries
        self._clock = clock
        self._entries: dict[str, tuple[float, V]] = {}
        self._reads: SingleFlight[V] = SingleFlight()

    async def get(self, key: str, read: Callable[[], Awaitable[V]]) -> V:
        """Return the cached value, or the result of `read`.

        Raises:
            UpstreamUnavailable: `read` raised it, and there is no value young enough.
        """
        read_at, value = self._entries.get(key) or (None, None)
        if read_at is not None and self._clock() - read_at < self._fresh_seconds:
            return value  # type: ignore[return-value]  # set together with read_at
        try:
            return await self._reads.run(key, lambda: self._read(key, read))
        except UpstreamUnavailable:
            if read_at is None or self._clock() - read_at >= self._stale_seconds:
                raise
            return value  # type: ignore[return-value]

    def forget(self, key: str) -> None:
        """Drop one value."""
        self._entries.pop(key, None)

    async def _read(self, key: str, read: Callable[[], Awaitable[V]]) -> V:
        began_at = self._clock()  # the value is at least as new
        value = await read()
        if len(self._entries) >= self._max_entries:
            for oldest in list(self._entries)[: self._max_entries // 4 + 1]:
                del self._entries[oldest]
        self._entries.pop(key, None)  # to the end: the oldest go first
        self._entries[key] = (began_at, value)
        return value
