"""The pipelined connection: an answer reaches its own caller or nobody, whatever happens."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import BusyLoadingError, ResponseError

from services.embedded import servers
from services.errors import UpstreamUnavailable
from services.redis.link import RedisLink
from services.redis.wire.client import MOST_COMMAND_BYTES
from tests.support.fake_provider import free_port
from tests.support.processes import until
from tests.support.redis_calls import ECHO, CallCounts, echo, make_script, open_link
from tests.support.relay import Relay, start_relay

TIMEOUT_SECONDS = 0.4


@pytest.fixture(scope="module")
async def uri(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    with servers.start_redis(
        folder, binary=servers.find_redis_server(None), persist=False
    ) as server:
        yield server.uri


@pytest.fixture
async def relayed(uri: str) -> AsyncIterator[tuple[Relay, RedisLink]]:
    async with (
        start_relay(uri) as relay,
        open_link(relay.uri, timeout_seconds=TIMEOUT_SECONDS) as link,
    ):
        await echo(link, "warm")
        yield relay, link
        relay.mend()


async def call_many(link: RedisLink, count: int, mark: str = "") -> list[Any]:
    """The answers of calls made at once, each checked to be its own caller's; or the errors."""
    texts = [f"{mark}{number}" * (1 + number % 50) for number in range(count)]
    calls = (echo(link, text) for text in texts)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for text, answer in zip(texts, answers, strict=True):
        assert answer == text.encode() or isinstance(answer, UpstreamUnavailable), answer
    return answers


def failures(answers: list[Any]) -> int:
    return sum(isinstance(answer, UpstreamUnavailable) for answer in answers)


async def test_calls_of_one_moment_leave_in_one_write(uri: str) -> None:
    async with open_link(uri) as link:
        await echo(link, "warm")
        before = await link.info("stats")
        counts = CallCounts()
        assert failures(await call_many(link, 200)) == 0
        after = await link.info("stats")
        assert counts.lean == 200
        # one of them asks for these counts
        assert after["total_reads_processed"] - before["total_reads_processed"] <= 3
        assert after["total_connections_received"] == before["total_connections_received"]


async def test_no_answer_reaches_another_caller_under_random_cancellations(
    relayed: tuple[Relay, RedisLink],
) -> None:
    relay, link = relayed
    relay.delay_seconds = 0.002
    chance = random.Random(7)
    outcomes: Counter[str] = Counter()

    async def call_again(caller: int) -> None:
        for number in range(60):
            text = f"{caller}-{number}-" * chance.randint(1, 200)
            task = asyncio.create_task(echo(link, text))
            if chance.random() < 0.5:
                asyncio.get_running_loop().call_later(chance.random() * 0.006, task.cancel)
            try:
                assert await task == text.encode()
                outcomes["answered"] += 1
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1

    counts = CallCounts()
    await asyncio.gather(*(call_again(caller) for caller in range(20)))
    assert outcomes["answered"] > 300 and outcomes["cancelled"] > 300
    # and no cancellation cost a connection
    assert link.guard.generation == 0
    assert counts.fallbacks == {}


async def test_no_answer_reaches_another_caller_over_resets(
    relayed: tuple[Relay, RedisLink],
) -> None:
    relay, link = relayed
    relay.delay_seconds = 0.001
    failed = total = 0
    for round_ in range(40):
        if round_ % 3 == 0:
            asyncio.get_running_loop().call_later(random.random() * 0.004, relay.reset)
        answers = await call_many(link, 30, f"{round_}:")
        failed += failures(answers)
        total += len(answers)
        await asyncio.sleep(0.01)
    assert 0 < failed < total / 2
    assert link.guard.allows_calls()


@pytest.mark.parametrize(
    "fault", ["reset", "cut", "half an answer", "an answer too many", "no RESP"]
)
async def test_whatever_ends_a_connection_fails_its_own_calls_at_once(
    relayed: tuple[Relay, RedisLink], fault: str
) -> None:
    relay, link = relayed
    if fault == "half an answer":
        relay.halves_answers = True
    elif fault == "an answer too many":
        relay.alter_answer = lambda data: data + b"+OK\r\n"
    elif fault == "no RESP":
        relay.alter_answer = lambda data: b"HTTP/1.1 200 OK\r\n\r\n"
    else:
        relay.is_mute = True
        asyncio.get_running_loop().call_later(0.05, relay.reset if fault == "reset" else relay.cut)
    started = time.monotonic()
    answers = await call_many(link, 20)
    assert time.monotonic() - started < TIMEOUT_SECONDS
    # all but those whose whole answer came before the fault
    if fault == "an answer too many":
        assert failures(answers) == 0
    else:
        assert failures(answers) == 20 if fault != "half an answer" else failures(answers) >= 1
    relay.mend()
    await until(link.guard.allows_calls, 5)
    assert failures(await call_many(link, 20)) == 0


