"""How many streams play at once, which of them count, and what is written down of each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import progress, reports
from resolvers.playback import sessions as playback
from services.embedded import servers
from services.errors import Conflict, SessionNotFound, TooManyStreams, Unauthenticated
from services.playback.sessions import SESSION_SECONDS
from services.quality import Quality
from services.redis import pool
from services.redis.pool import Client
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.fake_provider import free_port
from tests.support.playback_fixtures import PHONE, film, start_film, start_new_session, viewer_of
from tests.support.runtimes import playback_on
from workers.flush_progress import flush_progress

START = 1_800_000_000.0
SILENT = 30.0  # three heartbeats of ten seconds


@pytest.fixture
def few(runtime: Runtime, clock: Clock) -> Runtime:
    """Two streams for the free, three for those who pay."""
    settings = runtime.settings.model_copy(
        update={"playback_streams_free": 2, "playback_streams_premium": 3}
    )
    return replace(runtime, settings=settings, clock=clock)


@pytest.fixture
def ada(few: Runtime) -> Context:
    return viewer_of(few)


def of_tier(context: Context, tier: models.AccountTier) -> Context:
    assert context.viewer is not None
    return Context(context.runtime, replace(context.viewer, tier=tier))


async def playing(context: Context) -> set[str]:
    return {session.id for session in await playback.now_playing(context)}


async def records() -> list[dict[str, Any]]:
    return await models.StoredSession.get_pymongo_collection().find().to_list(None)


async def test_one_stream_more_than_the_tier_allows_is_refused(ada: Context) -> None:
    # given two streams of a free account
    title = await film()
    both = {await start_new_session(ada, title) for _ in range(2)}
    # when a third is started
    with pytest.raises(TooManyStreams) as raised:
        await start_new_session(ada, title)
    # then it is told how many there may be, and nothing was opened
    assert "2 streams" in raised.value.message
    assert await playing(ada) == both
    assert {row["_id"] for row in await records()} == both
    # and who pays may have one more; other viewers are not concerned
    await start_new_session(of_tier(ada, models.AccountTier.PREMIUM), title)
    await start_new_session(viewer_of(ada.runtime, "bob"), title)


async def test_twenty_starts_at_once_let_exactly_as_many_through(ada: Context) -> None:
    title = await film()
    outcomes = await asyncio.gather(
        *(start_new_session(ada, title) for _ in range(20)), return_exceptions=True
    )
    opened = {one for one in outcomes if isinstance(one, str)}
    assert len(opened) == 2
    assert [type(one) for one in outcomes if not isinstance(one, str)] == [TooManyStreams] * 18
    assert await playing(ada) == opened


async def test_the_same_key_at_once_opens_one_session(ada: Context) -> None:
    # given an account that already plays one stream
    title = await film()
    await start_new_session(ada, title)
    # when the same start is sent twenty times at once
    starts = await asyncio.gather(
        *(playback.start_playback(ada, title, PHONE, idempotency_key="tap") for _ in range(20))
    )
    # then it is one session, which the others got too, though no more may play
    assert len({one.session.id for one in starts}) == 1
    assert len(await playing(ada)) == 2
    again = await playback.start_playback(ada, title, PHONE, idempotency_key="tap")
    assert again.session == starts[0].session
    assert len(await records()) == 2


async def test_stopping_makes_room_at_once(ada: Context) -> None:
    title = await film()
    first, second = [await start_new_session(ada, title) for _ in range(2)]
    await playback.stop_playback(ada, first)
    third = await start_new_session(ada, title)
    assert await playing(ada) == {second, third}


async def test_a_silent_player_counts_no_more(ada: Context, clock: Clock) -> None:
    # given two streams, of which one goes on reporting
    title = await film()
    silent, loud = [await start_new_session(ada, title) for _ in range(2)]
    clock.now += SILENT
    await reports.report_progress(ada, loud, 0, 30.0)
    assert await playing(ada) == {silent, loud}
    with pytest.raises(TooManyStreams):
        await start_new_session(ada, title)
    # when the other was not heard of for three heartbeats
    clock.now += 0.001
    # then it expired, and another may play
    record = await playback.playback_session(ada, silent)
    assert record is not None and record.state is models.PlaybackState.EXPIRED
    assert await playing(ada) == {loud}
    assert await playing(ada) | {await start_new_session(ada, title)} == await playing(ada)


async def test_a_late_report_brings_a_silent_player_back(ada: Context, clock: Clock) -> None:
    _, session = await start_film(ada)
    clock.now += SESSION_SECONDS - 1
    applied = await reports.report_progress(ada, session, 0, 60.0)
    assert applied.applied is True
    record = await playback.playback_session(ada, session)
    assert record is not None and record.state is models.PlaybackState.PLAYING
    assert await playing(ada) == {session}


async def test_a_late_report_is_refused_where_others_play_instead(
    ada: Context, clock: Clock
) -> None:
    # given a player that fell silent, and two that were started since
    title, other = await film(), await film("other")
    silent = await start_new_session(ada, title)
    await reports.report_progress(ada, silent, 0, 10.0)
    clock.now += SILENT + 1
    instead = {await start_new_session(ada, other) for _ in range(2)}
    # when it reports again
    with pytest.raises(TooManyStreams):
        await reports.report_progress(ada, silent, 1, 20.0)
    # then nothing changed
    assert await playing(ada) == instead
    live = (await progress.progress_of(viewer_of(ada.runtime), [title]))[title]
    assert live is not None and live.position_seconds == 10.0
    # but its last word is taken: that needs no room
    stopped = await playback.stop_playback(ada, silent, 25.0)
    assert stopped.progress is not None and stopped.progress.position_seconds == 25.0


async def test_a_player_refused_comes_back_when_there_is_room(ada: Context, clock: Clock) -> None:
    # given a silent player in whose place two others play
    title, other = await film(), await film("other")
    silent = await start_new_session(ada, title)
    clock.now += SILENT + 1
    instead = [await start_new_session(ada, other) for _ in range(2)]
    with pytest.raises(TooManyStreams):
        await reports.report_progress(ada, silent, 0, 20.0)
    # when one of them stops, and the same report is sent again
    await playback.stop_playback(ada, instead[0])
    applied = await reports.report_progress(ada, silent, 0, 20.0)
    # then it is applied
    assert applied.applied is True
    assert await playing(ada) == {silent, instead[1]}


async def test_now_playing_is_the_viewers_own_latest_report_first(
    ada: Context, clock: Clock
) -> None:
    title = await film()
    first = await start_new_session(ada, title)
    clock.now += 5
    second = await start_new_session(ada, title)
    clock.now += 5
    await reports.report_progress(
        ada, first, 0, 5.0, state=models.PlaybackState.PAUSED, quality=Quality.P720
    )
    listed = await playback.now_playing(ada)
    assert [one.id for one in listed] == [first, second]
    assert (listed[0].state, listed[0].quality) == (models.PlaybackState.PAUSED, Quality.P720)
    assert listed[0].last_seen_at.timestamp() == clock.now
    assert await playback.now_playing(viewer_of(ada.runtime, "bob")) == []
    with pytest.raises(Unauthenticated):
        await playback.now_playing(Context(ada.runtime))


async def test_what_plays_is_read_in_one_call(
    runtime: Runtime, count_commands: CountCommands
) -> None:
    ada, title = viewer_of(runtime), await film()
    sessions = [await start_new_session(ada, title) for _ in range(10)]
    await playback.now_playing(ada)
    await count_commands.reset()
    assert len(await playback.now_playing(ada)) == 10
    assert (await count_commands.redis_commands())["evalsha"] == 1
    assert len(await playback.sessions_by_id(ada, sessions)) == 10
    assert count_commands.mongo == []


async def test_a_session_is_written_down_as_it_began(few: Runtime) -> None:
    title = await film()
    viewer = viewer_of(few).viewer
    ada = Context(
        few, viewer, client_address="2001:db8:aa:bb:cc::7", user_agent="Player/1.0 " + "x" * 1000
    )
    opened = await playback.start_playback(
        ada, title, PHONE, quality=Quality.P1080, start_at_seconds=90.0
    )
    record = await models.playback_session_record(opened.session.id)
    assert record is not None and viewer is not None
    assert (record.user_id, record.playable_id) == (viewer.user_id, title)
    assert (record.device.key, record.device.name, record.device.kind) == (
        PHONE.key,
        PHONE.name,
        PHONE.kind,
    )
    assert (record.quality, record.address) == ("P1080", "2001:db8:aa::")
    assert record.user_agent is not None
    assert (record.user_agent[:10], len(record.user_agent)) == ("Player/1.0", 300)
    assert (record.started_at, record.in_redis) == (opened.session.started_at, True)
    assert (record.start_position_seconds, record.duration_seconds) == (90.0, 6000.0)
    assert await models.playback_session_record(ids.new("session")) is None


async def test_a_key_used_again_after_it_was_forgotten_is_another_viewing(
    ada: Context, clock: Clock, redis: Client
) -> None:
    # given a session that Redis forgot
    title = await film()
    first = await playback.start_playback(ada, title, PHONE, idempotency_key="tap")
    await redis.flushdb()
    clock.now += 2 * SESSION_SECONDS
    # when its key starts another
    again = await playback.start_playback(ada, title, PHONE, idempotency_key="tap")
    # then what is written down is how that one began
    record = await models.playback_session_record(first.session.id)
    assert record is not None and again.session.id == first.session.id
    assert record.started_at == again.session.started_at > first.session.started_at


@pytest.fixture
def doomed_redis(tmp_path: Path) -> Iterator[servers.Server]:
    """A Redis of its own, at an address where another may take its place."""
    binary = servers.find_redis_server(None)
    with servers.start_redis(tmp_path, binary=binary, port=free_port(), persist=False) as server:
        yield server


async def test_without_redis_sessions_open_uncounted_and_come_to_it_later(
    few: Runtime, doomed_redis: servers.Server, tmp_path: Path
) -> None:
    # given no Redis
    own = few.settings.model_copy(update={"redis_url": doomed_redis.uri})
    redis = pool.connect(own)
    few = replace(few, settings=own, playback=playback_on(few, own, redis))
    port = int(doomed_redis.uri.rsplit(":", 1)[1].split("/")[0])
    title, other = await film(), await film("other")
    doomed_redis.stop()
    # when three streams are started, one of them twice
    ada = viewer_of(few)
    opened = []
    for key in ("one", "two", "three", "three"):
        answer = await playback.start_playback(
            viewer_of(few), title, PHONE, idempotency_key=key, start_at_seconds=60.0
        )
        opened.append(answer.session)
    # then they are in MongoDB, and one key still opens one session of one title
    assert opened[2] == opened[3]
    assert opened[0].state is models.PlaybackState.PLAYING
    assert opened[0].position_seconds == 60.0
    with pytest.raises(Conflict):
        await playback.start_playback(viewer_of(few), other, PHONE, idempotency_key="one")
    assert [row["in_redis"] for row in await records()] == [False] * 3
    # and once there is a Redis again, it learns of as many as may play when they report
    binary = servers.find_redis_server(None)
    with servers.start_redis(tmp_path / "again", binary=binary, port=port, persist=False):
        assert (await playback.playback_session(ada, opened[0].id)) == opened[0]
        for session in opened[:2]:
            applied = await reports.report_progress(ada, session.id, 0, 70.0)
            assert applied.applied is (session is opened[0])  # the first holds the position
        with pytest.raises(TooManyStreams):
            await reports.report_progress(ada, opened[2].id, 0, 70.0)
        bob = viewer_of(few, "bob")
        with pytest.raises(SessionNotFound):
            await reports.report_progress(bob, opened[2].id, 0, 70.0)
        assert await playing(ada) == {opened[0].id, opened[1].id}
        assert {row["_id"] for row in await records() if not row["in_redis"]} == {opened[2].id}
        # one that ends needs no room
        stopped = await playback.stop_playback(ada, opened[2].id, 80.0)
        assert stopped.progress is not None
        assert await playing(ada) == {opened[0].id, opened[1].id}
        await flush_progress(few, "worker-1")
    await redis.aclose()
