from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import msgpack

from resolvers.context import Runtime
from services.errors import SessionNotFound, UpstreamUnavailable, ValidationFailed
from services.playback.keys import ProgressKeys
from services.playback.sessions import SESSION_SECONDS, ViewingSession
from services.playback.state import (
    FLUSHED_SECONDS,
    Base,
    DeviceTag,
    ProgressState,
    Report,
    ReportOutcome,
    device_json,
)
from services.redis.pool import Client
from tests.support.processes import until
from tests.support.runtimes import playback_on

USER, SESSION, FILM = "user_1", "session_1", "movie_1"
NOW = 1_800_000_000_000
KEYS = ProgressKeys(8)
PHONE = DeviceTag("phone-1", None, "MOBILE")


async def open_session(
    runtime: Runtime,
    session_id: str = SESSION,
    film: str = FILM,
    base: Base | None = None,
    *,
    at: int = NOW,
    start: float = 0.0,
    duration: float = 1000.0,
) -> None:
    session = ViewingSession(
        session_id=session_id, user_id=USER, playable_id=film, device_json=device_json(PHONE),
        state="PLAYING", position_seconds=start, duration_seconds=duration, started_at_ms=at,
        seen_at_ms=at,
    )  # fmt: skip
    await runtime.playback.sessions.start(session, base or Base())


def heartbeat(
    sequence: int, position: float, session_id: str = SESSION, *, seeked: bool = False
) -> Report:
    return Report(session_id, sequence, position, None, "PLAYING", None, seeked)


def stop(position: float | None = None, session_id: str = SESSION) -> Report:
    return Report(session_id, None, position, None, "STOPPED", None)


async def entries(redis: Client) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await redis.xrange(KEYS.stream(KEYS.shard(USER)))]


async def test_a_key_used_again_after_its_session_was_forgotten_counts_from_the_start(
    runtime: Runtime, redis: Client
) -> None:
    # given a session that stopped reporting and is forgotten
    buffer, later = runtime.playback.progress, NOW + 2 * SESSION_SECONDS * 1000
    await open_session(runtime)
    await buffer.report(USER, heartbeat(5, 950.0), NOW)
    await redis.delete(KEYS.session(USER, SESSION))
    # when its key starts another one, which begins a little before the end
    await open_session(runtime, at=later, start=930.0)
    early = await buffer.report(USER, heartbeat(0, 931.0), later)
    late = await buffer.report(USER, heartbeat(1, 940.0), later + 61_000)
    # then its reports count as any new session's: not at first, but from its second minute on
    assert (early.outcome, late.outcome) == (ReportOutcome.UNCHANGED, ReportOutcome.APPLIED)
    assert late.progress is not None
    assert late.progress.state.position_seconds == 940.0


def test_all_keys_of_a_user_share_one_slot() -> None:
    shard = KEYS.shard(USER)
    tag = f"{{p{shard}}}"
    assert KEYS.progress(USER, FILM) == f"user:user_1:progress:movie_1:{tag}"
    assert KEYS.unflushed(USER) == f"user:user_1:unflushed:{tag}"
    assert KEYS.session(USER, SESSION) == f"session:session_1:{tag}"
    assert KEYS.stream(shard) == f"progress:stream:{tag}"


async def test_a_report_is_stored_without_expiry_and_queued_once(
    runtime: Runtime, redis: Client
) -> None:
    # given a session
    await open_session(runtime)
    # when it reports
    reported = await runtime.playback.progress.report(USER, heartbeat(0, 30.5), NOW)
    # then the state is in Redis without expiry, in the stream once, and not yet durable
    assert reported.outcome is ReportOutcome.APPLIED
    progress = reported.progress
    assert progress is not None
    assert (progress.user_id, progress.playable_id, progress.version) == (USER, FILM, 1)
    assert progress.durable is False
    assert progress.state == ProgressState(
        position_seconds=30.5,
        known_duration_seconds=1000.0,
        furthest_seconds=30.5,
        at_ms=NOW,
        device_json='["phone-1",null,"MOBILE"]',
        stamp_ms=NOW,
        session_id=SESSION,
        sequence=0,
        claimed_ms=NOW,
        held_until_ms=NOW + 30_000,
    )
    assert await redis.ttl(KEYS.progress(USER, FILM)) == -1
    assert await redis.xlen(KEYS.stream(KEYS.shard(USER))) == 1
    assert await runtime.playback.progress.read_many(USER, [FILM, "movie_2"]) == {FILM: progress}
    assert await runtime.playback.progress.list_unflushed(USER) == [progress]