async def test_a_black_hole_fails_all_calls_by_their_deadline_and_then_at_once(
    relayed: tuple[Relay, RedisLink],
) -> None:
    relay, link = relayed
    relay.is_silent = True
    started = time.monotonic()
    first = asyncio.create_task(call_many(link, 20, "first"))
    await asyncio.sleep(TIMEOUT_SECONDS / 2)
    second = asyncio.create_task(call_many(link, 20, "second"))
    assert failures(await first) == failures(await second) == 20
    assert TIMEOUT_SECONDS <= time.monotonic() - started < 2 * TIMEOUT_SECONDS
    assert not link.guard.allows_calls()
    async with asyncio.timeout(0.1):
        assert failures(await call_many(link, 20)) == 20
    # when it is over, calls go on a new connection
    relay.mend()
    await until(link.guard.allows_calls, 5)
    assert failures(await call_many(link, 20)) == 0


async def test_an_answer_that_lies_unread_while_the_process_is_busy_is_not_late(uri: str) -> None:
    async with open_link(uri, timeout_seconds=0.1) as link:
        await echo(link, "warm")
        call = asyncio.create_task(echo(link, "text"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it is sent
        time.sleep(0.5)  # noqa: ASYNC251 - it is to be busy
        assert await call == b"text"
        assert link.guard.allows_calls()


async def test_what_another_connection_noticed_ends_this_one_after_its_answers(
    relayed: tuple[Relay, RedisLink],
) -> None:
    relay, link = relayed
    relay.delay_seconds = 0.05
    under_way = asyncio.create_task(call_many(link, 5, "before"))
    await asyncio.sleep(0.01)
    # when a connection of the pool was lost meanwhile
    link.guard.record_lost_connection()
    after = await call_many(link, 5, "after")
    # then new calls went on a new connection, and those under way were answered all the same
    assert failures(await under_way) == failures(after) == 0
    await until(lambda: _is_count(link, 1), 5)


async def _is_count(link: RedisLink, count: int) -> bool:
    """Whether Redis has so many connections besides the one that asks."""
    return len(await link.client_list()) == count + 1


async def test_a_server_that_is_killed_and_comes_back_is_used_again(tmp_path: Path) -> None:
    port, binary = free_port(), servers.find_redis_server(None)

    def start() -> servers.Server:
        return servers.start_redis(tmp_path, binary=binary, port=port, persist=False)

    server = start()
    async with open_link(server.uri) as link:
        assert failures(await call_many(link, 5)) == 0
        server.process.kill()
        server.process.wait()
        started = time.monotonic()
        assert failures(await call_many(link, 5)) == 5
        assert time.monotonic() - started < 1
        with start():
            await until(link.guard.allows_calls, 5)
            # its scripts are unknown now, and sent again
            assert failures(await call_many(link, 5)) == 0


@pytest.mark.parametrize("answer", ["LOADING Redis is loading", "NOAUTH Authentication required."])
async def test_a_server_that_serves_nobody_is_left_alone_for_a_moment(
    relayed: tuple[Relay, RedisLink], answer: str
) -> None:
    relay, link = relayed
    relay.alter_answer = lambda data: f"-{answer}\r\n".encode()
    assert failures(await call_many(link, 20)) == 20
    assert not link.guard.allows_calls()
    relay.mend()
    await until(link.guard.allows_calls, 5)
    assert failures(await call_many(link, 20)) == 0


async def test_a_loading_server_is_told_with_its_own_words(
    relayed: tuple[Relay, RedisLink],
) -> None:
    relay, link = relayed
    relay.alter_answer = lambda data: b"-LOADING Redis is loading the dataset in memory\r\n"
    with pytest.raises(UpstreamUnavailable) as raised:
        await echo(link, "text")
    assert isinstance(raised.value.__cause__, BusyLoadingError)


@asynccontextmanager
async def set_config(link: RedisLink, **values: Any) -> AsyncIterator[None]:
    before = {name: (await link.config_get(name))[name] for name in values}
    for name, value in values.items():
        await link.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            await link.config_set(name, value)


async def test_a_full_server_refuses_writes_and_still_reads(uri: str) -> None:
    write = make_script("return redis.call('SET', KEYS[1], ARGV[1])")
    async with open_link(uri) as link:
        async with set_config(link, maxmemory=1):
            with pytest.raises(UpstreamUnavailable):
                await link.scripts.call(write, 1, "key", "value")
            assert link.guard.allows_calls() and not link.guard.allows_writes()
            assert await link.get_many(["none"]) == [None]
        assert await link.scripts.call(write, 1, "key", "value") == b"OK"


async def test_a_server_that_is_no_primary_any_more_is_connected_to_anew(uri: str) -> None:
    write = make_script("return redis.call('SET', KEYS[1], ARGV[1])")
    async with open_link(uri) as link:
        await link.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            with pytest.raises(UpstreamUnavailable):
                await link.scripts.call(write, 1, "key", "value")
            assert link.guard.allows_calls() and link.guard.generation == 1
        finally:
            await link.execute_command("REPLICAOF", "NO", "ONE")
        assert await link.scripts.call(write, 1, "key", "value") == b"OK"


async def test_a_busy_server_refuses_and_is_late_to_whom_it_works_for(uri: str) -> None:
    endless = make_script("while true do end")
    async with open_link(uri, timeout_seconds=0.5) as busy, open_link(uri) as link:
        async with set_config(link, **{"lua-time-limit": 20}):
            call = asyncio.create_task(busy.scripts.call(endless, 0))
            await asyncio.sleep(0.2)
            with pytest.raises(UpstreamUnavailable) as raised:
                await echo(link, "text")
            assert str(raised.value.__cause__).startswith("BUSY")
            assert link.guard.allows_calls()
            with pytest.raises(UpstreamUnavailable):
                await call
            await link.execute_command("SCRIPT", "KILL")
            await until(lambda: _is_free(link), 5)
        assert await echo(link, "text") == b"text"


async def _is_free(link: RedisLink) -> bool:
    try:
        return bool(await link.ping())
    except ResponseError:
        return False


async def test_calls_beyond_the_bound_are_refused_and_the_others_answered(uri: str) -> None:
    async with open_link(uri, timeout_seconds=5) as link:
        calls = [asyncio.create_task(echo(link, str(number))) for number in range(10_050)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert answers[:10_000] == [str(number).encode() for number in range(10_000)]
        assert failures(answers[10_000:]) == 50
        assert link.guard.allows_calls()
        assert await echo(link, "text") == b"text"


async def test_bytes_that_wait_are_bounded_where_nobody_reads_them() -> None:
    """A server that signs clients in and then reads nothing: the socket fills, then the queue."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"+OK\r\n" * 2)  # to CLIENT SETINFO, twice
        await asyncio.sleep(3)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_link(f"redis://127.0.0.1:{port}", timeout_seconds=1) as link:
        large = "x" * (MOST_COMMAND_BYTES - 200)
        calls = [asyncio.create_task(echo(link, large)) for _ in range(60)]
        done, waiting = await asyncio.wait(calls, timeout=0.5)
        # then some are refused at once, and the others at their deadline
        assert 40 <= len(done) <= 50
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert failures(answers) == len(waiting)
    server.close()


async def test_closing_fails_what_is_under_way_and_leaves_no_connection(
    relayed: tuple[Relay, RedisLink], uri: str
) -> None:
    relay, link = relayed
    relay.is_mute = True
    call = asyncio.create_task(call_many(link, 20))
    await asyncio.sleep(0.05)
    await link.aclose()
    async with asyncio.timeout(0.2):
        assert failures(await call) == 20
    # and one that is closed as it opens its first connection
    async with open_link(relay.uri) as other:
        call = asyncio.create_task(call_many(other, 20))
        await asyncio.sleep(0.01)
        await other.aclose()
        assert failures(await call) == 20
    async with open_link(uri) as watching:
        await until(lambda: _is_count(watching, 0), 5)


async def test_a_cancelled_call_that_was_not_sent_is_not_sent(uri: str) -> None:
    count = make_script("return redis.call('INCR', 'sent')")
    async with open_link(uri) as link:
        await link.delete("sent")
        call = asyncio.create_task(link.scripts.call(count, 0))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await link.scripts.call(count, 0) == 1
        assert await link.scripts.call(ECHO, 0, "text") == b"text"
