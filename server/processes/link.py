"""A serving process's side of the channel to its supervisor.

It says every second that its event loop runs, takes the connections of other places while nobody
is there, and stops when the supervisor is gone: nobody would replace it, or end it.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from starlette.datastructures import State

from server.processes.channel import (
    Beat,
    Channel,
    Cover,
    Leave,
    Message,
    MetricsAnswer,
    MetricsRequest,
    Ready,
    ReportAnswer,
    ReportRequest,
)
from server.routes import operations
from server.serving import Control
from services.telemetry.logs import get_logger

BEAT_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
log = get_logger("processes")


class SupervisorLink:
    """What the supervisor of this process tells and asks it.

    Args:
        spares: the listening sockets of the other places.
    """

    def __init__(
        self, channel: Channel, spares: Mapping[int, socket.socket], stop: asyncio.Event
    ) -> None:
        self.control = Control()
        self._channel = channel
        self._spares = dict(spares)
        self._covered: dict[int, asyncio.AbstractServer] = {}
        self._stop = stop
        self._state: State | None = None
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._ids = itertools.count()
        self._reporting: set[asyncio.Task[None]] = set()

    def record_ready(self, state: State) -> None:
        """Tell that this process serves; `state` is its application's."""
        self._state = state
        self._channel.send(Ready())

    async def read_metrics(self) -> bytes:
        """Return the metrics of all processes.

        Raises:
            TimeoutError: the supervisor does not answer.
        """
        id_ = next(self._ids)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[id_] = answer
        self._channel.send(MetricsRequest(id_))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await answer
        finally:
            del self._answers[id_]

    async def run(self) -> None:
        """Do what the supervisor says until it is gone; then stop."""
        beating = asyncio.create_task(self._beat())
        closing = asyncio.create_task(self._close_spares())
        try:
            async for message in self._channel.receive():
                await self._on_message(message)
            if not self._stop.is_set():
                log.error("supervisor_lost")
                self._stop.set()
            await closing
        finally:
            beating.cancel()
            closing.cancel()

    async def _beat(self) -> None:
        while True:
            self._channel.send(Beat())
            await asyncio.sleep(BEAT_SECONDS)

    async def _close_spares(self) -> None:
        """Let go of the others' sockets at the stop, or who comes then waits for nobody."""
        await self._stop.wait()
        for spare in self._spares.values():
            spare.close()
        self._spares.clear()

    async def _on_message(self, message: Message) -> None:
        match message:
            case Leave():
                self._spares.clear()
                self.control.leave.set()
            case Cover(places=places):
                await self._cover(places)
            case MetricsAnswer(id=id_, text=text):
                answer = self._answers.get(id_)
                if answer is not None and not answer.done():
                    answer.set_result(text)
            case ReportRequest():
                reporting = asyncio.create_task(self._report(message))
                self._reporting.add(reporting)
                reporting.add_done_callback(self._reporting.discard)

    async def _cover(self, places: frozenset[int]) -> None:
        server = self.control.server
        if server is None or self._stop.is_set() or self.control.leave.is_set():
            return
        for place in [place for place in self._covered if place not in places]:
            server.remove_listener(self._covered.pop(place))
        for place in places - self._covered.keys():
            if place in self._spares:
                own = self._spares[place].dup()
                self._covered[place] = await server.add_listener(own)

    async def _report(self, request: ReportRequest) -> None:
        if self._state is None:
            return
        status, body = await operations.report_ready(self._state, request.shows_causes)
        self._channel.send(ReportAnswer(request.id, status, body))


@asynccontextmanager
async def open_link(
    end: socket.socket, spares: Mapping[int, socket.socket], stop: asyncio.Event
) -> AsyncIterator[SupervisorLink]:
    """Open the link of this process while the context is open."""
    channel = await Channel.open(end)
    link = SupervisorLink(channel, spares, stop)
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        channel.close()
