from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import continue_watching, progress, reports, sessions
from services.cache.cache import Cache
from services.embedded import servers
from services.errors import (
    Conflict,
    NotFound,
    SessionNotFound,
    Unauthenticated,
    UpstreamUnavailable,
    ValidationFailed,
)
from services.playback.keys import ProgressKeys
from services.quality import Quality
from services.redis import pool
from services.redis.pool import Client
from tests.conftest import CountCommands
from tests.support.playback_fixtures import (
    PHONE,
    PHONE_RECORD,
    RUNTIME_SECONDS,
    film,
    read_stored_progress,
    start_film,
    start_new_session,
    viewer_of,
)
from tests.support.runtimes import playback_on
from workers.flush_progress import flush_progress

NOW = 1_800_000_000.25
KEYS = ProgressKeys(8)


@pytest.fixture
def ada(runtime: Runtime) -> Context:
    return viewer_of(replace(runtime, clock=lambda: NOW))


async def report(context: Context, title: str, seconds: float) -> models.LiveProgress:
    applied = await reports.report_progress(
        context, await start_new_session(context, title), 0, seconds
    )
    assert applied.progress is not None
    return applied.progress


async def test_a_session_starts_where_the_film_begins(ada: Context) -> None:
    title = await film()
    started_ = await sessions.start_playback(ada, title, PHONE, quality=Quality.P1080)
    session = started_.session
    assert started_.progress is None
    assert ids.kind_of(session.id) == "session"
    assert (session.playable_id, session.device, session.state) == (
        title,
        PHONE_RECORD,
        models.PlaybackState.PLAYING,
    )
    assert (session.position_seconds, session.duration_seconds) == (0.0, RUNTIME_SECONDS)
    assert session.quality is Quality.P1080
    assert session.started_at.timestamp() == session.last_seen_at.timestamp() == NOW
    assert session.heartbeat_interval_seconds == 10
    assert await sessions.playback_session(ada, session.id) == session


async def test_the_next_session_goes_on_where_the_last_one_was(ada: Context) -> None:
    # given a film half seen, here or in MongoDB
    title = await film()
    seen = await report(ada, title, 3000.0)
    # when it is started again, on the way to the database or after
    for _ in range(2):
        again = await sessions.start_playback(viewer_of(ada.runtime), title, PHONE)
        assert again.session.position_seconds == 3000.0
        assert again.progress is not None and again.progress.version == seen.version
        await flush_progress(ada.runtime, "worker-1")
    # then an explicit place wins, within the film
    sought = await sessions.start_playback(ada, title, PHONE, start_at_seconds=99_999.0)
    assert sought.session.position_seconds == RUNTIME_SECONDS


async def test_a_finished_film_starts_over(ada: Context) -> None:
    title = await film()
    seen = await report(ada, title, 5900.0)
    assert seen.completed is True
    again = await sessions.start_playback(viewer_of(ada.runtime), title, PHONE)
    assert again.session.position_seconds == 0.0


async def test_the_same_key_starts_once(ada: Context) -> None:
    # given a start whose answer was lost
    title, other = await film(), await film("other")
    first = await sessions.start_playback(ada, title, PHONE, idempotency_key="tap-1")
    # when it is sent again
    again = await sessions.start_playback(ada, title, PHONE, idempotency_key="tap-1")
    # then it is the same session; not so for another viewer or another title
    bob = viewer_of(ada.runtime, "bob")
    theirs = await sessions.start_playback(bob, title, PHONE, idempotency_key="tap-1")
    assert again.session == first.session
    assert theirs.session.id != first.session.id
    with pytest.raises(Conflict):
        await sessions.start_playback(ada, other, PHONE, idempotency_key="tap-1")


async def test_only_what_plays_can_be_started(ada: Context, redis: Client) -> None:
    person = ids.derive("person", "somebody")
    for playable_id in (ids.derive("movie", "unknown"), person):
        with pytest.raises(NotFound) as raised:
            await sessions.start_playback(ada, playable_id, PHONE)
        assert raised.value.path == ["playableId"]
    with pytest.raises(ValidationFailed):
        await sessions.start_playback(ada, "no id at all", PHONE)
    assert [key async for key in redis.scan_iter("session:*")] == []


