from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from resolvers.context import Runtime
from services.errors import UpstreamUnavailable, ValidationFailed
from services.playback.changes import MOST_CHANGES, ChangeResult, Mark, OfflineEvent
from services.playback.keys import ProgressKeys
from services.playback.sessions import ViewingSession
from services.playback.state import (
    Base,
    BufferedProgress,
    DeviceTag,
    ProgressState,
    Report,
    ReportOutcome,
    device_json,
)
from services.redis.pool import Client
from tests.support.runtimes import playback_on

USER, FILM = "user_1", "movie_1"
NOW = 1_800_000_000_000
MINUTE = 60_000
KEYS = ProgressKeys(8)
NOTHING = {FILM: Base()}
TABLET = DeviceTag("tablet-1", None, "MOBILE")


def event(
    id_: str, position: float, at: int, film: str = FILM, duration: float | None = 1000.0
) -> OfflineEvent:
    return OfflineEvent(id_, film, TABLET, position, duration, at)


async def offline(
    runtime: Runtime, *events: OfflineEvent, base: Base | None = None, now: int = NOW
) -> ChangeResult:
    bases = {each.playable_id: base or Base() for each in events}
    return await runtime.playback.progress.apply_offline(USER, events, now, bases)


async def mark(
    runtime: Runtime,
    *,
    watched: bool = True,
    at: int = NOW,
    now: int = NOW,
    base: Base | None = None,
) -> ChangeResult:
    bases = {FILM: base or Base()}
    marks = [Mark(FILM, at, 1000.0)]
    return await runtime.playback.progress.set_watched(
        USER, marks, watched=watched, now_ms=now, bases=bases
    )


async def play(
    runtime: Runtime, session_id: str, began: int, *reports: tuple[int, float], seeked: bool = False
) -> list[ReportOutcome]:
    """Opens the session unless it is open, and reports positions at their times."""
    session = ViewingSession(
        session_id=session_id, user_id=USER, playable_id=FILM, device_json=device_json(TABLET),
        state="PLAYING", position_seconds=0.0, duration_seconds=1000.0, started_at_ms=began,
        seen_at_ms=began,
    )  # fmt: skip
    await runtime.playback.sessions.start(session, Base())
    outcomes = []
    for at, position in reports:
        report = Report(session_id, at, position, None, "PLAYING", None, seeked)
        report = report._replace(sequence=at - began)
        outcomes.append((await runtime.playback.progress.report(USER, report, at)).outcome)
    return outcomes


async def stored(runtime: Runtime) -> BufferedProgress:
    entry = (await runtime.playback.progress.read_many(USER, [FILM]))[FILM]
    assert entry is not None
    return entry


async def queued(redis: Client) -> int:
    return int(await redis.xlen(KEYS.stream(KEYS.shard(USER))))


def outcomes_of(changed: ChangeResult) -> list[ReportOutcome]:
    assert changed.needed == []
    return changed.outcomes


# ---- watched offline ----


async def test_a_batch_is_applied_in_the_order_it_was_watched(
    runtime: Runtime, redis: Client
) -> None:
    # given three positions in two titles, told newest first
    events = [
        event("e3", 50.0, NOW - MINUTE),
        event("e1", 30.0, NOW - 3 * MINUTE),
        event("e2", 7.0, NOW - 2 * MINUTE, "movie_2"),
    ]
    # when they are told
    changed = await offline(runtime, *events)
    # then each title is where it was left, queued once, with what told it and when
    assert outcomes_of(changed) == [ReportOutcome.APPLIED] * 3
    film = changed.progress[FILM]
    assert film is not None
    assert film == await stored(runtime)
    assert (film.version, film.durable) == (2, False)
    assert (film.state.position_seconds, film.state.at_ms) == (50.0, NOW - MINUTE)
    assert film.state.device == TABLET
    assert film.state.stamp_ms > NOW - MINUTE
    assert await queued(redis) == 2
    assert {each.playable_id for each in await runtime.playback.progress.list_unflushed(USER)} == {
        FILM,
        "movie_2",
    }


