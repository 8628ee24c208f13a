from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

import models
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import marks, reports
from resolvers.playback.notifications import stream_progress
from services.errors import NotFound, Unauthenticated, ValidationFailed
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.playback_fixtures import build_offline_report, start_new_session, viewer_of
from tests.support.runtimes import playback_on
from tests.support.titles import film, film_id, store
from workers.flush_progress import flush_progress

FILM, OTHER, THIRD = film_id(1), film_id(2), film_id(3)


@pytest.fixture
async def ada(runtime: Runtime) -> Context:
    await store(film(number, runtime_seconds=6000) for number in range(1, 4))
    return viewer_of(runtime)


class Events:
    """The stream, begun: subscribing is over when `begun` returns."""

    def __init__(self, stream: AsyncIterator[models.LiveProgress]) -> None:
        self._stream = stream
        self._next: asyncio.Task[models.LiveProgress] | None = None

    async def begun(self, context: Context) -> Events:
        self._next = asyncio.ensure_future(anext(self._stream))  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            while not await is_subscribed(context):
                await asyncio.sleep(0.005)
        return self

    async def next(self) -> models.LiveProgress:
        waiting, self._next = self._next, None
        async with asyncio.timeout(10):
            return await (waiting or anext(self._stream))

    async def is_silent(self) -> bool:
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._stream))  # type: ignore[arg-type]
        done, _ = await asyncio.wait([self._next], timeout=0.2)
        return not done

    async def aclose(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        closing: Any = self._stream
        await closing.aclose()


async def is_subscribed(context: Context) -> bool:
    return bool(await context.runtime.redis.pubsub_channels("progress:changed:*"))


async def test_changes_of_all_titles_are_sent_as_they_happen(ada: Context) -> None:
    # given something watched before
    await build_offline_report(ada, THIRD, 30, ago=100)
    async with aclosing(await Events(stream_progress(ada)).begun(ada)) as events:
        # when one device reports, another tells of something offline, and a title is marked
        session = await start_new_session(viewer_of(ada.runtime), FILM)
        await reports.report_progress(viewer_of(ada.runtime), session, 0, 600.0)
        reported = await events.next()
        offline = await build_offline_report(viewer_of(ada.runtime), OTHER, 60)
        marked = await marks.mark_watched(viewer_of(ada.runtime), THIRD)
        # then each is told, and what came before is not
        assert (reported.playable_id, reported.position_seconds) == (FILM, 600.0)
        assert await events.next() == offline
        assert await events.next() == marked.progress
        assert await events.is_silent()


async def test_of_one_title_the_state_of_now_comes_first(ada: Context) -> None:
    now = await build_offline_report(ada, FILM, 30, ago=100)
    async with aclosing(Events(stream_progress(ada, FILM))) as events:
        assert await events.next() == now
        # and changes of others are not told
        await build_offline_report(viewer_of(ada.runtime), OTHER, 60)
        assert await events.is_silent()
        later = await build_offline_report(viewer_of(ada.runtime), FILM, 90)
        assert await events.next() == later


async def test_a_late_reader_gets_the_newest_state_only(ada: Context) -> None:
    async with aclosing(await Events(stream_progress(ada, FILM)).begun(ada)) as events:
        await build_offline_report(viewer_of(ada.runtime), FILM, 1, ago=30)
        first = await events.next()
        for second in range(20):
            last = await build_offline_report(
                viewer_of(ada.runtime), FILM, 100 + second, ago=20 - second
            )
        assert first.position_seconds == 1.0
        seen = [await events.next()]
        while seen[-1].version < last.version:
            seen.append(await events.next())
        assert seen[-1] == last
        assert len(seen) <= 2  # one may have been on its way already
        assert await events.is_silent()


async def test_what_another_process_accepts_is_sent_here(ada: Context, settings: Settings) -> None:
    # given a second process, whose way to Redis is its own
    client = pool.connect(settings)
    there = replace(ada.runtime, redis=client, playback=playback_on(ada.runtime, settings, client))
    async with aclosing(await Events(stream_progress(ada)).begun(ada)) as events:
        # when it takes a report
        other = viewer_of(there)
        session = await start_new_session(other, FILM)
        applied = await reports.report_progress(other, session, 0, 60.0)
        # then the first one tells it
        assert await events.next() == applied.progress
    await client.aclose()


async def test_what_changed_nothing_is_not_sent(ada: Context) -> None:
    await marks.mark_watched(ada, FILM)
    await flush_progress(ada.runtime, "worker-1")
    async with aclosing(await Events(stream_progress(ada)).begun(ada)) as events:
        await marks.mark_watched(viewer_of(ada.runtime), FILM)
        await flush_progress(ada.runtime, "worker-1")
        assert await events.is_silent()


async def test_that_a_position_became_durable_is_sent_once(ada: Context) -> None:
    async with aclosing(await Events(stream_progress(ada)).begun(ada)) as events:
        # given a report, which is told when it is acknowledged
        session = await start_new_session(viewer_of(ada.runtime), FILM)
        await reports.report_progress(viewer_of(ada.runtime), session, 0, 600.0)
        reported = await events.next()
        assert reported.durable is False
        # when MongoDB has it
        await flush_progress(ada.runtime, "worker-1")
        # then the same state is told as durable
        stored = await events.next()
        assert (stored.stamp_ms, stored.position_seconds) == (reported.stamp_ms, 600.0)
        assert stored.durable is True
        assert await events.is_silent()


async def test_nobody_hears_of_anothers_progress(ada: Context) -> None:
    bob = viewer_of(ada.runtime, "bob")
    async with (
        aclosing(await Events(stream_progress(bob)).begun(ada)) as everything,
        aclosing(await Events(stream_progress(bob, FILM)).begun(ada)) as one_film,
    ):
        await build_offline_report(ada, FILM, 60)
        assert await everything.is_silent()
        assert await one_film.is_silent()
        own = await build_offline_report(viewer_of(ada.runtime, "bob"), FILM, 90)
        assert await everything.next() == own
        assert await one_film.next() == own


async def test_after_a_break_the_newest_states_are_sent(ada: Context, redis: Client) -> None:
    # given two subscribers that were told something
    before = await build_offline_report(ada, FILM, 60, ago=90)
    async with (
        aclosing(await Events(stream_progress(ada)).begun(ada)) as everything,
        aclosing(Events(stream_progress(ada, FILM))) as one_film,
    ):
        assert await one_film.next() == before
        # when a change comes while their connection is cut, and is in the database already
        clients = await redis.client_list(_type="pubsub")
        async with redis.pipeline(transaction=True) as at_once:
            for client in clients:
                at_once.execute_command("CLIENT", "KILL", "ID", client["id"])
            await at_once.execute()
        last = await build_offline_report(viewer_of(ada.runtime), FILM, 600, ago=10)
        await flush_progress(ada.runtime, "worker-1")
        # then both are told of it
        for events in (everything, one_film):
            event = await events.next()
            assert (event.position_seconds, event.version) == (600.0, last.version)


async def test_who_may_not_watch_is_refused(ada: Context, context: Context) -> None:
    with pytest.raises(Unauthenticated):
        stream_progress(context)
    with pytest.raises(ValidationFailed):
        stream_progress(ada, "no id at all")
    with pytest.raises(NotFound):
        stream_progress(ada, ids.derive("show", "x"))
    assert not await is_subscribed(ada)


async def test_a_stream_that_ends_leaves_nothing_behind(ada: Context) -> None:
    for _ in range(3):
        async with aclosing(await Events(stream_progress(ada)).begun(ada)):
            pass
        async with asyncio.timeout(10):
            while await is_subscribed(ada):
                await asyncio.sleep(0.005)
    assert ada.runtime.playback.notifications.is_connected is False
