from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from resolvers.context import Runtime, open_playback
from services.errors import SessionNotFound, UpstreamUnavailable
from services.progress_buffer import (
    FLUSHED_SECONDS,
    Base,
    DeviceTag,
    Outcome,
    ProgressState,
    Report,
)
from services.progress_keys import ProgressKeys
from services.redis_pool import Client
from services.viewing_sessions import SESSION_SECONDS, ViewingSession

USER, SESSION, FILM = "user_1", "session_1", "movie_1"
NOW = 1_800_000_000_000
KEYS = ProgressKeys(8)
PHONE = DeviceTag("phone-1", None, "MOBILE")


async def open_session(
    runtime: Runtime, session_id: str = SESSION, film: str = FILM, base: Base | None = None
) -> None:
    session = ViewingSession(session_id, USER, film, PHONE, "PLAYING", 0.0, 100.0, None, NOW, NOW)
    await runtime.playback.sessions.start(session, base or Base())


def heartbeat(sequence: int, position: float, session_id: str = SESSION) -> Report:
    return Report(session_id, sequence, position, None, "PLAYING", None)


def test_all_keys_of_a_user_share_one_slot() -> None:
    shard = KEYS.shard(USER)
    tag = f"{{p{shard}}}"
    assert KEYS.progress(USER, FILM) == f"user:user_1:progress:movie_1:{tag}"
    assert KEYS.unflushed(USER) == f"user:user_1:unflushed:{tag}"
    assert KEYS.session(USER, SESSION) == f"session:session_1:{tag}"
    assert KEYS.stream(shard) == f"progress:stream:{tag}"


async def test_a_report_is_kept_without_end_and_queued_once(
    runtime: Runtime, redis: Client
) -> None:
    # given a session
    await open_session(runtime)
    # when it reports
    reported = await runtime.playback.progress.report(USER, heartbeat(0, 30.5), NOW)
    # then the state is in Redis without expiry, in the stream once, and not yet durable
    assert reported.outcome is Outcome.APPLIED
    progress = reported.progress
    assert progress is not None
    assert (progress.user_id, progress.playable_id, progress.version) == (USER, FILM, 1)
    assert progress.durable is False
    assert progress.state == ProgressState(30.5, 100, 0, 0, 30.5, NOW, '["phone-1",null,"MOBILE"]')
    assert await redis.ttl(KEYS.progress(USER, FILM)) == -1
    assert await redis.xlen(KEYS.stream(KEYS.shard(USER))) == 1
    assert await runtime.playback.progress.read_many(USER, [FILM, "movie_2"]) == {FILM: progress}
    assert await runtime.playback.progress.unflushed(USER) == [progress]


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
    assert again.outcome is late.outcome is Outcome.REPEATED
    assert again.progress == late.progress == first.progress
    assert await redis.xlen(KEYS.stream(KEYS.shard(USER))) == 1


async def test_two_hundred_concurrent_reports_count_without_a_gap(
    runtime: Runtime, redis: Client
) -> None:
    # given two sessions of one title
    await open_session(runtime)
    await open_session(runtime, "session_2")
    # when both report at once, over and over
    buffer = runtime.playback.progress
    await asyncio.gather(
        *(buffer.report(USER, heartbeat(n, n / 10), NOW + n) for n in range(100)),
        *(buffer.report(USER, heartbeat(n, n / 10, "session_2"), NOW + n) for n in range(100)),
    )
    # then versions grew by one each, in the stream too
    (progress,) = await buffer.unflushed(USER)
    entries = await redis.xrange(KEYS.stream(KEYS.shard(USER)))
    assert progress.version == 200
    assert [int(fields[b"version"]) for _, fields in entries] == list(range(1, 201))


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
    runtime = replace(runtime, playback=open_playback(small, redis))
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
    ).outcome is Outcome.APPLIED