async def test_an_event_counts_once(runtime: Runtime, redis: Client) -> None:
    # given a batch whose answer was lost
    await offline(runtime, event("e1", 30.0, NOW - 2), event("e2", 40.0, NOW - 1))
    before = await stored(runtime)
    # when it is sent again, with one more, which comes twice
    again = await offline(
        runtime,
        event("e1", 999.0, NOW),
        event("e2", 999.0, NOW),
        event("e3", 45.0, NOW),
        event("e3", 55.0, NOW),
    )
    # then only the new one is applied
    repeated, applied = ReportOutcome.REPEATED, ReportOutcome.APPLIED
    assert outcomes_of(again) == [repeated, repeated, applied, repeated]
    after = await stored(runtime)
    assert (after.version, after.state.position_seconds) == (before.version + 1, 45.0)
    assert await queued(redis) == 2


async def test_events_are_remembered_within_bounds(runtime: Runtime, redis: Client) -> None:
    # given a viewer with very many events
    for batch in range(5):
        events = [event(f"e{batch}-{n}", 1.0, NOW + batch) for n in range(MOST_CHANGES)]
        await offline(runtime, *events, now=NOW + batch)
    # then the newest 2,000 ids are known, for 30 days
    key = KEYS.offline_events(USER)
    assert await redis.zcard(key) == 2000
    assert await redis.zscore(key, "e0-0") is None
    assert await redis.zscore(key, "e4-499") == NOW + 4
    assert 29 * 86400 < await redis.ttl(key) <= 30 * 86400


async def test_more_than_one_batch_at_once_is_refused(runtime: Runtime, redis: Client) -> None:
    events = [event(f"e{n}", 1.0, NOW) for n in range(MOST_CHANGES + 1)]
    with pytest.raises(ValueError, match="501 changes"):
        await offline(runtime, *events)
    assert await queued(redis) == 0


async def test_an_earlier_event_moves_nothing_but_what_was_reached_counts(
    runtime: Runtime,
) -> None:
    # given a title watched on a television a minute ago
    await play(runtime, "session_1", NOW - 2 * MINUTE, (NOW - MINUTE, 100.0))
    # when a tablet tells what it played before that: to the end
    earlier = await offline(
        runtime, event("e1", 400.0, NOW - 3 * MINUTE), event("e2", 950.0, NOW - 2 * MINUTE)
    )
    nothing = await offline(runtime, event("e3", 90.0, NOW - 4 * MINUTE))
    # then the position stays, and it was watched to its end once, before it was begun again
    assert outcomes_of(earlier) == [ReportOutcome.APPLIED] * 2
    assert outcomes_of(nothing) == [ReportOutcome.UNCHANGED]
    state = (await stored(runtime)).state
    assert (state.position_seconds, state.at_ms) == (100.0, NOW - MINUTE)
    assert (state.furthest_seconds, state.completed, state.watch_count) == (950.0, 0, 1)


async def test_a_device_whose_clock_is_ahead_is_not_in_the_future(runtime: Runtime) -> None:
    # given an event of tomorrow
    await offline(runtime, event("e1", 30.0, NOW + 86_400_000))
    # then it was now, and a report that follows counts
    assert (await stored(runtime)).state.at_ms == NOW
    outcomes = await play(runtime, "session_1", NOW + 1, (NOW + 2, 35.0))
    assert outcomes == [ReportOutcome.APPLIED]


async def test_a_young_player_does_not_undo_what_was_watched_offline(runtime: Runtime) -> None:
    # given a film watched on a flight while the television at home had begun it
    await play(runtime, "session_1", NOW - MINUTE, (NOW - 50_000, 5.0))
    await offline(runtime, event("e1", 700.0, NOW - 40_000))
    # when the television goes on within its first minute, and after it
    young = await play(runtime, "session_1", NOW - MINUTE, (NOW - 10_000, 45.0))
    old = await play(runtime, "session_1", NOW - MINUTE, (NOW + 1_000, 56.0))
    # then only the second has it
    assert (young, old) == ([ReportOutcome.UNCHANGED], [ReportOutcome.APPLIED])


@pytest.mark.parametrize("position", [float("nan"), float("-inf"), -1.0])
async def test_one_impossible_position_refuses_the_batch(
    runtime: Runtime, redis: Client, position: float
) -> None:
    with pytest.raises(ValidationFailed):
        await offline(runtime, event("e1", 30.0, NOW), event("e2", position, NOW))
    assert await queued(redis) == 0
    assert await redis.exists(KEYS.offline_events(USER)) == 0


