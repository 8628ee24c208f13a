"""Uvicorn's HTTP protocol with an end for event streams whose client does not read.

Other answers have one by their length: their sender waits, and gives up.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class StreamStallHttp(HttpToolsProtocol):
    """A client that takes nothing of a stream for `stall_seconds` is disconnected."""

    stall_seconds = 30.0  # as for sockets
    _stall_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.cycle is not None and "is_stream" in self.cycle.scope:
            self._stall_timer = self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._clear_stall_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_stall_timer()
        super().connection_lost(exc)

    def _clear_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