@pytest.mark.parametrize(
    ("device", "options"),
    [
        (models.Device(key=" "), {}),
        (models.Device(key="k" * 129), {}),
        (models.Device(key="k", name="n" * 81), {}),
        (PHONE, {"start_at_seconds": -1.0}),
        (PHONE, {"start_at_seconds": math.nan}),
        (PHONE, {"idempotency_key": ""}),
    ],
)
async def test_a_senseless_start_is_refused(
    ada: Context, redis: Client, device: models.Device, options: dict[str, Any]
) -> None:
    title = await film()
    with pytest.raises(ValidationFailed):
        await sessions.start_playback(ada, title, device, **options)
    assert [key async for key in redis.scan_iter("session:*")] == []


async def test_the_anonymous_have_no_playback(context: Context) -> None:
    title = await film()
    with pytest.raises(Unauthenticated):
        await sessions.start_playback(context, title, PHONE)
    with pytest.raises(Unauthenticated):
        await reports.report_progress(context, ids.new("session"), 0, 1.0)
    with pytest.raises(Unauthenticated):
        await sessions.stop_playback(context, ids.new("session"))
    with pytest.raises(Unauthenticated):
        await continue_watching.continue_watching(context)
    assert await progress.progress_of(context, [title]) == {title: None}


async def test_a_report_tells_the_new_progress(ada: Context) -> None:
    title, session = await start_film(ada)
    applied = await reports.report_progress(ada, session, 0, 1500.0)
    assert applied.applied is True
    live = applied.progress
    assert live is not None
    assert (live.playable_id, live.user_id) == (title, ada.viewer_id)
    assert (live.position_seconds, live.duration_seconds) == (1500.0, RUNTIME_SECONDS)
    assert (live.percent, live.completed, live.watch_count) == (25.0, False, 0)
    assert (live.version, live.durable) == (1, False)
    assert live.last_watched_at.timestamp() == NOW
    assert live.last_device == PHONE_RECORD
    assert await progress.progress_of(viewer_of(ada.runtime), [title]) == {title: live}


async def test_a_report_costs_one_call_to_redis_and_none_to_the_database(
    ada: Context, count_commands: CountCommands
) -> None:
    session = await start_new_session(ada, await film())
    await reports.report_progress(ada, session, 0, 10.0)
    await count_commands.reset()
    await reports.report_progress(ada, session, 1, 20.0)
    assert count_commands.mongo == []
    assert (await count_commands.redis_commands())["evalsha"] == 1


async def test_a_repeated_report_is_answered_but_not_applied(ada: Context) -> None:
    session = await start_new_session(ada, await film())
    first = await reports.report_progress(ada, session, 0, 10.0)
    again = await reports.report_progress(ada, session, 0, 10.0)
    assert (first.applied, again.applied) == (True, False)
    assert again.progress == first.progress


@pytest.mark.parametrize(
    ("sequence", "position", "duration"),
    [
        (-1, 1.0, None),
        (2**31, 1.0, None),
        (0, -0.1, None),
        (0, math.nan, None),
        (0, math.inf, None),
        (0, -math.inf, None),
        (0, 1.0, 0.0),
        (0, 1.0, -5.0),
        (0, 1.0, math.nan),
        (0, 105.1, 100.0),
    ],
)
async def test_a_senseless_report_is_refused_and_changes_nothing(
    ada: Context, sequence: int, position: float, duration: float | None
) -> None:
    title, session = await start_film(ada)
    with pytest.raises(ValidationFailed):
        await reports.report_progress(ada, session, sequence, position, duration_seconds=duration)
    assert await progress.progress_of(viewer_of(ada.runtime), [title]) == {title: None}


