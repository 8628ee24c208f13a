"""A place in which a process serves: one that ends is replaced, sooner or later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from server.processes.serving_process import ServingProcess, Starter
from services.telemetry import metrics
from services.telemetry.logs import get_logger

STABLE_SECONDS = 30.0  # a process that served so long does not end because it cannot serve
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 30.0
_READY_SECONDS = 120.0
log = get_logger("processes")


class Place:
    """One of the places.

    Args:
        on_end: called with a process that ended though nobody wanted it to; with None if it
            could not even be started.
        leave_seconds: how long a replaced process may take to end.
    """

    def __init__(
        self,
        number: int,
        start: Starter,
        on_end: Callable[[ServingProcess | None], None],
        leave_seconds: float,
    ) -> None:
        self.number = number
        self.current: ServingProcess | None = None
        self._start = start
        self._on_end = on_end
        self._leave_seconds = leave_seconds
        self._early_ends = 0
        self._lock = asyncio.Lock()  # held while a process starts

    @property
    def is_served(self) -> bool:
        """Whether somebody takes its connections."""
        return self.current is not None and self.current.is_responsive

    async def run(self) -> None:
        """Keep a process in the place, until cancelled."""
        async with self._lock:
            process = self.current = await self._try_start()
        while True:
            if process is not None:
                await process.wait()
            if self.current is process:
                self._on_end(process)
                await asyncio.sleep(self._count_pause(process))
                async with self._lock:
                    if self.current is process:
                        self.current = await self._try_start()
            process = self.current

    async def _try_start(self) -> ServingProcess | None:
        try:
            return await self._start(self.number)
        except OSError as error:  # no memory, no further process or file
            log.error("process_start_failed", process=self.number, error=repr(error))
            return None

    def _count_pause(self, ended: ServingProcess | None) -> float:
        is_stable = ended is not None and ended.ready_seconds >= STABLE_SECONDS
        self._early_ends = 0 if is_stable else self._early_ends + 1
        pause = _FIRST_PAUSE_SECONDS * 2.0 ** min(self._early_ends - 1, 10)
        return min(pause, _LONGEST_PAUSE_SECONDS) if self._early_ends else 0.0

    async def replace(self) -> bool:
        """Replace the process by a new one; return False, and keep it, if that does not start."""
        async with self._lock:
            new = await self._try_start()
            if new is None:
                return False
            if not await new.wait_ready(_READY_SECONDS):
                new.kill()
                await new.wait()
                return False
            old, self.current = self.current, new
        metrics.serving_process_replacements_total.labels("reload").inc()
        if old is not None:
            await self._await_end(old)
        return True

    async def _await_end(self, old: ServingProcess) -> None:
        old.leave()
        try:
            async with asyncio.timeout(self._leave_seconds):
                await old.wait()
        except TimeoutError:
            log.error("process_killed", process=self.number, pid=old.pid)
            old.kill()
            await old.wait()
