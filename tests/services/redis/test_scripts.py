from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.embedded import servers
from services.errors import UpstreamUnavailable
from services.playback.progress_scripts import progress_script
from services.redis import pool
from services.redis.pool import Client
from services.redis.scripts import Script, ScriptCalls
from services.settings.settings import Settings
from tests.conftest import CountCommands

START = progress_script("start_viewing")
UNFLUSHED = Script("playback", "unflushed_progress")


async def start(scripts: ScriptCalls, name: str, value: str) -> dict[bytes, bytes]:
    """A session of one field, opened: all that is stored of it."""
    flat = await scripts.call(
        START, 4, name, f"{name}:progress", f"{name}:sessions", f"{name}:unflushed",
        name, "movie_x", 60, 1, 30_000, 100, "", "", "field", value,
    )  # fmt: skip
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def test_a_script_redis_does_not_know_is_loaded_and_run(redis: Client) -> None:
    # given a Redis that forgot every script
    await redis.script_flush()
    scripts = redis.scripts
    # when one is called
    answer = await start(scripts, "s", "value")
    # then it ran, once
    assert answer[b"field"] == b"value"


async def test_calls_of_one_moment_leave_in_one_pipeline(
    redis: Client, count_commands: CountCommands
) -> None:
    # given a client whose connections are counted
    scripts = redis.scripts
    await scripts.call(UNFLUSHED, 1, "none", "a", "b", 10)
    before = (await redis.info("stats"))["total_reads_processed"]
    # when fifty calls are made at once
    answers = await asyncio.gather(
        *(scripts.call(UNFLUSHED, 1, "none", "a", "b", 10) for _ in range(50))
    )
    # then Redis read its socket a few times, not fifty
    reads = (await redis.info("stats"))["total_reads_processed"] - before
    assert answers == [[]] * 50
    assert reads <= 4


async def test_answers_reach_their_callers(redis: Client) -> None:
    # given sessions that differ
    scripts = redis.scripts
    # when they are opened together, and one caller leaves
    calls = [asyncio.create_task(start(scripts, f"s{number}", str(number))) for number in range(20)]
    await asyncio.sleep(0)
    calls[7].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    # then every other caller has its own answer
    for number, answer in enumerate(answers):
        if number == 7:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert isinstance(answer, dict)
            assert answer[b"field"] == str(number).encode()


async def test_one_failing_script_fails_only_its_caller(redis: Client) -> None:
    # given a key of the wrong type
    await redis.set("text", "not a hash")
    scripts = redis.scripts
    # when two calls share a pipeline and one of them cannot work
    good, bad = await asyncio.gather(
        scripts.call(UNFLUSHED, 1, "none", "a", "b", 10),
        scripts.call(UNFLUSHED, 1, "text", "a", "b", 10),
        return_exceptions=True,
    )
    # then the other is answered
    assert good == []
    assert isinstance(bad, UpstreamUnavailable)


async def test_a_dead_redis_is_an_error_that_may_be_tried_again(
    settings: Settings, tmp_path: Path
) -> None:
    # given a Redis that died
    server = servers.start_redis(tmp_path, binary=servers.find_redis_server(None), persist=False)
    redis = pool.connect(settings.model_copy(update={"redis_url": server.uri}))
    scripts = redis.scripts
    assert await scripts.call(UNFLUSHED, 1, "none", "a", "b", 10) == []
    server.stop()
    # when it is called
    with pytest.raises(UpstreamUnavailable) as raised:
        await scripts.call(UNFLUSHED, 1, "none", "a", "b", 10)
    # then the caller hears of it in time, and when to come back
    assert raised.value.retry_after_seconds == 1
    await redis.aclose()