async def test_far_beyond_the_known_end_is_refused_and_changes_nothing(
    ada: Context, redis: Client
) -> None:
    # given a film whose player does not tell how long it is
    title, session = await start_film(ada)
    first = await reports.report_progress(ada, session, 0, 10.0)
    key = KEYS.session(ada.viewer_id or "", session)
    before = await redis.hgetall(key)
    # when it tells of a place far behind the end
    for position in (RUNTIME_SECONDS * 1.05 + 1, RUNTIME_SECONDS * 3.0):
        with pytest.raises(ValidationFailed) as raised:
            await reports.report_progress(ada, session, 1, position)
        assert raised.value.path == ["positionSeconds"]
        with pytest.raises(ValidationFailed):
            await sessions.stop_playback(ada, session, position)
    # then nothing changed, and with its length the same report counts
    assert await progress.progress_of(viewer_of(ada.runtime), [title]) == {title: first.progress}
    assert await redis.hgetall(key) == before
    longer = RUNTIME_SECONDS * 4.0
    applied = await reports.report_progress(
        ada, session, 1, RUNTIME_SECONDS * 3.0, duration_seconds=longer
    )
    assert applied.applied


async def test_a_player_may_overshoot_the_end_a_little(ada: Context) -> None:
    session = await start_new_session(ada, await film())
    applied = await reports.report_progress(ada, session, 0, 105.0, duration_seconds=100.0)
    assert applied.progress is not None
    assert (applied.progress.position_seconds, applied.progress.percent) == (100.0, 100.0)


async def test_a_player_cannot_report_that_it_expired(ada: Context) -> None:
    session = await start_new_session(ada, await film())
    with pytest.raises(ValidationFailed):
        await reports.report_progress(ada, session, 0, 1.0, state=models.PlaybackState.EXPIRED)


@pytest.mark.parametrize("id_", ["x", "", "session_", "nothing_1", "session_0 ", "SESSION_0"])
async def test_a_malformed_session_is_refused_everywhere(ada: Context, id_: str) -> None:
    for call, path in (
        (reports.report_progress(ada, id_, 0, 1.0), ["sessionId"]),
        (sessions.stop_playback(ada, id_, 1.0), ["sessionId"]),
        (sessions.playback_session(ada, id_), ["id"]),
        (progress.title_progress(ada, id_), ["playableId"]),
    ):
        with pytest.raises(ValidationFailed, match="not an id of this API") as raised:
            await call
        assert raised.value.path == path


async def test_unknown_and_foreign_sessions_are_not_found(ada: Context) -> None:
    # given Ada's session
    title, session = await start_film(ada)
    bob = viewer_of(ada.runtime, "bob")
    # when Bob, or nobody's id, reports, stops or looks
    for context, id_ in ((bob, session), (ada, ids.new("session")), (ada, title)):
        with pytest.raises(SessionNotFound):
            await reports.report_progress(context, id_, 0, 1.0)
        with pytest.raises(SessionNotFound):
            await sessions.stop_playback(context, id_, 1.0)
        assert await sessions.playback_session(context, id_) is None
    # then Ada's is as it was
    assert await progress.progress_of(ada, [title]) == {title: None}
    record = await sessions.playback_session(ada, session)
    assert record is not None and record.state is models.PlaybackState.PLAYING


async def test_stopping_keeps_the_last_position_and_ends_the_session(ada: Context) -> None:
    # given a session
    session = await start_new_session(ada, await film())
    await reports.report_progress(ada, session, 7, 10.0)
    # when it is stopped, and then a late heartbeat and a second stop arrive
    stopped = await sessions.stop_playback(ada, session, 12.0)
    late = await reports.report_progress(ada, session, 8, 11.0)
    again = await sessions.stop_playback(ada, session, 13.0)
    # then only the first counted
    assert stopped.progress is not None
    assert (stopped.applied, stopped.progress.position_seconds) == (True, 12.0)
    assert (late.applied, again.applied) == (False, False)
    assert late.progress == again.progress == stopped.progress
    record = await sessions.playback_session(ada, session)
    assert record is not None and record.state is models.PlaybackState.STOPPED


