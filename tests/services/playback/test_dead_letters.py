from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import pytest

from resolvers.context import Runtime
from resolvers.playback import reports
from server.commands import progress
from services.errors import StartupError, UpstreamUnavailable
from services.playback.keys import ProgressKeys
from services.redis import pool
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.playback_fixtures import film, read_stored_progress, start_new_session, viewer_of
from tests.support.runtimes import playback_on
from workers.flush_progress import flush_progress

KEYS = ProgressKeys(8)
TRIES = 5


async def flush_until_dead(runtime: Runtime) -> None:
    for _ in range(TRIES):
        await asyncio.sleep(0.005)
        await flush_progress(runtime, "worker-1")


async def spoil(redis: Client, user_id: str) -> tuple[int, bytes]:
    """An entry of the user's that was damaged on its way, in the midst of others: what it said."""
    shard = KEYS.shard(user_id)
    rows: Any = await redis.xrevrange(KEYS.stream(shard), count=1)
    ((entry_id, fields),) = rows
    await redis.xdel(KEYS.stream(shard), entry_id)
    await redis.xadd(KEYS.stream(shard), {**fields, b"state": b"\xc1"})
    return shard, fields[b"state"]


@contextmanager
def log_stream() -> Iterator[io.StringIO]:
    text = io.StringIO()
    with redirect_stdout(text):
        yield text


async def test_a_poison_entry_does_not_stop_its_shard_is_shown_and_can_be_replayed(
    claiming_at_once: Runtime, redis: Client
) -> None:
    # given a viewer of whose reports one was damaged
    ada = viewer_of(claiming_at_once)
    title, other = await film(), await film("brazil")
    session = await start_new_session(ada, title)
    await reports.report_progress(ada, session, 0, 50.0)
    shard, sound = await spoil(redis, ada.viewer_id or "")
    await reports.report_progress(ada, await start_new_session(ada, other), 0, 20.0)
    # when workers come often enough
    await flush_until_dead(claiming_at_once)
    # then the rest is stored, and the damaged one is shown with all that is known of it
    assert [row["position_seconds"] for row in await read_stored_progress()] == [20.0]
    letters = claiming_at_once.playback.dead_letters
    assert await letters.count() == 1
    (letter,) = await letters.list_page(shard)
    assert (letter.user_id, letter.playable_id) == (ada.viewer_id, title)
    assert letter.fields[b"state"] == b"\xc1"
    # and replayed as it is, it comes back
    assert await letters.replay(letter)
    assert await letters.count() == 0
    assert (await claiming_at_once.playback.stream.backlog()).entries == 1
    await flush_until_dead(claiming_at_once)
    (again,) = await letters.list_page(shard)
    assert again.fields == letter.fields
    # and once it is mended, its report is stored
    key = KEYS.dead_letters(shard)
    await redis.xdel(key, again.letter_id)
    await redis.xadd(key, {**again.fields, b"state": sound})  # type: ignore[dict-item]
    (mended,) = await letters.list_page(shard)
    assert await letters.replay(mended)
    await flush_progress(claiming_at_once, "worker-1")
    assert sorted(row["position_seconds"] for row in await read_stored_progress()) == [20.0, 50.0]  # type: ignore[type-var]
    assert await letters.count() == 0


async def test_a_letter_is_replayed_once(runtime: Runtime, redis: Client) -> None:
    await redis.xadd(KEYS.dead_letters(3), {"user": "u", "entry": "7-1"})
    (letter,) = await runtime.playback.dead_letters.list_page(3)
    assert letter.entry_id == "7-1"
    # when two replay it at once
    letters = runtime.playback.dead_letters
    replayed = await asyncio.gather(letters.replay(letter), letters.replay(letter))
    # then it is in its stream once, as it was
    assert sorted(replayed) == [False, True]
    rows: Any = await redis.xrange(KEYS.stream(3))
    assert [fields for _, fields in rows] == [{b"user": b"u"}]


async def test_many_letters_are_paged(runtime: Runtime, redis: Client) -> None:
    for number in range(130):
        await redis.xadd(KEYS.dead_letters(2), {"user": f"u{number}"})
    letters = runtime.playback.dead_letters
    first = await letters.list_page(2)
    second = await letters.list_page(2, first[-1].letter_id)
    assert [one.user_id for one in first + second] == [f"u{number}" for number in range(130)]
    assert await letters.count() == 130


async def test_the_command_shows_letters_and_replays_them(
    runtime: Runtime, settings: Settings, redis: Client
) -> None:
    # given two letters
    await redis.xadd(KEYS.dead_letters(1), {"user": "user_a", "playable": "movie_a"})
    await redis.xadd(KEYS.dead_letters(6), {"user": "user_b", "state": b"\xff\xfe"})
    # when an operator looks
    with log_stream() as text:
        assert await progress.dead_letters(settings, replay=False) == 2
    # then both are told, and stay
    assert "user user_a  title movie_a  fields playable,user" in text.getvalue()
    assert "shard 6" in text.getvalue()
    assert await runtime.playback.dead_letters.count() == 2
    # and with --replay they are put back
    with log_stream() as text:
        assert await progress.dead_letters(settings, replay=True) == 2
    assert text.getvalue().count("replayed") == 2
    assert await runtime.playback.dead_letters.count() == 0
    assert await redis.xlen(KEYS.stream(1)) == await redis.xlen(KEYS.stream(6)) == 1
    with log_stream() as text:
        assert await progress.dead_letters(settings, replay=False) == 0
    assert text.getvalue() == "No dead letters.\n"


async def test_without_redis_letters_are_an_error(runtime: Runtime, settings: Settings) -> None:
    nowhere = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    away = pool.connect(nowhere)
    letters = playback_on(runtime, nowhere, away).dead_letters
    for call in (letters.count(), letters.list_page(0)):
        with pytest.raises(UpstreamUnavailable):
            await call
    await away.aclose()
    with pytest.raises(StartupError, match="STATE_REDIS_URL"):
        await progress.dead_letters(nowhere, replay=False)
