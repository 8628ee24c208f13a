"""Calls that wait for their turn or answer: none is forgotten, and none is given another's."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis

from services.embedded import servers
from services.errors import UpstreamUnavailable
from services.redis.link import RedisLink
from services.redis.wire.client import MOST_COMMAND_BYTES
from tests.support.redis_calls import echo, make_script, open_link
from tests.support.relay import start_relay

LARGE = "x" * (MOST_COMMAND_BYTES - 200)
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])


@pytest.fixture(scope="module")
async def uri(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    with servers.start_redis(
        folder, binary=servers.find_redis_server(None), persist=False
    ) as server:
        yield server.uri


async def test_a_call_behind_large_ones_whose_callers_left_is_sent(uri: str) -> None:
    async with open_link(uri) as link:
        await echo(link, "warm")
        large = [asyncio.create_task(echo(link, LARGE)) for _ in range(3)]
        last = asyncio.create_task(echo(link, "last"))
        await asyncio.sleep(0)  # all wait
        for call in large:
            call.cancel()
        async with asyncio.timeout(2):
            assert await last == b"last"


@pytest.mark.parametrize("steps", [0, 1, 2])  # of the opening: none is that it has not begun
async def test_an_opening_that_is_cancelled_leaves_nobody_waiting(uri: str, steps: int) -> None:
    async with open_link(uri) as link:
        before = asyncio.all_tasks()
        call = asyncio.create_task(echo(link, "text"))
        while not (opening := asyncio.all_tasks() - before - {call}):
            await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.pop().cancel()
        async with asyncio.timeout(2):
            with pytest.raises(UpstreamUnavailable):
                await call
            assert await echo(link, "text") == b"text"


async def test_a_script_that_redis_forgot_is_sent_once_for_all_its_calls(uri: str) -> None:
    long = make_script(f"return ARGV[1] -- {'x' * 15_000}")
    async with open_link(uri) as link:
        assert await link.scripts.call(long, 0, "warm") == b"warm"
        await link.script_flush()
        before = await link.info("stats")
        # when more call than could be sent with its text at once
        texts = [str(number) for number in range(3000)]
        answers = await asyncio.gather(*(link.scripts.call(long, 0, text) for text in texts))
        assert answers == [text.encode() for text in texts]
        after = await link.info("stats")
        assert after["total_net_input_bytes"] - before["total_net_input_bytes"] < 1_000_000


async def test_a_script_runs_where_scripts_may_not_be_loaded(uri: str) -> None:
    async with Redis.from_url(uri) as admin:
        rights = {"passwords": ["+velvet"], "keys": ["*"], "commands": ["+@all", "-script"]}
        await admin.acl_setuser("eve", enabled=True, **rights)  # type: ignore[arg-type]
    script = make_script("return 'by ' .. ARGV[1]")
    async with open_link(uri.replace("//", "//eve:velvet@")) as link:
        calls = (link.scripts.call(script, 0, name) for name in ("eve", "ada"))
        assert await asyncio.gather(*calls) == [b"by eve", b"by ada"]


async def call_beside_pushes(uri: str) -> list[Any]:
    async with start_relay(uri) as relay, open_link(f"{relay.uri}?protocol=3") as link:
        await echo(link, "warm")
        relay.alter_answer = lambda data: b">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n" + data
        answers = await asyncio.gather(*(echo(link, str(number)) for number in range(3)))
        return [*answers, await echo(link, "last"), link.guard.generation]


@LOOPS
def test_what_redis_tells_unasked_answers_nobody(uri: str, run: Any) -> None:
    assert run(call_beside_pushes(uri)) == [b"0", b"1", b"2", b"last", 0]


@pytest.mark.parametrize("lean", [True, False])
async def test_the_time_out_of_the_address_is_meant(uri: str, lean: bool) -> None:
    async with start_relay(uri) as relay:
        address = f"{relay.uri}?socket_timeout=1"
        async with open_link(address, lean=lean, timeout_seconds=0.2) as link:
            await echo(link, "warm")
            relay.is_silent = True
            started = time.monotonic()
            with pytest.raises(UpstreamUnavailable):
                await echo(link, "text")
            assert time.monotonic() - started >= 0.9
            relay.mend()


async def test_an_error_that_many_share_does_not_grow(uri: str) -> None:
    async with start_relay(uri) as relay, open_link(relay.uri, timeout_seconds=0.2) as link:
        await link.get_many(["key"])
        relay.is_silent = True
        answers = await asyncio.gather(*(_read(link) for _ in range(200)))
        causes = {id(one.__cause__): one.__cause__ for one in answers}
        assert len(answers) == 200
        for cause in causes.values():
            assert cause is not None
            assert len(traceback.extract_tb(cause.__traceback__)) < 10
        relay.mend()


async def _read(link: RedisLink) -> UpstreamUnavailable:
    with pytest.raises(UpstreamUnavailable) as raised:
        await link.get_many(["key"])
    return raised.value
