"""An outage is one line, then one a minute; what fails because of a store says nothing."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from services.telemetry.outages import Cause, OutageLog, StoreOutageLog, is_store_away
from tests.support.clock import Clock


class Lines:
    """The events of both kinds of log, by a clock that stands until it is moved."""

    def __init__(self, logged: list[Any]) -> None:
        self.clock = Clock()
        self._logged = logged
        log = structlog.get_logger()
        self.store = StoreOutageLog(log, "redis", self._read_clock)
        self.task = OutageLog(log, "task", self._read_clock)

    def _read_clock(self) -> float:
        return self.clock.now

    @property
    def events(self) -> list[str]:
        return [one["event"] for one in self._logged]


@pytest.fixture
def lines() -> Any:
    with structlog.testing.capture_logs() as logged:
        both = Lines(logged)
        yield both
        both.store.close()


@pytest.mark.parametrize("pause_seconds", [0.1, 1.0, 7.0])
def test_an_outage_is_one_line_and_then_one_a_minute(lines: Lines, pause_seconds: float) -> None:
    for _ in range(int(150 / pause_seconds)):
        lines.store.record_failure(server="redis")
        lines.clock.now += pause_seconds
    assert lines.events == ["redis_unavailable"] * 3
    lines.store.record_recovery()
    assert lines.events[3:] == ["redis_recovered"]
    # and the next one is another
    lines.store.record_failure()
    assert lines.events[4:] == ["redis_unavailable"]


@pytest.mark.parametrize("cause", [Cause.UPSTREAM, Cause.CONNECTION])
def test_what_fails_while_a_store_is_away_says_nothing_and_is_seen(
    lines: Lines, cause: Cause
) -> None:
    lines.store.open()
    for _ in range(100):
        lines.task.record_failure(cause=cause)
        lines.clock.now += 1
    assert lines.task.is_open
    lines.store.record_failure()
    lines.task.record_recovery()
    lines.store.record_recovery()
    assert lines.events == ["redis_unavailable", "redis_recovered"]
    assert not is_store_away()


def test_a_fault_of_ours_is_told_though_a_store_is_away(lines: Lines) -> None:
    lines.store.open()
    lines.task.record_failure(cause=Cause.FAULT)
    assert lines.events == ["task_unavailable"]


def test_a_connection_that_ended_gives_the_store_two_seconds_to_be_noticed(lines: Lines) -> None:
    # given a reader whose connection ends before anybody finds the store away
    for _ in range(4):
        lines.task.record_failure(cause=Cause.CONNECTION)
        lines.clock.now += 0.4
    assert lines.events == []
    lines.store.record_failure()
    for _ in range(40):
        lines.task.record_failure(cause=Cause.CONNECTION)
        lines.clock.now += 0.4
    # when the store is back a moment before the reader is, and before what waited for it failed
    lines.store.record_recovery()
    lines.task.record_failure(cause=Cause.CONNECTION)
    lines.task.record_recovery()
    lines.task.record_failure()
    assert lines.events == ["redis_unavailable", "redis_recovered"]
    # and then fails by itself
    lines.clock.now += 2
    lines.task.record_failure()
    assert lines.events[2:] == ["task_unavailable"]


def test_a_connection_that_goes_on_failing_by_itself_is_told(lines: Lines) -> None:
    for _ in range(6):
        lines.task.record_failure(cause=Cause.CONNECTION)
        lines.clock.now += 0.5
    assert lines.events == ["task_unavailable"]