async def test_a_repeated_or_older_sequence_changes_nothing(
    runtime: Runtime, redis: Client
) -> None:
    # given a report that was applied
    await open_session(runtime)
    first = await runtime.playback.progress.report(USER, heartbeat(5, 30.0), NOW)
    # when it comes again, and an older one comes late
    again = await runtime.playback.progress.report(USER, heartbeat(5, 99.0), NOW + 1)
    late = await runtime.playback.progress.report(USER, heartbeat(4, 1.0), NOW + 2)
    # then both hear what is stored
    assert again.outcome is late.outcome is ReportOutcome.REPEATED
    assert again.progress == late.progress == first.progress
    assert await redis.xlen(KEYS.stream(KEYS.shard(USER))) == 1


async def test_two_hundred_concurrent_reports_count_without_a_gap(
    runtime: Runtime, redis: Client
) -> None:
    # given two sessions of one title
    await open_session(runtime)
    await open_session(runtime, "session_2", at=NOW + 1)
    # when both report at once, over and over
    buffer = runtime.playback.progress
    reported = await asyncio.gather(
        *(buffer.report(USER, heartbeat(n, n + 1.0), NOW + n) for n in range(100)),
        *(buffer.report(USER, heartbeat(n, n + 1.0, "session_2"), NOW + n) for n in range(100)),
    )
    # then versions and stamps grew with each that was applied, in the stream too
    applied = [each for each in reported if each.outcome is ReportOutcome.APPLIED]
    (progress,) = await buffer.list_unflushed(USER)
    queued = [msgpack.decode(fields[b"state"])[7] for fields in await entries(redis)]
    versions = [int(fields[b"version"]) for fields in await entries(redis)]
    assert len(versions) == 200
    assert progress.version == len(applied) == versions[-1] >= 100
    assert sorted(set(versions)) == list(range(1, len(applied) + 1))
    assert queued == sorted(queued) and len(set(queued)) == len(applied)


@pytest.mark.parametrize(
    ("user", "session"), [("user_2", SESSION), (USER, "session_unknown"), ("user_2", "session_x")]
)
async def test_an_unknown_or_foreign_session_writes_nothing(
    runtime: Runtime, redis: Client, user: str, session: str
) -> None:
    # given somebody's session
    await open_session(runtime)
    before = await redis.dbsize()
    # when somebody else reports to it, or its id is wrong
    with pytest.raises(SessionNotFound):
        await runtime.playback.progress.report(user, heartbeat(0, 1.0, session), NOW)
    # then nothing is written
    assert await redis.dbsize() == before
    assert await runtime.playback.progress.read_many(user, [FILM]) == (
        {FILM: None} if user == USER else {}
    )


async def test_a_full_shard_refuses_and_keeps_what_it_has(runtime: Runtime, redis: Client) -> None:
    # given a shard that may hold two entries, and does
    small = runtime.settings.model_copy(update={"progress_shard_entries": 2})
    runtime = replace(runtime, playback=playback_on(runtime, small, redis))
    await open_session(runtime)
    for sequence in range(2):
        await runtime.playback.progress.report(USER, heartbeat(sequence, 1.0 + sequence), NOW)
    stored = await runtime.playback.progress.read_many(USER, [FILM])
    # when one more comes
    with pytest.raises(UpstreamUnavailable):
        await runtime.playback.progress.report(USER, heartbeat(2, 50.0), NOW)
    # then nothing was dropped and nothing changed, and the same sequence works once there is room
    stream = KEYS.stream(KEYS.shard(USER))
    assert await redis.xlen(stream) == 2
    assert await runtime.playback.progress.read_many(USER, [FILM]) == stored
    await redis.xtrim(stream, maxlen=0)
    assert (
        await runtime.playback.progress.report(USER, heartbeat(2, 50.0), NOW)
    ).outcome is ReportOutcome.APPLIED


async def test_a_redis_without_room_refuses_and_writes_nothing(
    runtime: Runtime, redis: Client
) -> None:
    # given a session in a Redis that is full
    runtime = replace(runtime, playback=playback_on(runtime, runtime.settings, redis))
    await open_session(runtime)
    await redis.config_set("maxmemory", "100kb")
    try:
        # when it reports
        with pytest.raises(UpstreamUnavailable):
            await runtime.playback.progress.report(USER, heartbeat(0, 50.0), NOW)
    finally:
        await redis.config_set("maxmemory", "0")
        await until(redis.guard.allows_writes)  # it is believed to be full for a moment
    # then nothing is half done
    assert await redis.xlen(KEYS.stream(KEYS.shard(USER))) == 0
    assert await runtime.playback.progress.read_many(USER, [FILM]) == {FILM: None}