async def test_titles_that_redis_does_not_hold_are_named_and_nothing_is_changed(
    runtime: Runtime, redis: Client
) -> None:
    # given one title that Redis holds and two that it does not
    await offline(runtime, event("e1", 30.0, NOW - 1))
    # when all are told of, with a base for one of the two
    events = [
        event("e2", 40.0, NOW),
        event("e3", 1.0, NOW, "movie_2"),
        event("e4", 1.0, NOW, "movie_3"),
    ]
    buffer = runtime.playback.progress
    bases = {"movie_2": Base(7, ProgressState(furthest_seconds=80.0, stamp_ms=NOW + 5))}
    changed = await buffer.apply_offline(USER, events, NOW, bases)
    # then the third is asked for
    assert changed == ChangeResult(["movie_3"], [], {})
    assert await queued(redis) == 1
    # and with it all is applied, counting on from the bases
    changed = await buffer.apply_offline(USER, events, NOW, {**bases, "movie_3": Base()})
    assert outcomes_of(changed) == [ReportOutcome.APPLIED] * 3
    second = changed.progress["movie_2"]
    assert second is not None
    assert (second.version, second.state.furthest_seconds) == (8, 80.0)
    assert second.state.stamp_ms == NOW + 6


async def test_a_full_shard_refuses_changes_and_remembers_no_event(
    runtime: Runtime, redis: Client
) -> None:
    # given a shard that is full
    small = runtime.settings.model_copy(update={"progress_shard_entries": 1})
    runtime = replace(runtime, playback=playback_on(runtime, small, redis))
    await offline(runtime, event("e1", 30.0, NOW - 1))
    before = await stored(runtime)
    # when more is told, marked or dismissed
    with pytest.raises(UpstreamUnavailable):
        await offline(runtime, event("e2", 40.0, NOW))
    with pytest.raises(UpstreamUnavailable):
        await mark(runtime)
    with pytest.raises(UpstreamUnavailable):
        await runtime.playback.progress.dismiss(USER, FILM, NOW)
    # then nothing changed, and the same event counts once there is room
    assert await stored(runtime) == before
    await redis.xtrim(KEYS.stream(KEYS.shard(USER)), maxlen=0)
    assert outcomes_of(await offline(runtime, event("e2", 40.0, NOW))) == [ReportOutcome.APPLIED]


# ---- marked ----


async def test_marking_watched_is_the_end_and_counts_once(runtime: Runtime, redis: Client) -> None:
    # given a title never watched
    changed = await mark(runtime, at=NOW - MINUTE)
    again = await mark(runtime, now=NOW + 1)
    # then it was watched once, when its viewer says
    assert (outcomes_of(changed), outcomes_of(again)) == (
        [ReportOutcome.APPLIED],
        [ReportOutcome.UNCHANGED],
    )
    progress = await stored(runtime)
    state = progress.state
    assert (progress.version, state.completed, state.watch_count) == (1, 1, 1)
    assert (state.position_seconds, state.percent, state.at_ms) == (1000.0, 100.0, NOW - MINUTE)
    assert await queued(redis) == 1


async def test_a_running_player_does_not_take_a_mark_back(runtime: Runtime) -> None:
    # given a title that plays, marked as watched
    await play(runtime, "session_1", NOW - 5 * MINUTE, (NOW - 1_000, 300.0))
    await mark(runtime)
    # when its player goes on for hours
    goes_on = (NOW + 9_000, 310.0), (NOW + 3_600_000, 800.0)
    outcomes = await play(runtime, "session_1", NOW - 5 * MINUTE, *goes_on)
    # then it stays watched, until it is begun again
    assert outcomes == [ReportOutcome.UNCHANGED] * 2
    assert (await stored(runtime)).state.completed == 1
    began = NOW + 3_700_000
    assert await play(runtime, "session_2", began, (began + 61_000, 61.0)) == [
        ReportOutcome.APPLIED
    ]
    state = (await stored(runtime)).state
    assert (state.completed, state.watch_count, state.position_seconds) == (0, 1, 61.0)


async def test_marking_unwatched_forgets_the_position_and_keeps_the_count(
    runtime: Runtime,
) -> None:
    # given a title watched to its end, on a player that stands there
    began = NOW - 5 * MINUTE
    await play(runtime, "session_1", began, (NOW - 1_000, 950.0))
    # when it is marked as not watched, and the player still stands there
    changed = await mark(runtime, watched=False)
    watched = await play(runtime, "session_1", began, (NOW + 9_000, 950.0))
    # then nothing of it is left but that it was watched once, and when
    assert (outcomes_of(changed), watched) == ([ReportOutcome.APPLIED], [ReportOutcome.UNCHANGED])
    state = (await stored(runtime)).state
    assert (state.position_seconds, state.furthest_seconds, state.completed) == (0.0, 0.0, 0)
    assert (state.watch_count, state.at_ms) == (1, NOW - 1_000)
    # and a player that plays on is where its viewer is
    assert await play(runtime, "session_1", began, (NOW + 19_000, 960.0)) == [ReportOutcome.APPLIED]


