"""What a link says and does when the connections to its server end in any way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop

from services.cache.cache import Cache
from services.errors import StartupError, UpstreamUnavailable
from services.redis.link import RedisLink
from services.redis.pool import Client
from services.redis.scripts import Script, ScriptCalls
from services.settings.settings import Settings
from services.supervision import TaskStatus, list_tasks
from tests.support.caching import connect_relayed, read_redis, store_values
from tests.support.processes import until
from tests.support.relay import Relay, start_relay

UNFLUSHED = Script("playback", "unflushed_progress")


@pytest.fixture(params=[True, False], ids=["lean", "redis_py"])
def link_settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Both ways: calls on the pipelined connection, and by redis-py alone."""
    return settings.model_copy(update={"redis_lean": request.param})


@pytest.fixture
async def relayed(link_settings: Settings) -> AsyncIterator[tuple[Relay, Client]]:
    async with connect_relayed(link_settings) as pair:
        yield pair


async def fill_pool(link: RedisLink, count: int = 5) -> None:
    await asyncio.gather(*(link.ping() for _ in range(count)))


async def call(link: RedisLink) -> Any:
    return await link.scripts.call(UNFLUSHED, 1, "none", "a", "b", 10)


async def test_connections_reset_while_idle_are_opened_anew(relayed: tuple[Relay, Client]) -> None:
    # given a pool of idle connections
    relay, link = relayed
    await fill_pool(link)
    # when all are reset
    relay.reset()
    await asyncio.sleep(0.05)
    # then nobody notices, and nobody is refused
    for _ in range(8):
        assert await link.ping()
    assert await asyncio.gather(*(call(link) for _ in range(8))) == [[]] * 8
    assert link.guard.allows_calls()


async def call_over_resets(uri: str, *, lean: bool) -> list[Any]:
    """Twenty calls through a relay that resets each connection after each answer."""
    answers: list[Any] = []
    async with start_relay(uri) as relay:
        link = RedisLink(relay.uri, timeout_seconds=2, max_connections=5, lean=lean)
        relay.resets_after_answers = True
        for _ in range(20):
            answers += await asyncio.gather(call(link), return_exceptions=True)
            await asyncio.sleep(0.02)
        relay.mend()
        await asyncio.sleep(0.02)
        answers.append(await call(link))  # and no old connection comes back
        await link.aclose()
    return answers


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_reset_after_each_use_is_noticed_before_the_next_or_told_as_an_outage(
    link_settings: Settings, run: Any
) -> None:
    uri, lean = link_settings.redis_url or "", link_settings.redis_lean
    answers = run(call_over_resets(uri, lean=lean))
    # those whose connection was reset under them fail, the others are answered
    failed = [one for one in answers if one != []]
    assert all(isinstance(one, UpstreamUnavailable) for one in failed), failed
    assert len(failed) < len(answers) / 2


@pytest.mark.parametrize("fault", ["halves_answers", "is_cut", "resets"])
async def test_however_a_connection_ends_the_caller_hears_that_redis_is_away(
    relayed: tuple[Relay, Client], fault: str
) -> None:
    relay, link = relayed
    await fill_pool(link)
    relay.is_mute = True
    # when a pipeline of calls is under way, and its connection ends
    calls = [asyncio.create_task(call(link)) for _ in range(20)]
    await asyncio.sleep(0.05)
    if fault == "halves_answers":
        relay.mend()
        relay.halves_answers = True
        relay.reset()
    elif fault == "is_cut":
        relay.cut()
    else:
        relay.reset()
    # then all fail at once, long before a deadline
    async with asyncio.timeout(1.5):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in answers} == {UpstreamUnavailable}


async def test_half_answers_are_misses_of_the_cache(relayed: tuple[Relay, Client]) -> None:
    relay, link = relayed
    cache = Cache(link)
    await store_values(cache, {"movie:1": "film"})
    relay.halves_answers = True
    assert await read_redis(cache, "movie:1") == {}
    # and when answers are whole again, they count at once
    relay.mend()
    await asyncio.sleep(0.05)
    assert await read_redis(cache, "movie:1") == {"movie:1": "film"}


async def test_after_a_silence_no_idle_connection_is_silent_again(
    link_settings: Settings,
) -> None:
    # given a pool whose connections all died silently, and one call that noticed
    short = link_settings.model_copy(update={"redis_timeout_ms": 300})
    async with connect_relayed(short) as (relay, link):
        await fill_pool(link)
        relay.is_silent = True
        with pytest.raises(UpstreamUnavailable):
            await call(link)
        # while it lasts, all parts are refused at once
        async with asyncio.timeout(0.1):
            with pytest.raises(UpstreamUnavailable):
                await call(link)
            assert await read_redis(Cache(link), "movie:1") == {}
        # when it is over, old connections are not tried in turn
        generation = link.guard.generation
        relay.mend()
        await until(link.guard.allows_calls, 5)
        for _ in range(8):
            assert await call(link) == []
        assert link.guard.generation == generation


async def test_a_cancelled_sender_leaves_nobody_waiting(redis: Client) -> None:
    # given a link whose calls go by redis-py, from a queue
    scripts = ScriptCalls(redis, redis.guard)
    calls = [
        asyncio.create_task(scripts.call(UNFLUSHED, 1, "none", "a", "b", 10)) for _ in range(300)
    ]
    await asyncio.sleep(0)
    (sender,) = [
        task
        for task in asyncio.all_tasks()
        if "_send_all" in getattr(task.get_coro(), "__name__", "")
    ]
    await asyncio.sleep(0)
    sender.cancel()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(one == [] or isinstance(one, UpstreamUnavailable) for one in answers)
    # and it is seen, until the next one has done its work
    assert list_tasks()["redis scripts"] is TaskStatus.RESTARTING
    assert await scripts.call(UNFLUSHED, 1, "none", "a", "b", 10) == []
    await until(lambda: list_tasks()["redis scripts"] is TaskStatus.RUNNING, 2)


async def test_a_fault_of_ours_is_no_outage_and_fails_only_its_caller(redis: Client) -> None:
    wrong = redis.scripts.call(UNFLUSHED, 1, object())
    good, bad = await asyncio.gather(call(redis), wrong, return_exceptions=True)
    assert good == []
    assert isinstance(bad, TypeError)
    with pytest.raises(TypeError), redis.translate_errors():
        await redis.set("key", object())  # type: ignore[arg-type]
    assert redis.guard.allows_calls()


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "redis://:hun/ter2@127.0.0.1:6379/0",
        "redis://:hun#ter2@127.0.0.1:6379/0",
        "redis://user:12345#hunter@127.0.0.1:6379/0",
        "redis://:12345/hunter@127.0.0.1:6379/0",
        "redis://127.0.0.1:port/0",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(StartupError) as raised:
        RedisLink(address, timeout_seconds=1, max_connections=1)
    text = str(raised.value)
    assert "\n" not in text
    assert not any(part in text for part in ("hun", "ter2", "12345"))