@pytest.mark.parametrize(
    ("duration", "position", "completed", "percent"),
    [
        (1000, 899.9, 0, 89.99),
        (1000, 900.0, 1, 90.0),
        (1000, 1004.0, 1, 100.0),
        (300, 270.0, 1, 90.0),
        (200, 197.9, 0, 98.95),
        (200, 198.0, 1, 99.0),
    ],
)
async def test_ninety_percent_is_completed_but_for_short_titles(
    runtime: Runtime, duration: float, position: float, completed: int, percent: float
) -> None:
    await open_session(runtime, duration=duration)
    reported = await runtime.playback.progress.report(USER, heartbeat(0, position), NOW)
    assert reported.progress is not None
    state = reported.progress.state
    assert (state.completed, state.percent) == (completed, pytest.approx(percent))
    assert state.watch_count == completed
    assert state.position_seconds == min(position, duration)


async def test_what_completes_a_title_is_a_setting(runtime: Runtime, redis: Client) -> None:
    # given a service where half a title is enough
    changed = {"progress_completed_percent": 50, "progress_completed_least_seconds": 10}
    half = runtime.settings.model_copy(update=changed)
    runtime = replace(runtime, playback=playback_on(runtime, half, redis))
    await open_session(runtime, duration=100)
    # when half of it is watched
    reported = await runtime.playback.progress.report(USER, heartbeat(0, 50.0), NOW)
    # then it is completed
    assert reported.progress is not None
    assert reported.progress.state.completed == 1


async def test_a_viewing_counts_once_however_much_is_sought_around_its_end(
    runtime: Runtime,
) -> None:
    # given a session that reached the end twice
    await open_session(runtime)
    buffer = runtime.playback.progress
    for sequence, position in enumerate([950.0, 10.0, 950.0]):
        await buffer.report(USER, heartbeat(sequence, position), NOW)
    # when another session starts over, for more than a minute, and reaches it as well
    later = NOW + 40_000
    await open_session(runtime, "session_2", at=later)
    begun = await buffer.report(USER, heartbeat(0, 61.0, "session_2"), later + 61_000)
    reported = await buffer.report(USER, heartbeat(1, 920.0, "session_2"), later + 62_000)
    # then it was watched twice, between which it was not completed; the furthest point stays
    assert begun.progress is not None and reported.progress is not None
    assert (begun.progress.state.completed, begun.progress.state.watch_count) == (0, 1)
    assert (reported.progress.state.completed, reported.progress.state.watch_count) == (1, 2)
    assert reported.progress.state.furthest_seconds == 950.0


async def test_a_clock_that_goes_back_does_not_take_the_time_with_it(runtime: Runtime) -> None:
    await open_session(runtime)
    await runtime.playback.progress.report(USER, heartbeat(0, 1.0), NOW)
    reported = await runtime.playback.progress.report(USER, heartbeat(1, 2.0), NOW - 60_000)
    assert reported.progress is not None
    assert reported.progress.state.at_ms == NOW


async def test_a_session_counts_on_from_what_the_database_has(runtime: Runtime) -> None:
    # given a title that MongoDB knows at version 41
    base = Base(41, ProgressState(20.0, 1000.0, 0, 3, 80.0, NOW - 5, "null"))
    await open_session(runtime, base=base)
    # when it is watched further
    reported = await runtime.playback.progress.report(USER, heartbeat(0, 30.0), NOW)
    # then the next version is 42, and counts go on
    assert reported.progress is not None
    assert reported.progress.version == 42
    assert reported.progress.state.watch_count == 3
    assert reported.progress.state.furthest_seconds == 80.0


async def test_a_title_evicted_under_its_session_asks_for_a_base(
    runtime: Runtime, redis: Client
) -> None:
    # given a session whose flushed title Redis let go of
    await open_session(runtime)
    await redis.delete(KEYS.progress(USER, FILM))
    # when it reports
    buffer = runtime.playback.progress
    reported = await buffer.report(USER, heartbeat(0, 30.0), NOW)
    # then it is asked for a base, and with one the report counts on
    assert reported.outcome is ReportOutcome.BASE_NEEDED
    again = await buffer.report(USER, heartbeat(0, 30.0), NOW, Base(7, ProgressState()))
    assert again.outcome is ReportOutcome.APPLIED
    assert again.progress is not None
    assert (again.progress.version, again.progress.durable) == (8, False)
    assert await redis.ttl(KEYS.progress(USER, FILM)) == -1


