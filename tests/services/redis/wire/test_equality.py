"""The lean way gives what redis-py gives, however the answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.embedded import servers
from services.errors import UpstreamUnavailable
from services.redis.link import RedisLink
from services.redis.wire.client import MOST_COMMAND_BYTES
from tests.support.certificates import make_certificate
from tests.support.redis_calls import CallCounts, echo, make_script, open_link
from tests.support.relay import Relay, start_relay

ANSWERS = {
    "int": "return 42",
    "negative": "return -9007199254740993",
    "nil": "return false",
    "status": "return redis.status_reply('FINE')",
    "bulk": r"return 'a\0b\r\n\255'",
    "empty": "return ''",
    "long": "return string.rep('film', 50000)",
    "array": "return {1, 'two', false, 4}",
    "nested": "return {1, {2, {'three', {}}, redis.status_reply('OK')}, string.rep('x', 70000)}",
    "error in an array": "return {1, redis.error_reply('WRONG thing')}",
}
ERRORS = {
    "own": "return redis.error_reply('MINE is wrong')",
    "runtime": "return nothing.at.all",
    "no script text": "this is no Lua",
    "wrong type": "redis.call('SET', 'text', 1) return redis.call('HGET', 'text', 'field')",
    "out of memory": "return redis.error_reply('OOM command not allowed')",
    "cannot save": "return redis.error_reply('MISCONF Redis cannot save')",
    "not primary": "return redis.error_reply('READONLY You can not write')",
    "busy": "return redis.error_reply('BUSY Redis is busy running a script')",
}


@pytest.fixture(scope="module")
async def uri(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    with servers.start_redis(
        folder, binary=servers.find_redis_server(None), persist=False
    ) as server:
        yield server.uri


async def answer_of(link: RedisLink, text: str) -> Any:
    """The answer, or its error and the error's cause; exceptions are compared by their texts."""
    try:
        answer = await link.scripts.call(make_script(text), 0)
    except UpstreamUnavailable as error:
        cause = error.__cause__
        return error.message, error.retry_after_seconds, type(cause), str(cause)
    if isinstance(answer, list):
        return [(type(one), str(one)) if isinstance(one, Exception) else one for one in answer]
    return answer


@pytest.mark.parametrize("text", [*ANSWERS.values(), *ERRORS.values()], ids=[*ANSWERS, *ERRORS])
async def test_a_script_is_answered_as_by_redis_py(uri: str, text: str) -> None:
    async with open_link(uri) as lean, open_link(uri, lean=False) as usual:
        counts = CallCounts()
        expected = await answer_of(usual, text)
        assert counts.lean == 0
        for _ in range(2):  # unknown to Redis, and known
            answer = await answer_of(lean, text)
            assert answer == expected
            assert type(answer) is type(expected)
        # and both tell the guard alike
        assert lean.guard.allows_calls() and usual.guard.allows_calls()
        assert lean.guard.allows_writes() == usual.guard.allows_writes()
        assert counts.lean >= 2 and counts.fallbacks == {}


async def test_many_keys_are_read_as_by_redis_py(uri: str) -> None:
    async with open_link(uri) as lean, open_link(uri, lean=False) as usual:
        await usual.mset({"one": b"\x00\xff\r\n", "two": "", "three": "3" * 100_000})
        keys = ["one", "none", "two", "three", "one", "Ünïcode"]
        values = await lean.get_many(keys)
        assert values == await usual.mget(keys) == await usual.get_many(keys)


async def test_answers_in_pieces_of_any_size_are_whole(uri: str) -> None:
    script = make_script(
        "return {1, 'two', {false, ARGV[1]}, redis.error_reply('FOUR ' .. KEYS[1])}"
    )
    async with start_relay(uri) as relay, open_link(relay.uri) as link:
        await link.scripts.call(script, 1, "key", "warm")
        for size in range(1, 64):
            relay.split_answers_at = size
            texts = [f"{size}-{number}" for number in range(3)]
            answers = await asyncio.gather(
                *(link.scripts.call(script, 1, text, text) for text in texts)
            )
            for text, answer in zip(texts, answers, strict=True):
                assert answer[:3] == [1, b"two", [None, text.encode()]]
                assert isinstance(answer[3], RedisError) and str(answer[3]) == f"FOUR {text}"


async def test_a_large_command_goes_by_redis_py(uri: str) -> None:
    async with open_link(uri) as link:
        counts = CallCounts()
        large = "x" * MOST_COMMAND_BYTES
        assert await echo(link, large) == large.encode()
        assert await link.get_many(["none", large]) == [None, None]
        assert counts.fallbacks == {"too_large": 2}


async def test_a_password_a_name_and_a_database_are_those_of_the_address(uri: str) -> None:
    async with Redis.from_url(uri) as admin:
        rights = {"passwords": ["+velvet"], "keys": ["*"], "commands": ["+@all"]}
        await admin.acl_setuser("ada", enabled=True, **rights)  # type: ignore[arg-type]
    address = uri.replace("//", "//ada:velvet@")[:-1] + "3?client_name=cinema"
    async with open_link(address) as link:
        await link.scripts.call(make_script("return redis.call('SET', 'place', 'here')"), 0)
        names = [(one["name"], one["db"], one["user"]) for one in await link.client_list()]
        assert names.count(("cinema", "3", "ada")) == 2  # the pool's, and ours
        assert await link.get("place") == b"here"
    wrong = uri.replace("//", "//ada:wrong@")
    async with open_link(wrong) as link:
        with pytest.raises(UpstreamUnavailable):
            await echo(link, "text")
        assert not link.guard.allows_calls()


@pytest.mark.parametrize("lean", [True, False])
async def test_tls_is_spoken_and_the_certificate_checked(
    uri: str, tmp_path: Path, lean: bool
) -> None:
    certificate = make_certificate(tmp_path)
    async with start_relay(uri, certificate) as relay:
        address = relay.uri.replace("redis://", "rediss://")
        async with open_link(f"{address}?ssl_ca_certs={certificate}", lean=lean) as link:
            assert await asyncio.gather(*(echo(link, f"{n}" * 40_000) for n in range(10))) == [
                f"{n}".encode() * 40_000 for n in range(10)
            ]
            assert await link.ping()
        async with open_link(address, lean=lean) as link:
            with pytest.raises(UpstreamUnavailable):
                await echo(link, "text")


@pytest.mark.parametrize("lean", [True, False])
async def test_a_socket_in_the_file_system_is_spoken_to(
    uri: str, tmp_path: Path, lean: bool
) -> None:
    relay = Relay(uri)
    server = await asyncio.start_unix_server(relay.serve, tmp_path / "redis.sock")
    try:
        async with open_link(f"unix://{tmp_path}/redis.sock", lean=lean) as link:
            assert await echo(link, "text") == b"text"
            assert await link.ping()
    finally:
        server.close()
        relay.cut()
