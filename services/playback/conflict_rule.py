"""Rule that decides whose report moves the position.

For writes that do not pass through Redis: the twin of lua/report_progress.lua, proven equal to it
by a model test. Pure: no clock, no state. A session's reports count once each, by `sequence`, as
they arrive. The reporting session holds the position for `hold_seconds` after each report;
docs/api.md tells when another session takes over.
"""

from __future__ import annotations

from msgspec.structs import replace

from services.errors import ValidationFailed
from services.playback.state import (
    PERMANENT_HOLD_MS,
    ProgressState,
    Report,
    ReportOutcome,
    Rules,
    SessionState,
)

_AT_THE_END_PERCENT = 99  # of titles too short for credits: players rarely report the very end
_FASTEST = 2  # times the clock that a viewing advances at most, after
_LAG_SECONDS = 5
_STOPPED = "STOPPED"


def apply(
    state: ProgressState, session: SessionState, report: Report, now_ms: int, rules: Rules
) -> tuple[ReportOutcome, ProgressState, SessionState]:
    """Apply one report: its outcome, the new state and the new session.

    A session that applied its last report elsewhere goes on from what `state` knows of it.

    Raises:
        ValidationFailed: far beyond the end, as far as that is known.
    """
    session = _sync_session(session, state)
    sequence = session.sequence + 1 if report.sequence is None else report.sequence
    if session.state == _STOPPED or sequence <= session.sequence:
        return ReportOutcome.REPEATED, state, session
    if not report.duration_seconds and is_beyond(
        report.position_seconds or 0.0, session.duration_seconds
    ):
        raise beyond_end_error(["positionSeconds"])
    updated = _advance_session(state, session, report, now_ms, rules, sequence)
    if report.position_seconds is None:
        return ReportOutcome.APPLIED, _release_hold(state, updated), updated
    position, duration = updated.position_seconds, updated.duration_seconds
    if not report.seeked and _is_ignored(state, session, position, now_ms, rules):
        return ReportOutcome.UNCHANGED, state, updated
    finishes = is_completed(position, duration, rules)
    counts = finishes and not state.completed and not session.counted
    updated = replace(updated, counted=session.counted or counts)
    changed = _move_position(state, updated, now_ms, rules, completed=finishes, counts=counts)
    return ReportOutcome.APPLIED, changed, updated


def is_completed(position_seconds: float, duration_seconds: float, rules: Rules) -> bool:
    """Say whether a position completes a title of this length."""
    if duration_seconds <= 0:
        return False
    percent = rules.completed_percent
    if duration_seconds < rules.completed_least_seconds:
        percent = max(percent, _AT_THE_END_PERCENT)
    return position_seconds * 100 >= duration_seconds * percent


def count_possible_seconds(elapsed_ms: float) -> float:
    """Seconds of film that can be watched in a time, with allowance for late reports."""
    return elapsed_ms / 1000 * _FASTEST + _LAG_SECONDS


def is_beyond(position_seconds: float, known_duration_seconds: float) -> bool:
    """Say whether a position is beyond the end of a duration that no player measured.

    The tolerance is 5 %, at least a minute: PAL runs 4 % faster.
    """
    expected = known_duration_seconds
    return expected > 0 and position_seconds > expected + max(60.0, expected * 0.05)


def beyond_end_error(path: list[str]) -> ValidationFailed:
    """Build the error of a position beyond the end."""
    message = "The position is beyond the end: tell `durationSeconds` if this is longer."
    return ValidationFailed(message, path=path)


def _is_ignored(
    state: ProgressState, session: SessionState, position: float, now_ms: int, rules: Rules
) -> bool:
    """What is stored counts on, whatever this session says of itself."""
    if _is_holder(state, session):
        return False
    return (
        (state.held_until_ms > now_ms and session.claimed_ms <= state.claimed_ms)
        or _has_yet_to_catch_up(state, session, position, now_ms, rules)
        or (session.sequence >= 0 and position == session.position_seconds)  # it stands still
    )


