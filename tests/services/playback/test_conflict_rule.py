"""What the model test (test_progress_model.py) does not say of the rule in Python."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.errors import ValidationFailed
from services.playback.conflict_rule import apply, is_completed
from services.playback.state import (
    PERMANENT_HOLD_MS,
    ProgressState,
    Report,
    ReportOutcome,
    Rules,
    SessionState,
    validate_seconds,
)

NOW = 1_800_000_000_000
RULES = Rules()
STORED = ProgressState(
    position_seconds=600.0,
    known_duration_seconds=1000.0,
    furthest_seconds=700.0,
    at_ms=NOW - 1000,
    stamp_ms=NOW - 1000,
    session_id="session_1",
    sequence=7,
    claimed_ms=NOW - 90_000,
    held_until_ms=NOW + 29_000,
)
SESSION = SessionState("session_1", '["tv",null,"TV"]', NOW - 90_000, 550.0, 1000.0)


def report(sequence: int | None, position: float | None, state: str = "PLAYING") -> Report:
    return Report("session_1", sequence, position, None, state, None)


@pytest.mark.parametrize("sequence", [0, 7])
def test_a_session_known_only_from_its_start_knows_what_it_applied_before(sequence: int) -> None:
    # given a session as it began, and progress it reported
    # when a report comes that it applied before
    outcome, state, _ = apply(STORED, SESSION, report(sequence, 10.0), NOW, RULES)
    # then it is known
    assert (outcome, state) == (ReportOutcome.REPEATED, STORED)


def test_a_session_known_only_from_its_start_still_holds_its_position() -> None:
    outcome, state, session = apply(STORED, SESSION, report(8, 300.0), NOW, RULES)
    assert outcome is ReportOutcome.APPLIED
    assert (state.position_seconds, state.furthest_seconds, state.sequence) == (300.0, 700.0, 8)
    assert (state.stamp_ms, state.held_until_ms) == (NOW, NOW + 30_000)
    assert (session.sequence, session.position_seconds) == (8, 300.0)


def test_a_session_started_again_by_its_key_knows_nothing_of_the_forgotten_one() -> None:
    # given a session of the same key, begun two minutes after the first was last heard of
    later = NOW + 120_000
    anew = replace(SESSION, started_ms=later, position_seconds=0.0)
    # then its first report counts as any new session's
    outcome, state, session = apply(STORED, anew, report(0, 10.0), later + 1, RULES)
    assert (outcome, state, session.sequence) == (ReportOutcome.UNCHANGED, STORED, 0)
    outcome, state, _ = apply(STORED, session, report(1, 70.0), later + 60_000, RULES)
    assert (outcome, state.position_seconds, state.sequence) == (ReportOutcome.APPLIED, 70.0, 1)


def test_a_session_that_counted_before_counts_no_second_time() -> None:
    counted = replace(STORED, session_counted=1, watch_count=1)
    outcome, state, _ = apply(counted, SESSION, report(8, 950.0), NOW, RULES)
    assert (outcome, state.completed, state.watch_count) == (ReportOutcome.APPLIED, 1, 1)


def test_stamps_grow_even_where_the_clock_does_not() -> None:
    ahead = replace(STORED, stamp_ms=NOW + 5_000, at_ms=NOW + 5_000)
    _, state, _ = apply(ahead, SESSION, report(8, 300.0), NOW, RULES)
    assert (state.stamp_ms, state.at_ms) == (NOW + 5_001, NOW + 5_000)


def test_a_stop_without_a_position_only_lets_go() -> None:
    outcome, state, session = apply(STORED, SESSION, report(None, None, "STOPPED"), NOW, RULES)
    assert outcome is ReportOutcome.APPLIED
    assert state == replace(STORED, held_until_ms=0)
    assert (session.state, session.sequence) == ("STOPPED", 8)
    again, _, _ = apply(state, session, report(9, 10.0), NOW, RULES)
    assert again is ReportOutcome.REPEATED


def test_a_mark_outlasts_the_session_it_was_made_in() -> None:
    # given the session's own progress, marked since
    marked = replace(STORED, held_until_ms=PERMANENT_HOLD_MS, claimed_ms=NOW - 500)
    # when the session goes on, a day later still
    outcome, state, session = apply(marked, SESSION, report(8, 650.0), NOW + 86_400_000, RULES)
    # then nothing moves, until it seeks
    assert (outcome, state) == (ReportOutcome.UNCHANGED, marked)
    sought = report(9, 20.0)._replace(seeked=True)
    outcome, state, _ = apply(marked, session, sought, NOW + 86_400_001, RULES)
    assert (outcome, state.position_seconds) == (ReportOutcome.APPLIED, 20.0)


@pytest.mark.parametrize(
    ("position", "duration", "completed"),
    [
        (0.0, 0.0, False),
        (9e9, 0.0, False),
        (0.0, 10.0, False),
        (9.9, 10.0, True),
        (269.9, 300.0, False),
        (270.0, 300.0, True),
        (296.0, 299.0, False),
        (296.1, 299.0, True),
    ],
)
def test_what_is_completed(position: float, duration: float, completed: bool) -> None:
    assert is_completed(position, duration, RULES) is completed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_what_is_no_length_of_time_is_refused(value: float) -> None:
    validate_seconds(0.0, None, 1e6)
    with pytest.raises(ValidationFailed):
        validate_seconds(1.0, value)


def test_a_session_that_began_blind_moves_the_position_only_forwards_or_by_seeking() -> None:
    # given one that began long ago without knowing what is stored, and a hold that has ended
    blind = replace(SESSION, session_id="session_2", is_blind=True, position_seconds=0.0)
    stored = replace(STORED, position_seconds=500.0, held_until_ms=0, claimed_ms=0)
    # then a report behind what is stored does not move it
    outcome, state, _ = apply(stored, blind, report(0, 92.0), NOW, RULES)
    assert (outcome, state) == (ReportOutcome.UNCHANGED, stored)
    # and one beyond it, or sought, does
    beyond = apply(stored, blind, report(0, 501.0), NOW, RULES)
    assert (beyond[0], beyond[1].position_seconds) == (ReportOutcome.APPLIED, 501.0)
    sought = apply(stored, blind, report(0, 92.0)._replace(seeked=True), NOW, RULES)
    assert (sought[0], sought[1].position_seconds) == (ReportOutcome.APPLIED, 92.0)


@pytest.mark.parametrize(("seeked", "watched"), [(False, 6.4), (True, 0.0)])
def test_written_past_redis_a_viewing_is_no_longer_than_its_clock_allows(
    seeked: bool, watched: float
) -> None:
    # given a session of 3.2 s, that reports five times within it
    session = SessionState("session_2", '["tv",null,"TV"]', NOW - 3_200, 0.0, 1000.0)
    state = ProgressState()
    for number in range(5):
        at, position = NOW - 3_200 + 640 * (number + 1), 6.0 * (number + 1)
        one = Report("session_2", number, position, None, "PLAYING", None, seeked)
        _, state, session = apply(state, session, one, at, RULES)
    # then its lag counts once for all, and a seek not at all
    assert session.watched_seconds == watched