async def test_a_redis_without_room_refuses_and_writes_nothing(
    runtime: Runtime, redis: Client
) -> None:
    # given a session in a Redis that is full
    await open_session(runtime)
    await redis.config_set("maxmemory", "100kb")
    try:
        # when it reports
        with pytest.raises(UpstreamUnavailable):
            await runtime.playback.progress.report(USER, heartbeat(0, 50.0), NOW)
    finally:
        await redis.config_set("maxmemory", "0")
    # then nothing is half done
    assert await redis.xlen(KEYS.stream(KEYS.shard(USER))) == 0
    assert await runtime.playback.progress.read_many(USER, [FILM]) == {FILM: None}


@pytest.mark.parametrize(
    ("position", "completed", "percent"),
    [(89.9, 0, 89.9), (90.0, 1, 90.0), (104.0, 1, 100.0)],
)
async def test_ninety_percent_is_completed_and_the_end_is_the_end(
    runtime: Runtime, position: float, completed: int, percent: float
) -> None:
    await open_session(runtime)
    reported = await runtime.playback.progress.report(USER, heartbeat(0, position), NOW)
    assert reported.progress is not None
    state = reported.progress.state
    assert (state.completed, state.percent) == (completed, percent)
    assert state.watch_count == completed
    assert state.position_seconds == min(position, 100)


async def test_a_viewing_counts_once_however_much_is_sought_around_its_end(
    runtime: Runtime,
) -> None:
    # given a session that reached the end twice
    await open_session(runtime)
    buffer = runtime.playback.progress
    for sequence, position in enumerate([95.0, 10.0, 95.0]):
        await buffer.report(USER, heartbeat(sequence, position), NOW)
    # when another session starts over and reaches it as well
    await open_session(runtime, "session_2")
    await buffer.report(USER, heartbeat(0, 1.0, "session_2"), NOW)
    reported = await buffer.report(USER, heartbeat(1, 92.0, "session_2"), NOW)
    # then two viewings were counted, and the furthest point stays
    assert reported.progress is not None
    assert reported.progress.state.watch_count == 2
    assert reported.progress.state.furthest_seconds == 95.0


async def test_a_clock_that_goes_back_does_not_take_the_time_with_it(runtime: Runtime) -> None:
    await open_session(runtime)
    await runtime.playback.progress.report(USER, heartbeat(0, 1.0), NOW)
    reported = await runtime.playback.progress.report(USER, heartbeat(1, 2.0), NOW - 60_000)
    assert reported.progress is not None
    assert reported.progress.state.at_ms == NOW


async def test_a_session_counts_on_from_what_the_database_has(runtime: Runtime) -> None:
    # given a title that MongoDB knows at version 41
    base = Base(41, ProgressState(20.0, 100.0, 0, 3, 80.0, NOW - 5, "null"))
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
    assert reported.outcome is Outcome.BASE_NEEDED
    again = await buffer.report(USER, heartbeat(0, 30.0), NOW, Base(7, ProgressState()))
    assert again.outcome is Outcome.APPLIED
    assert again.progress is not None
    assert (again.progress.version, again.progress.durable) == (8, False)
    assert await redis.ttl(KEYS.progress(USER, FILM)) == -1


async def test_a_heartbeat_keeps_its_session_alive(runtime: Runtime, redis: Client) -> None:
    # given a session about to expire
    await open_session(runtime)
    key = KEYS.session(USER, SESSION)
    await redis.expire(key, 5)
    # when it reports
    report = Report(SESSION, 3, 12.0, 90.0, "PAUSED", "P720")
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
    assert (await runtime.playback.progress.unflushed(USER))[0].version == 1
    assert await runtime.playback.sessions.read("user_2", SESSION) is None


async def test_a_base_alone_is_no_progress_and_does_not_stay_for_ever(
    runtime: Runtime, redis: Client
) -> None:
    await open_session(runtime)
    assert await runtime.playback.progress.read_many(USER, [FILM]) == {FILM: None}
    assert 0 < await redis.ttl(KEYS.progress(USER, FILM)) <= FLUSHED_SECONDS