async def test_a_heartbeat_keeps_its_session_alive(runtime: Runtime, redis: Client) -> None:
    # given a session about to expire
    await open_session(runtime)
    key = KEYS.session(USER, SESSION)
    await redis.expire(key, 5)
    # when it reports
    report = Report(SESSION, 3, 12.0, 90.0, "PAUSED", "P720", False)
    await runtime.playback.progress.report(USER, report, NOW + 9)
    # then it lives an hour again and tells what it reported
    assert SESSION_SECONDS - 5 < await redis.ttl(key) <= SESSION_SECONDS
    session = await runtime.playback.sessions.read(USER, SESSION)
    assert session is not None
    assert (session.state, session.position_seconds, session.duration_seconds) == (
        "PAUSED",
        12.0,
        90.0,
    )
    assert (session.quality, session.seen_at_ms, session.sequence) == ("P720", NOW + 9, 3)


async def test_opening_a_session_again_changes_neither_it_nor_its_title(
    runtime: Runtime, redis: Client
) -> None:
    # given a session that reported
    await open_session(runtime)
    await runtime.playback.progress.report(USER, heartbeat(0, 30.0), NOW)
    # when it is opened again
    await open_session(runtime)
    # then what it reported is still there
    session = await runtime.playback.sessions.read(USER, SESSION)
    assert session is not None and session.sequence == 0
    assert (await runtime.playback.progress.list_unflushed(USER))[0].version == 1
    assert await runtime.playback.sessions.read("user_2", SESSION) is None


async def test_a_base_alone_is_no_progress_and_does_not_stay_for_ever(
    runtime: Runtime, redis: Client
) -> None:
    await open_session(runtime)
    assert await runtime.playback.progress.read_many(USER, [FILM]) == {FILM: None}
    assert 0 < await redis.ttl(KEYS.progress(USER, FILM)) <= FLUSHED_SECONDS


# ---- two players, and players that come back ----


async def test_a_player_that_opens_at_the_start_does_not_take_the_position_back(
    runtime: Runtime,
) -> None:
    # given a title left in its middle
    await open_session(runtime, base=Base(3, ProgressState(600.0, 1000.0, at_ms=NOW - 9)))
    buffer = runtime.playback.progress
    # when a player that failed to resume reports from its start for a minute
    early = await buffer.report(USER, heartbeat(0, 5.0), NOW + 5_000)
    last = await buffer.report(USER, heartbeat(1, 59.9), NOW + 59_999)
    # then what is stored is kept and told
    assert early.outcome is last.outcome is ReportOutcome.UNCHANGED
    assert early.progress is not None and last.progress is not None
    assert early.progress.state.position_seconds == last.progress.state.position_seconds == 600.0
    assert last.progress.version == 3
    # and once it played for a minute, it is where the viewer is
    after = await buffer.report(USER, heartbeat(2, 60.0), NOW + 60_000)
    assert after.outcome is ReportOutcome.APPLIED
    assert after.progress is not None and after.progress.state.position_seconds == 60.0
    assert after.progress.version == 4


async def test_a_seek_back_counts_at_once_and_so_does_what_follows_it(runtime: Runtime) -> None:
    # given a title left in its middle
    await open_session(runtime, base=Base(3, ProgressState(600.0, 1000.0, at_ms=NOW - 9)))
    buffer = runtime.playback.progress
    # when its viewer seeks back in the first seconds
    sought = await buffer.report(USER, heartbeat(0, 30.0, seeked=True), NOW + 1_000)
    after = await buffer.report(USER, heartbeat(1, 40.0), NOW + 11_000)
    # then both positions are stored
    assert sought.outcome is after.outcome is ReportOutcome.APPLIED
    assert after.progress is not None and after.progress.state.position_seconds == 40.0


