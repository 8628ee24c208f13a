"""One serving process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from server.processes.channel import (
    Beat,
    Channel,
    Cover,
    Leave,
    MetricsAnswer,
    MetricsRequest,
    Ready,
    ReportAnswer,
    ReportRequest,
)
from services.telemetry.metric_sums import CountedProcess
from services.telemetry.shared_values import TableReader, create_table

_REPORT_SECONDS = 3.0
_STARTING_SECONDS = 60.0  # for what is imported before the first beat
_RESPONSIVE_SECONDS = 3

Report = tuple[int, dict[str, Any]]
_STARTING: Report = 503, {"status": "starting"}


class ServingProcess:
    """A child process from its start to its end.

    Args:
        place: which of the listening sockets is its own, from 1.
        render_metrics: the page of all processes, which it may ask for.
        on_change: called when it becomes ready.
    """

    def __init__(
        self,
        place: int,
        process: asyncio.subprocess.Process,
        channel: Channel,
        table: TableReader,
        render_metrics: Callable[[], bytes],
        on_change: Callable[[], None],
    ) -> None:
        self.place = place
        self.pid = process.pid
        self.source = CountedProcess(str(place), process.pid, table)
        self.ready = asyncio.Event()
        self.is_silent = False  # for so long that it was killed
        self.silent_seconds = 0
        self._ready_at = 0.0
        self._process = process
        self._channel = channel
        self._render_metrics = render_metrics
        self._on_change = on_change
        self._reports: dict[int, asyncio.Future[Report]] = {}
        self._ids = itertools.count()
        self._listening = asyncio.create_task(self._listen())
        self._ending = asyncio.create_task(process.wait())

    # ---- how it is

    @property
    def is_responsive(self) -> bool:
        """Whether it serves, and has lately said that its event loop runs."""
        is_ready = self.ready.is_set() and not self._ending.done()
        return is_ready and self.silent_seconds <= _RESPONSIVE_SECONDS

    @property
    def ready_seconds(self) -> float:
        """How long it has been ready, or was."""
        return time.monotonic() - self._ready_at if self._ready_at else 0.0

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal's number; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end; return its exit status."""
        return await asyncio.shield(self._ending)

    async def wait_ready(self, seconds: float) -> bool:
        """Wait until it serves; return False if it has ended, or takes longer."""
        waiting = asyncio.create_task(self.ready.wait())
        await asyncio.wait(
            [waiting, self._ending], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        return self.ready.is_set() and not self._ending.done()

    def count_second(self, limit: float) -> None:
        """Count a second in which it may have said something; kill it beyond the limit."""
        self.silent_seconds += 1
        allowance = 0.0 if self.ready.is_set() else _STARTING_SECONDS
        if self.silent_seconds > limit + allowance and not self._ending.done():
            self.is_silent = True
            self.kill()

    async def report(self, shows_causes: bool) -> Report | None:
        """Return what it would answer to /ready; None if it does not answer."""
        if not self.ready.is_set():
            return _STARTING
        id_ = next(self._ids)
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._reports[id_] = answer
        self._channel.send(ReportRequest(id_, shows_causes))
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._reports[id_]

    # ---- what it is to do

    def cover(self, places: frozenset[int]) -> None:
        """Let it take the connections of these places, too, and of no others."""
        self._channel.send(Cover(places - {self.place}))

    def leave(self) -> None:
        """Let it end without a request of its connections lost."""
        self._channel.send(Leave())

    def terminate(self) -> None:
        """Let it drain, and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Let go of what is left of it after its end."""
        self._listening.cancel()
        self._channel.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _listen(self) -> None:
        async for message in self._channel.receive():
            self.silent_seconds = 0
            match message:
                case Beat():
                    pass
                case Ready():
                    self._ready_at = time.monotonic()
                    self.ready.set()
                    self._on_change()
                case MetricsRequest(id=id_):
                    self._channel.send(MetricsAnswer(id_, self._render_metrics()))
                case ReportAnswer(id=id_, status=status, body=body):
                    answer = self._reports.get(id_)
                    if answer is not None and not answer.done():
                        answer.set_result((status, body))


async def start_process(
    place: int,
    listening: Sequence[socket.socket],
    render_metrics: Callable[[], bytes],
    on_change: Callable[[], None],
) -> ServingProcess:
    """Start a process for a place; it is an interpreter of its own, with today's code and `.env`.

    Args:
        listening: the sockets of all places.
    """
    own_end, its_end = socket.socketpair()
    table = create_table()
    handed = [each.fileno() for each in listening]
    try:
        process = await asyncio.create_subprocess_exec(
            *_command(place, handed, its_end.fileno(), table),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[*handed, its_end.fileno(), table],
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which passes it on
        )
        reader = TableReader(table)
    finally:
        its_end.close()
        os.close(table)
    channel = await Channel.open(own_end)
    return ServingProcess(place, process, channel, reader, render_metrics, on_change)


def _command(place: int, listening: Sequence[int], channel: int, table: int) -> list[str]:
    options = {
        "--place": str(place),
        "--listening": ",".join(map(str, listening)),
        "--channel": str(channel),
        "--table": str(table),
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "server", "serve-place", *words]


Starter = Callable[[int], Awaitable[ServingProcess]]
