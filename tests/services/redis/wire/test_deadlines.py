"""Deadlines of calls on one connection, in time spent listening."""

from __future__ import annotations

import asyncio
import time

from services.redis.wire.deadlines import Deadlines


class Calls:
    """Calls that the test answers; `late_at` is when the first one was late."""

    def __init__(self, seconds: float) -> None:
        self.answered = 0
        self.late_at: float | None = None
        self.deadlines = Deadlines(seconds, lambda: self.answered, self._note)

    def _note(self) -> None:
        assert self.late_at is None
        self.late_at = time.monotonic()


async def test_a_call_without_an_answer_is_late_once() -> None:
    calls = Calls(0.12)
    started = time.monotonic()
    calls.deadlines.add(1)
    await asyncio.sleep(0.5)
    assert calls.late_at is not None and calls.late_at - started >= 0.12


async def test_answered_calls_are_never_late() -> None:
    calls = Calls(0.1)
    for sent in range(1, 40):
        calls.deadlines.add(sent)
        await asyncio.sleep(0.01)
        calls.answered = sent
    await asyncio.sleep(0.2)
    assert calls.late_at is None


async def test_answers_to_others_do_not_extend_a_deadline() -> None:
    # given a stream of calls, and a second one that is never answered
    calls = Calls(0.2)
    started = time.monotonic()
    for sent in range(1, 60):
        calls.deadlines.add(sent)
        calls.answered = min(sent, 1)
        await asyncio.sleep(0.01)
    # then it is late in its own time, though further calls were sent all along
    assert calls.late_at is not None and calls.late_at - started < 0.5


async def test_time_in_which_the_process_was_busy_does_not_count() -> None:
    calls = Calls(0.1)
    calls.deadlines.add(1)
    await asyncio.sleep(0.06)
    time.sleep(0.3)  # noqa: ASYNC251 - it is to be busy
    await asyncio.sleep(0)  # what arrived meanwhile is read
    calls.answered = 1
    await asyncio.sleep(0.2)
    assert calls.late_at is None


async def test_after_a_cancellation_nothing_is_late() -> None:
    calls = Calls(0.05)
    calls.deadlines.add(1)
    calls.deadlines.cancel()
    await asyncio.sleep(0.2)
    assert calls.late_at is None