async def test_two_players_at_once_do_not_make_the_position_jump(runtime: Runtime) -> None:
    # given a television that plays
    buffer = runtime.playback.progress
    await open_session(runtime)
    await buffer.report(USER, heartbeat(0, 100.0), NOW)
    # when a phone is started beside it, further on, and both go on
    phone_at = NOW + 70_000
    await open_session(runtime, "session_2", at=phone_at, start=100.0)
    outcomes = []
    for n in range(1, 4):
        at = phone_at + n * 10_000
        phone = await buffer.report(USER, heartbeat(n, 500.0 + n, "session_2"), at)
        television = await buffer.report(USER, heartbeat(n, 100.0 + n), at + 5)
        outcomes.append((phone.outcome, television.outcome))
        assert television.progress is not None
        assert television.progress.state.position_seconds == 500.0 + n
    # then the one begun last has the position
    assert outcomes == [(ReportOutcome.APPLIED, ReportOutcome.UNCHANGED)] * 3
    # until it stops: then the other has it again, but not by standing still
    await buffer.report(USER, stop(session_id="session_2"), phone_at + 40_000)
    paused = await buffer.report(USER, heartbeat(4, 103.0), phone_at + 41_000)
    playing = await buffer.report(USER, heartbeat(5, 104.0), phone_at + 42_000)
    assert (paused.outcome, playing.outcome) == (ReportOutcome.UNCHANGED, ReportOutcome.APPLIED)
    assert playing.progress is not None and playing.progress.state.position_seconds == 104.0


async def test_a_player_that_fell_silent_holds_nothing(runtime: Runtime) -> None:
    # given a phone that took over from a television and missed three heartbeats
    buffer = runtime.playback.progress
    await open_session(runtime)
    await buffer.report(USER, heartbeat(0, 100.0), NOW)
    await open_session(runtime, "session_2", at=NOW + 1)
    await buffer.report(USER, heartbeat(0, 500.0, "session_2"), NOW + 2)
    # when the television goes on
    reply = await buffer.report(USER, heartbeat(1, 101.0), NOW + 2 + 29_999)
    free = await buffer.report(USER, heartbeat(2, 162.0), NOW + 60_000)
    # then it has the position again
    assert (reply.outcome, free.outcome) == (ReportOutcome.UNCHANGED, ReportOutcome.APPLIED)


async def test_who_seeks_last_has_the_position(runtime: Runtime) -> None:
    # given a phone that took over from a television
    buffer = runtime.playback.progress
    await open_session(runtime)
    await open_session(runtime, "session_2", at=NOW + 1)
    await buffer.report(USER, heartbeat(0, 100.0), NOW + 2)
    await buffer.report(USER, heartbeat(0, 500.0, "session_2"), NOW + 3)
    # when somebody seeks on the television, and both go on
    sought = await buffer.report(USER, heartbeat(1, 50.0, seeked=True), NOW + 10_000)
    phone = await buffer.report(USER, heartbeat(1, 510.0, "session_2"), NOW + 11_000)
    television = await buffer.report(USER, heartbeat(2, 60.0), NOW + 20_000)
    # then the television has it
    outcomes = [sought.outcome, phone.outcome, television.outcome]
    assert outcomes == [ReportOutcome.APPLIED, ReportOutcome.UNCHANGED, ReportOutcome.APPLIED]


async def test_an_unchanged_report_counts_in_its_sequence_and_for_the_history(
    runtime: Runtime, redis: Client
) -> None:
    # given a young session below the stored position
    await open_session(runtime, base=Base(3, ProgressState(600.0, 1000.0, at_ms=NOW - 9)))
    buffer = runtime.playback.progress
    # when it reports, and sends that again
    await buffer.report(USER, heartbeat(0, 5.0), NOW + 5_000)
    again = await buffer.report(USER, heartbeat(0, 5.0), NOW + 6_000)
    # then it is known, what MongoDB has is still durable, and the viewing is on its way
    assert again.outcome is ReportOutcome.REPEATED
    assert again.progress is not None and again.progress.durable is True
    (entry,) = await entries(redis)
    assert msgpack.decode(entry[b"viewing"]) == [
        SESSION, NOW, 5.0, 0, 0, '["phone-1",null,"MOBILE"]', NOW + 5_000,
    ]  # fmt: skip


