"""Hedged calls to several providers under one deadline: the first good answer wins.

The next provider is called as soon as one has failed or has no sources, and, as a hedge, when the
newest call has been silent for longer than its own p95 allows (Dean and Barroso, "The Tail at
Scale", 2013). Losers are cancelled. One whose answers nobody checks would win each time: it is no
hedge, and called beside others only when their time is over.
Promise: back before the deadline, whatever a provider does.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from services.providers.attempts import AttemptOutcome
from services.providers.base import TitleRef
from services.providers.runner import OVERTAKEN, ProviderCall, ProviderRunner
from services.telemetry import metrics

_LEAST_SECONDS = 0.005  # less is not worth a call
_LAST_RESORT_SECONDS = 0.05  # before the end: enough for one that makes no call


@dataclass(frozen=True, slots=True)
class Candidate:
    """Provider in its place of the order; a disabled one is reported with `reason`, not called."""

    runner: ProviderRunner
    is_disabled: bool = False
    reason: str | None = None


class HedgedRequest:
    """Calls to several providers about one title; `calls` in the order they began."""

    def __init__(self, candidates: Iterable[Candidate], title: TitleRef, ends_at: float) -> None:
        self._pending = deque(candidates)
        self._running: dict[asyncio.Task[None], ProviderCall] = {}
        self._title = title
        self._ends_at = ends_at
        self.calls: list[ProviderCall] = []

    async def run(self) -> ProviderCall | None:
        """Run until a call returns sources, or all ended; every call has its outcome then."""
        winner = None
        try:
            winner = await self._run()
        finally:
            self._stop(winner)
        return winner

    async def _run(self) -> ProviderCall | None:
        self._start_next()
        while self._running:
            seconds = self._seconds_to_wait()
            done, _ = await asyncio.wait(
                self._running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            ended = sorted((self._running.pop(task) for task in done), key=self.calls.index)
            winner = next((call for call in ended if call.sources), None)
            if winner is not None or self._is_over():
                return winner
            for call in ended:  # a hedge that was not called passes to the next provider
                self._start_next(hedged=call.hedged and call.was_not_called)
            if not ended:
                self._start_next(hedged=True)
        return None

    def _is_over(self) -> bool:
        return self._ends_at - time.monotonic() < _LEAST_SECONDS

    def _seconds_to_wait(self) -> float:
        """Until the deadline, or until it is time for a hedge."""
        now = time.monotonic()
        remaining = self._ends_at - now
        candidate = next((one for one in self._pending if not one.is_disabled), None)
        if candidate is not None and candidate.runner.is_checked:
            newest = list(self._running.values())[-1]
            remaining = min(remaining, newest.started + newest.runner.hedge_delay_seconds - now)
        elif candidate is not None:
            remaining -= _LAST_RESORT_SECONDS
        return max(remaining, 0.0)

    def _start_next(self, *, hedged: bool = False) -> None:
        """Asks the next one that may be asked; those that may not are told on the way."""
        while self._pending:
            candidate = self._pending.popleft()
            call = ProviderCall(candidate.runner, hedged and not candidate.is_disabled)
            self.calls.append(call)
            if candidate.is_disabled:
                call.end(AttemptOutcome.DISABLED, candidate.reason)
                continue
            work = candidate.runner.run(call, self._title, self._ends_at)
            self._running[asyncio.create_task(work)] = call
            return

    def _stop(self, winner: ProviderCall | None) -> None:
        """Cancels those still asked, and tells those that were never reached."""
        is_late = self._is_over()
        for task, call in self._running.items():
            _cancel_detached(task)
            if winner is not None:
                overtaken = self.calls.index(call) < self.calls.index(winner)
                call.end(AttemptOutcome.CANCELLED, OVERTAKEN if overtaken else None)
            elif is_late:
                call.end(AttemptOutcome.TIMEOUT)
        self._running.clear()
        if winner is None and is_late:
            self._record_unreached()
        self._count_hedges(winner)

    def _count_hedges(self, winner: ProviderCall | None) -> None:
        for call in self.calls:
            if call.hedged and not call.was_not_called:
                metrics.provider_hedges_total.labels(call.runner.key, "started").inc()
        if winner is not None and winner.hedged:
            metrics.provider_hedges_total.labels(winner.runner.key, "won").inc()

    def _record_unreached(self) -> None:
        for candidate in self._pending:
            call = ProviderCall(candidate.runner)
            call.end(
                AttemptOutcome.DISABLED if candidate.is_disabled else AttemptOutcome.CANCELLED,
                candidate.reason if candidate.is_disabled else "DEADLINE",
            )
            self.calls.append(call)
        self._pending.clear()


_detached: set[asyncio.Task[None]] = set()  # a task nobody holds may be collected before it ends


def _cancel_detached(task: asyncio.Task[None]) -> None:
    """Cancels without waiting: a provider that does not let go holds nobody up."""
    task.cancel()
    _detached.add(task)
    task.add_done_callback(_detached.discard)
