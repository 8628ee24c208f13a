"""Collection of garbage in small steps, so that none stops the process for long.

A full collection looks at everything that lives: with some thousand sockets for the better part of
a second. Here what has survived is exempted ("frozen") as soon as looking at it takes a while. All
is looked at again once much more has been exempted, in a moment in which the process is idle.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.telemetry.thread_time import read_runnable_seconds

_TICK_SECONDS = 0.05
_YOUNG, _MIDDLE = 2000, 5  # objects, then collections of them: Python's thresholds 0 and 1
_NEVER = 2**31 - 1
_STEP = 2  # collections of the middle generation: some 24,000 objects that survived
_LONG_STEP_SECONDS = 0.005
_GROWTH = 1_000_000  # exempted objects: about what ten thousand sockets have
_BUSY_FACTOR = 3  # of that, beyond which the process need not be idle
_IDLE_SHARE = 0.1
_LOOK_SECONDS = 5.0


@contextmanager
def collect_in_steps(collector: GarbageCollector | None = None) -> Iterator[None]:
    """Let this process collect in steps, and its objects of startup not at all."""
    collector = collector or GarbageCollector()
    collector.start()
    try:
        yield
    finally:
        collector.stop()


class GarbageCollector:
    """Collector of the running event loop's process.

    Args:
        growth: exempted objects after which it looks at all of them again.
        look_seconds: how often it asks whether it should.
    """

    def __init__(self, growth: int = _GROWTH, look_seconds: float = _LOOK_SECONDS) -> None:
        self._growth = growth
        self._look_seconds = look_seconds
        self._thresholds = gc.get_threshold()
        self._timer: asyncio.TimerHandle | None = None
        self._base = 0  # exempted at the last look at everything
        self._looked_at = 0.0
        self._runnable_seconds = 0.0
        self._exempted = 0  # since then, those that are no more among them

    def start(self) -> None:
        """Exempt what lives; from now on nothing but steps looks at what grows old."""
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
        self._collect_everything()
        self._schedule()

    def stop(self) -> None:
        """Leave collecting to Python again."""
        if self._timer is not None:
            self._timer.cancel()
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        if gc.get_count()[2] >= _STEP:
            self._step()
        elif self._exempted >= self._growth and self._is_look_due():
            self._look()
        self._schedule()

    def _step(self) -> None:
        """Collect what is not exempted; if that takes a while, exempt what survives."""
        started = time.thread_time()
        gc.collect()
        if time.thread_time() - started >= _LONG_STEP_SECONDS:
            self._exempted += len(gc.get_objects())
            gc.freeze()

    def _look(self) -> None:
        """Look at everything if that may be worth it and hurts nobody."""
        if self._read_busy_share() >= _IDLE_SHARE and self._exempted < _BUSY_FACTOR * self._growth:
            return
        self._exempted = gc.get_freeze_count() - self._base
        if self._exempted >= self._growth:
            self._collect_everything()

    def _is_look_due(self) -> bool:
        return time.monotonic() - self._looked_at >= self._look_seconds

    def _read_busy_share(self) -> float:
        """Return the share of the time since the last look in which the thread computed."""
        now, runnable = time.monotonic(), read_runnable_seconds()
        share = (runnable - self._runnable_seconds) / max(now - self._looked_at, _TICK_SECONDS)
        self._looked_at, self._runnable_seconds = now, runnable
        return share

    def _collect_everything(self) -> None:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self._base = gc.get_freeze_count()
        self._exempted = 0
        self._read_busy_share()