def _has_yet_to_catch_up(
    state: ProgressState, session: SessionState, position: float, now_ms: int, rules: Rules
) -> bool:
    is_short = now_ms - session.started_ms < rules.short_session_seconds * 1000
    has_sought = session.claimed_ms > session.started_ms
    must_catch_up = session.is_blind or is_short
    return position < state.position_seconds and must_catch_up and not has_sought


def _is_holder(state: ProgressState, session: SessionState) -> bool:
    is_active_hold = 0 < state.held_until_ms < PERMANENT_HOLD_MS
    return is_active_hold and _is_latest(state, session)


def _is_latest(state: ProgressState, session: SessionState) -> bool:
    """A key may start a session again once the first is forgotten: what that left is another's."""
    return state.session_id == session.session_id and state.claimed_ms >= session.started_ms


def _sync_session(session: SessionState, state: ProgressState) -> SessionState:
    claimed_ms = max(session.claimed_ms, session.started_ms)
    seen_ms = max(session.seen_ms, session.started_ms)
    if not _is_latest(state, session):
        return replace(session, claimed_ms=claimed_ms, seen_ms=seen_ms)
    if _is_holder(state, session):
        claimed_ms = max(claimed_ms, state.claimed_ms)
    return replace(
        session,
        sequence=max(session.sequence, state.sequence),
        claimed_ms=claimed_ms,
        seen_ms=seen_ms,
        counted=session.counted or bool(state.session_counted),
    )


def _advance_session(
    state: ProgressState,
    session: SessionState,
    report: Report,
    now_ms: int,
    rules: Rules,
    sequence: int,
) -> SessionState:
    """The session after this report, whether or not it moves the progress."""
    updated = replace(
        session,
        sequence=sequence,
        state=report.state,
        quality=report.quality or session.quality,
        seen_ms=max(now_ms, session.seen_ms + 1),
    )
    if report.seeked:
        claimed_ms = max(now_ms, session.claimed_ms + 1, state.claimed_ms + 1)
        updated = replace(updated, claimed_ms=claimed_ms)
    if report.position_seconds is None:
        return updated
    duration = report.duration_seconds or session.duration_seconds
    position = report.position_seconds
    if duration > 0:
        position = min(position, duration)
    return replace(
        updated,
        position_seconds=position,
        duration_seconds=duration,
        watched_seconds=_count_watched_seconds(session, report, position, now_ms),
        finished=session.finished or is_completed(position, duration, rules),
    )


def _count_watched_seconds(
    session: SessionState, report: Report, position: float, now_ms: int
) -> float:
    """All that was watched until now.

    A late report may be followed by a punctual one, so each has some lag; all together have the
    time since the session began.
    """
    before = session.watched_seconds
    if report.seeked:
        return before
    possible = count_possible_seconds(now_ms - session.seen_ms)
    watched = before + max(0.0, min(position - session.position_seconds, possible))
    return min(watched, max(before, (now_ms - session.started_ms) / 1000 * _FASTEST))


def _release_hold(state: ProgressState, updated: SessionState) -> ProgressState:
    if updated.state == _STOPPED and _is_holder(state, updated):
        return replace(state, held_until_ms=0)
    return state


def _move_position(
    state: ProgressState,
    updated: SessionState,
    now_ms: int,
    rules: Rules,
    *,
    completed: bool,
    counts: bool,
) -> ProgressState:
    held_until_ms = 0 if updated.state == _STOPPED else now_ms + round(rules.hold_seconds * 1000)
    moves = updated.position_seconds != state.position_seconds
    return replace(
        state,
        position_seconds=updated.position_seconds,
        known_duration_seconds=updated.duration_seconds,
        completed=int(completed),
        watch_count=state.watch_count + counts,
        furthest_seconds=max(updated.position_seconds, state.furthest_seconds),
        at_ms=max(now_ms, state.at_ms),
        device_json=updated.device_json,
        stamp_ms=max(now_ms, state.stamp_ms + 1),
        session_id=updated.session_id,
        sequence=updated.sequence,
        session_counted=int(updated.counted),
        claimed_ms=updated.claimed_ms,
        held_until_ms=held_until_ms,
        dismissed_at_ms=0 if moves else state.dismissed_at_ms,
    )