async def test_stopping_without_a_position_moves_nothing(ada: Context) -> None:
    session = await start_new_session(ada, await film())
    before = await reports.report_progress(ada, session, 0, 10.0)
    stopped = await sessions.stop_playback(ada, session)
    assert stopped.applied is True
    assert stopped.progress is not None and before.progress is not None
    for name in ("position_seconds", "last_watched_at", "version", "stamp_ms"):
        assert getattr(stopped.progress, name) == getattr(before.progress, name)
    # and a session that never reported leaves no progress at all
    unwatched = await sessions.stop_playback(
        ada, await start_new_session(ada, await film("unwatched"))
    )
    assert (unwatched.applied, unwatched.progress) == (True, None)


async def test_versions_grow_on_after_redis_let_go_of_a_flushed_film(
    ada: Context, redis: Client
) -> None:
    # given flushed progress that Redis evicted, its session still alive
    title, session = await start_film(ada)
    for sequence in range(5):
        await reports.report_progress(ada, session, sequence, 10.0 + sequence)
    await flush_progress(ada.runtime, "worker-1")
    await redis.delete(KEYS.progress(ada.viewer_id or "", title))
    # when it reports again
    applied = await reports.report_progress(ada, session, 5, 20.0)
    # then the version follows MongoDB's, so that MongoDB takes it
    assert applied.progress is not None and applied.progress.version == 6
    await flush_progress(ada.runtime, "worker-1")
    assert [(row["version"], row["position_seconds"]) for row in await read_stored_progress()] == [
        (6, 20.0)
    ]


async def test_progress_and_sessions_are_found_by_their_ids_by_their_owner(ada: Context) -> None:
    # given one film flushed and one on its way
    flushed = await report(ada, await film("flushed"), 10.0)
    await flush_progress(ada.runtime, "worker-1")
    session = await start_new_session(ada, title := await film("fresh"))
    fresh = (await reports.report_progress(ada, session, 0, 20.0)).progress
    assert fresh is not None and fresh.playable_id == title
    requested_ids = [flushed.id, fresh.id, ids.new("progress")]
    # when their owner asks
    records = await progress.progress_by_id(viewer_of(ada.runtime), requested_ids)
    # then they are told as they are now, and nobody else finds them
    assert {id_: one.durable for id_, one in records.items()} == {flushed.id: True, fresh.id: False}
    assert set(await sessions.sessions_by_id(ada, [session, ids.new("session")])) == {session}
    for other in (viewer_of(ada.runtime, "bob"), Context(ada.runtime)):
        assert await progress.progress_by_id(other, requested_ids) == {}
        assert await sessions.sessions_by_id(other, [session]) == {}


@pytest.fixture
def doomed_redis(tmp_path: Path) -> Iterator[servers.Server]:
    """A Redis of its own, to be stopped."""
    binary = servers.find_redis_server(None)
    with servers.start_redis(tmp_path, binary=binary, persist=False) as server:
        yield server


async def test_without_redis_the_progress_of_the_database_is_returned(
    runtime: Runtime, doomed_redis: servers.Server
) -> None:
    # given progress that was flushed
    own = runtime.settings.model_copy(update={"redis_url": doomed_redis.uri})
    redis = pool.connect(own)
    runtime = replace(
        runtime,
        settings=own,
        redis=redis,
        cache=Cache(redis),
        playback=playback_on(runtime, own, redis),
    )
    ada, title = viewer_of(runtime), await film()
    session = await start_new_session(ada, title)
    await reports.report_progress(ada, session, 0, 60.0)
    await flush_progress(runtime, "worker-1")
    before = await read_stored_progress()
    # when Redis stops
    doomed_redis.stop()
    # then the worker fails cleanly, and what MongoDB has is still told
    with pytest.raises(UpstreamUnavailable):
        await flush_progress(runtime, "worker-1")
    assert await read_stored_progress() == before
    live = (await progress.progress_of(viewer_of(runtime), [title]))[title]
    assert live is not None and (live.position_seconds, live.durable) == (60.0, True)
    page = await continue_watching.continue_watching(viewer_of(runtime))
    assert [one.playable_id for one in page.nodes] == [title]
    # but not which sessions play
    with pytest.raises(UpstreamUnavailable):
        await sessions.now_playing(viewer_of(runtime))
    await redis.aclose()
