from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from resolvers.context import Runtime
from services.errors import TooManyStreams
from services.playback.keys import ProgressKeys
from services.playback.notifications import Changes, Listener, ProgressNotifications
from services.redis import pool
from services.redis.pool import Client
from tests.support.swallowed_cancellation import assert_ends_when_cancelled

KEYS = ProgressKeys(8)
ADA, BOB = "user_ada", "user_bob"
FILM, OTHER = "movie_1", "movie_2"


@pytest.fixture
async def notifications(runtime: Runtime) -> AsyncIterator[ProgressNotifications]:
    notifications = ProgressNotifications(runtime.redis, KEYS)
    yield notifications
    await notifications.aclose()


async def publish(redis: Client, user_id: str, playable_id: str) -> int:
    """How many connections heard of it."""
    channel = KEYS.changed(KEYS.shard(user_id))
    return int(await redis.publish(channel, f"{user_id} {playable_id}"))


async def next_of(listener: Listener) -> Changes:
    async with asyncio.timeout(10):
        return await anext(listener)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await condition():
            await asyncio.sleep(0.01)


async def subscribed_channels(redis: Client) -> set[bytes]:
    return set(await redis.pubsub_channels("progress:changed:*"))


async def test_a_listener_hears_of_its_users_changes(
    notifications: ProgressNotifications, redis: Client
) -> None:
    async with notifications.listen(ADA) as listener:
        # it begins with what may have been missed before it listened
        assert await next_of(listener) == Changes([], True)
        await publish(redis, BOB, FILM)
        await publish(redis, ADA, OTHER)
        assert await next_of(listener) == Changes([OTHER], False)


async def test_a_listener_of_one_title_hears_of_no_other(
    notifications: ProgressNotifications, redis: Client
) -> None:
    async with notifications.listen(ADA, FILM) as listener:
        await next_of(listener)
        await publish(redis, ADA, OTHER)
        await publish(redis, ADA, FILM)
        assert await next_of(listener) == Changes([FILM], False)


async def test_a_late_reader_gets_each_title_once(
    notifications: ProgressNotifications, redis: Client
) -> None:
    # given two listeners, one of which reads at once
    async with notifications.listen(ADA) as slow, notifications.listen(ADA) as quick:
        await next_of(slow), await next_of(quick)
        # when titles change many times
        for _ in range(50):
            for title in (FILM, OTHER):
                await publish(redis, ADA, title)
        seen: list[str] = []
        while FILM not in seen or OTHER not in seen:
            seen += (await next_of(quick)).playable_ids
        # then who reads late finds each once
        await publish(redis, ADA, "movie_last")
        while "movie_last" not in (await next_of(quick)).playable_ids:
            pass
        assert await next_of(slow) == Changes([FILM, OTHER, "movie_last"], False)


async def test_what_a_listener_holds_is_bounded() -> None:
    listener = Listener(lambda _: True)
    for number in range(1000):
        listener.put(f"movie_{number}")
    changes = await next_of(listener)
    assert changes == Changes([f"movie_{number}" for number in range(200)], True)


async def test_listeners_share_a_connection_that_ends_with_the_last(
    notifications: ProgressNotifications, redis: Client
) -> None:
    # given nobody listens
    assert await subscribed_channels(redis) == set()
    users = [f"user_{number}" for number in range(20)]
    channels = {KEYS.changed(KEYS.shard(user)).encode() for user in users}
    # when twenty do, of several shards
    listening = [notifications.listen(user) for user in users]
    for one in listening:
        await one.__aenter__()
    # then one connection hears their shards
    assert await subscribed_channels(redis) == channels
    assert await publish(redis, users[0], FILM) == 1
    # and when all but one have left, that one's alone, then nobody's
    for one in listening[1:]:
        await one.__aexit__(None, None, None)
    last = {KEYS.changed(KEYS.shard(users[0])).encode()}
    await until(lambda: is_subscribed(redis, last))
    await listening[0].__aexit__(None, None, None)
    await until(lambda: is_subscribed(redis, set()))
    assert notifications.is_connected is False
    # and it begins again for the next
    async with notifications.listen(ADA) as listener:
        assert await next_of(listener) == Changes([], True)
        await publish(redis, ADA, FILM)
        assert await next_of(listener) == Changes([FILM], False)


async def is_subscribed(redis: Client, channels: set[bytes]) -> bool:
    return await subscribed_channels(redis) == channels


async def test_after_a_break_everybody_may_have_missed_something(
    notifications: ProgressNotifications, redis: Client
) -> None:
    async with notifications.listen(ADA) as ada, notifications.listen(BOB, FILM) as bob:
        await next_of(ada), await next_of(bob)
        # when the connection is cut
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        # then each is told so, once it is heard again
        assert await next_of(ada) == Changes([], True)
        assert await next_of(bob) == Changes([], True)
        await publish(redis, ADA, FILM)
        assert await next_of(ada) == Changes([FILM], False)


async def test_without_redis_a_listener_waits(runtime: Runtime) -> None:
    # given a Redis that is away
    settings = runtime.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    notifications = ProgressNotifications(pool.connect(settings), KEYS)
    # when somebody listens
    async with notifications.listen(ADA) as listener:
        # then nothing is told but what may be read elsewhere, and it ends when it should
        assert await next_of(listener) == Changes([], True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await anext(listener)
        await notifications.aclose()
        assert [one async for one in listener] == []


async def test_closing_ends_every_listener(
    notifications: ProgressNotifications, redis: Client
) -> None:
    async with notifications.listen(ADA) as ada, notifications.listen(BOB) as bob:
        await next_of(ada)
        await notifications.aclose()
        assert [one async for one in ada] == []
        assert [one async for one in bob] == []
        async with notifications.listen(ADA) as late:
            assert [one async for one in late] == []
    await until(lambda: is_subscribed(redis, set()))


async def test_there_is_an_end_to_listeners(runtime: Runtime) -> None:
    notifications = ProgressNotifications(runtime.redis, KEYS, most_listeners=1)
    async with notifications.listen(ADA):
        with pytest.raises(TooManyStreams):
            async with notifications.listen(BOB):
                pass
    async with notifications.listen(BOB):
        pass
    await notifications.aclose()


async def test_who_was_cancelled_waits_for_no_news() -> None:
    # given a reader whose being cancelled is swallowed by something it calls
    listener = Listener(lambda _: True)
    # when it is cancelled, then it ends all the same
    await assert_ends_when_cancelled(listener)
