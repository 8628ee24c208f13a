"""The event streams of a process: shared limits, and their end when the process drains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from server.graphql.socket_limits import OpenSockets
from services.telemetry import metrics


class Drainable(Protocol):
    """A stream that can be ended."""

    def drain(self) -> None:
        """End it without its operation's end, so that its client comes back elsewhere."""


class RunningStreams:
    """The running streams. `open` are their limits, shared with sockets: both are connections."""

    def __init__(self, open_sockets: OpenSockets, draining: asyncio.Event) -> None:
        self.open = open_sockets
        self._draining = draining
        self._streams: set[Drainable] = set()
        self._watcher: asyncio.Task[None] | None = None

    @contextmanager
    def track(self, stream: Drainable) -> Iterator[None]:
        """Drain the stream, while this lasts, when the process drains."""
        self._streams.add(stream)
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._drain())
        try:
            with metrics.active_streams.track_inprogress():
                yield
        finally:
            self._streams.discard(stream)
            if not self._streams and self._watcher is not None:
                self._watcher.cancel()
                self._watcher = None

    async def _drain(self) -> None:
        await self._draining.wait()
        for stream in list(self._streams):
            stream.drain()