async def test_what_was_watched_before_a_reset_and_reported_after_it_changes_nothing(
    runtime: Runtime,
) -> None:
    # given a title that was reset
    await offline(runtime, event("e1", 500.0, NOW - 2 * MINUTE))
    await mark(runtime, watched=False)
    # when a device tells what it played before
    late = await offline(runtime, event("e2", 950.0, NOW - MINUTE), now=NOW + 1)
    # then it stays as new
    assert outcomes_of(late) == [ReportOutcome.UNCHANGED]
    state = (await stored(runtime)).state
    assert (state.position_seconds, state.furthest_seconds, state.watch_count) == (0.0, 0.0, 0)


async def test_marking_unwatched_what_never_was_changes_nothing(
    runtime: Runtime, redis: Client
) -> None:
    changed = await mark(runtime, watched=False)
    assert (outcomes_of(changed), changed.progress) == ([ReportOutcome.UNCHANGED], {FILM: None})
    assert await queued(redis) == 0


async def test_a_season_is_marked_in_one_call(runtime: Runtime, redis: Client) -> None:
    # given many episodes nobody watched
    episodes = [f"episode_{n}" for n in range(300)]
    marks = [Mark(each, NOW, 1500.0) for each in episodes]
    # when they are marked
    changed = await runtime.playback.progress.set_watched(
        USER, marks, watched=True, now_ms=NOW, bases=dict.fromkeys(episodes, Base())
    )
    # then each is watched
    assert outcomes_of(changed) == [ReportOutcome.APPLIED] * 300
    assert all(row is not None and row.state.completed for row in changed.progress.values())
    assert await queued(redis) == 300


# ---- dismissed ----


async def test_dismissing_moves_nothing_and_lasts_until_it_is_watched_on(
    runtime: Runtime,
) -> None:
    # given a title in its middle, paused
    began = NOW - 5 * MINUTE
    await play(runtime, "session_1", began, (NOW - 9_000, 300.0))
    before = await stored(runtime)
    # when it is dismissed twice, and its player still stands there
    buffer = runtime.playback.progress
    first = await buffer.dismiss(USER, FILM, NOW)
    second = await buffer.dismiss(USER, FILM, NOW + 5)
    await play(runtime, "session_1", began, (NOW + 1_000, 300.0))
    # then it is dismissed, and where it was
    assert (outcomes_of(first), outcomes_of(second)) == (
        [ReportOutcome.APPLIED],
        [ReportOutcome.UNCHANGED],
    )
    state = (await stored(runtime)).state
    assert state.dismissed_at_ms == NOW
    assert state.position_seconds == before.state.position_seconds
    # and watching on brings it back
    await play(runtime, "session_1", began, (NOW + 11_000, 310.0))
    assert (await stored(runtime)).state.dismissed_at_ms == 0


async def test_what_was_never_begun_can_be_dismissed(runtime: Runtime) -> None:
    needed = await runtime.playback.progress.dismiss(USER, FILM, NOW)
    assert needed == ChangeResult([FILM], [], {})
    await runtime.playback.progress.dismiss(USER, FILM, NOW, Base())
    progress = await stored(runtime)
    assert (progress.version, progress.state.dismissed_at_ms, progress.state.at_ms) == (1, NOW, NOW)


async def test_an_event_from_before_a_dismissal_leaves_it_dismissed(runtime: Runtime) -> None:
    # given a title dismissed a minute ago
    await offline(runtime, event("e1", 100.0, NOW - 5 * MINUTE))
    await runtime.playback.progress.dismiss(USER, FILM, NOW - MINUTE)
    # when a device tells of before, then of after
    await offline(runtime, event("e2", 200.0, NOW - 2 * MINUTE))
    before = await stored(runtime)
    await offline(runtime, event("e3", 210.0, NOW))
    after = await stored(runtime)
    # then the second brings it back
    assert (before.state.position_seconds, before.state.dismissed_at_ms) == (200.0, NOW - MINUTE)
    assert (after.state.position_seconds, after.state.dismissed_at_ms) == (210.0, 0)


