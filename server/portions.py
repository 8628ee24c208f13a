"""Calls that may wait a little, in portions: a few of them a turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

_PER_TURN = 16  # ends of connections: some two milliseconds


class Portions:
    """Calls that are made in order, so many a turn; what arrives meanwhile is served between."""

    def __init__(self, per_turn: int = _PER_TURN) -> None:
        self._per_turn = per_turn
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_scheduled = False

    def add(self, call: Callable[[], object]) -> None:
        """Make this call in one of the next turns; its failure is the loop's to report."""
        self._waiting.append(call)
        if not self._is_scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        loop = asyncio.get_running_loop()
        for _ in range(min(self._per_turn, len(self._waiting))):
            loop.call_soon(self._waiting.popleft())
        if self._waiting:
            self._schedule()


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Portions] = WeakKeyDictionary()


def portions_of(loop: asyncio.AbstractEventLoop) -> Portions:
    """The portions that all connections of a loop share."""
    portions = _of_loops.get(loop)
    if portions is None:
        portions = _of_loops[loop] = Portions()
    return portions