async def test_a_viewing_counts_what_was_played_and_not_what_was_skipped(
    runtime: Runtime, redis: Client
) -> None:
    # given a session that plays 10 s, seeks, jumps without saying so, goes back, and ends
    await open_session(runtime)
    buffer = runtime.playback.progress
    await buffer.report(USER, heartbeat(0, 10.0), NOW + 10_000)
    await buffer.report(USER, heartbeat(1, 500.0, seeked=True), NOW + 11_000)
    await buffer.report(USER, heartbeat(2, 950.0), NOW + 21_000)
    await buffer.report(USER, heartbeat(3, 20.0), NOW + 22_000)
    await buffer.report(USER, stop(30.0), NOW + 32_000)
    # then 10 s, no more than 25 s of the jump, and 10 s were watched; it reached the end and ended
    viewings = [msgpack.decode(entry[b"viewing"]) for entry in await entries(redis)]
    assert [viewing[2] for viewing in viewings] == [10.0, 10.0, 35.0, 35.0, 45.0]
    assert [viewing[4] for viewing in viewings] == [0, 0, 1, 1, 1]
    assert [viewing[3] for viewing in viewings] == [0, 0, 0, 0, NOW + 32_000]


@pytest.mark.parametrize(("reports", "pause_ms"), [(8, 400), (40, 50), (3, 3_000), (200, 0)])
async def test_no_viewing_is_longer_than_its_clock_allows(
    runtime: Runtime, redis: Client, reports: int, pause_ms: int
) -> None:
    # given a player that reports often, each time five seconds further
    await open_session(runtime)
    buffer = runtime.playback.progress
    for number in range(reports):
        at = NOW + pause_ms * (number + 1)
        await buffer.report(USER, heartbeat(number, 5.0 * (number + 1)), at)
        # then all its reports together never make more than twice the time that passed
        latest = (await entries(redis))[-1]
        watched = msgpack.decode(latest[b"viewing"])[2]
        assert watched <= 2 * (at - NOW) / 1000
    # and it counts all of what that time allows
    assert watched == min(5.0 * reports, 2 * pause_ms * reports / 1000)


async def test_a_stop_without_a_position_ends_the_viewing_and_moves_nothing(
    runtime: Runtime, redis: Client
) -> None:
    # given a session that reported
    await open_session(runtime)
    buffer = runtime.playback.progress
    before = await buffer.report(USER, heartbeat(0, 30.0), NOW)
    # when it stops
    stopped = await buffer.report(USER, stop(), NOW + 7)
    # then its progress is what it was, and the history hears of the end
    assert before.progress is not None and stopped.progress is not None
    assert stopped.outcome is ReportOutcome.APPLIED
    assert stopped.progress.version == before.progress.version == 1
    assert stopped.progress.state.position_seconds == 30.0
    last = (await entries(redis))[-1]
    assert (last[b"version"], msgpack.decode(last[b"viewing"])[3]) == (b"1", NOW + 7)


async def test_each_change_is_published_on_its_shards_channel(
    runtime: Runtime, redis: Client
) -> None:
    # given somebody who listens
    await open_session(runtime, base=Base(3, ProgressState(600.0, 1000.0, at_ms=NOW - 9)))
    async with redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(KEYS.changed(KEYS.shard(USER)))
        await listener.get_message(timeout=5)
        # when a report is kept, and another applied
        buffer = runtime.playback.progress
        await buffer.report(USER, heartbeat(0, 5.0), NOW)
        await buffer.report(USER, heartbeat(1, 610.0), NOW)
        messages = [await listener.get_message(timeout=timeout) for timeout in (5, 0.05)]
    # then one message came
    assert messages[0] is not None and messages[0]["data"] == f"{USER} {FILM}".encode()
    assert messages[1] is None


@pytest.mark.parametrize("position", [float("nan"), float("inf"), -0.5])
async def test_what_is_no_position_is_refused(
    runtime: Runtime, redis: Client, position: float
) -> None:
    await open_session(runtime)
    with pytest.raises(ValidationFailed):
        await runtime.playback.progress.report(USER, heartbeat(0, position), NOW)
    assert await entries(redis) == []


async def test_what_an_older_version_stored_is_read_and_counted_on(
    runtime: Runtime, redis: Client
) -> None:
    # given progress as it was packed before there were stamps
    packed = msgpack.encode([20.0, 1000.0, 0, 3, 80.0, NOW - 5, "null"])
    key = KEYS.progress(USER, FILM)
    await redis.hset(key, mapping={"version": 5, "durable": 4, "state": packed})
    await open_session(runtime)
    # when it is watched on
    reported = await runtime.playback.progress.report(USER, heartbeat(0, 30.0), NOW)
    # then its counts go on
    assert reported.progress is not None
    state = reported.progress.state
    assert (reported.progress.version, state.watch_count, state.furthest_seconds) == (6, 3, 80.0)
    assert (state.stamp_ms, reported.progress.durable) == (NOW, False)