# ---- adopted ----


async def test_a_newer_state_from_the_database_is_taken_once(
    runtime: Runtime, redis: Client
) -> None:
    # given a title in Redis at version 3, unflushed
    await play(runtime, "session_1", NOW, (NOW + 1, 10.0), (NOW + 2, 20.0), (NOW + 3, 400.0))
    mine = await stored(runtime)
    # when what was written past Redis meanwhile is adopted, twice
    state = replace_state(mine.state, position=60.0, stamp=NOW + 500, furthest=60.0, sequence=9)
    buffer = runtime.playback.progress
    first = await buffer.reconcile(USER, FILM, Base(2, state), NOW + 600)
    second = await buffer.reconcile(USER, FILM, Base(2, state), NOW + 700)
    # then its position counts, with the furthest of both, as a change of its own
    assert (outcomes_of(first), outcomes_of(second)) == (
        [ReportOutcome.APPLIED],
        [ReportOutcome.UNCHANGED],
    )
    progress = await stored(runtime)
    assert (progress.version, progress.durable) == (4, False)
    assert (progress.state.position_seconds, progress.state.furthest_seconds) == (60.0, 400.0)
    assert progress.state.stamp_ms == NOW + 501
    assert await queued(redis) == 4
    # and a report that was written past Redis is known when it comes again
    report = Report("session_1", 9, 55.0, None, "PLAYING", None)
    again = await buffer.report(USER, report, NOW + 800)
    assert again.outcome is ReportOutcome.REPEATED


async def test_an_older_state_from_the_database_adds_only_what_grows(runtime: Runtime) -> None:
    # given a title in Redis
    await play(runtime, "session_1", NOW, (NOW + 1, 10.0), (NOW + 2, 20.0))
    mine = await stored(runtime)
    buffer = runtime.playback.progress
    # when an older state comes that went further, then one that did not
    older = replace_state(mine.state, position=300.0, stamp=NOW - 5, furthest=300.0, sequence=0)
    first = await buffer.reconcile(USER, FILM, Base(9, older), NOW + 3)
    nothing = replace_state(older, position=5.0, stamp=NOW - 6, furthest=5.0, sequence=0)
    second = await buffer.reconcile(USER, FILM, Base(9, nothing), NOW + 4)
    # then the position stays
    assert (outcomes_of(first), outcomes_of(second)) == (
        [ReportOutcome.APPLIED],
        [ReportOutcome.UNCHANGED],
    )
    progress = await stored(runtime)
    assert (progress.state.position_seconds, progress.state.furthest_seconds) == (20.0, 300.0)
    assert progress.version == 10


async def test_a_reset_is_not_undone_by_what_is_older(runtime: Runtime) -> None:
    # given a title that was reset
    await offline(runtime, event("e1", 500.0, NOW - MINUTE))
    before = (await stored(runtime)).state
    await mark(runtime, watched=False, now=NOW + 5)
    # when the state of before is adopted
    changed = await runtime.playback.progress.reconcile(USER, FILM, Base(1, before), NOW + 6)
    # then it stays reset
    assert outcomes_of(changed) == [ReportOutcome.UNCHANGED]
    assert (await stored(runtime)).state.furthest_seconds == 0.0


async def test_what_redis_let_go_of_needs_no_adopting(runtime: Runtime, redis: Client) -> None:
    state = ProgressState(position_seconds=60.0, stamp_ms=NOW)
    changed = await runtime.playback.progress.reconcile(USER, FILM, Base(2, state), NOW)
    assert outcomes_of(changed) == [ReportOutcome.UNCHANGED]
    assert await redis.exists(KEYS.progress(USER, FILM)) == 0


def replace_state(
    state: ProgressState, *, position: float, stamp: int, furthest: float, sequence: int
) -> ProgressState:
    fields = {name: getattr(state, name) for name in state.__struct_fields__}
    changed = {
        "position_seconds": position,
        "stamp_ms": stamp,
        "furthest_seconds": furthest,
        "sequence": sequence,
    }
    return ProgressState(**(fields | changed))


async def test_no_change_is_no_call(runtime: Runtime) -> None:
    nothing: Sequence[OfflineEvent] = []
    changed = await runtime.playback.progress.apply_offline(USER, nothing, NOW)
    assert changed == ChangeResult([], [], {})
