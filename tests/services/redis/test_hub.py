from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from services.embedded import servers
from services.errors import InvalidCursor, UpstreamUnavailable
from services.redis import hub as broadcast
from services.redis import pool
from services.redis.hub import Hub, Message, Subscription, format_cursor, parse_cursor
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support import swallowed_cancellation
from tests.support.fake_provider import free_port
from tests.support.processes import until
from tests.support.swallowed_cancellation import assert_ends_when_cancelled

STREAM = "test:live"


class Unreduced:
    """A fold that makes every message a round of its own."""

    def __init__(self) -> None:
        self._round = -1

    def __call__(self, body: bytes, at_ms: int) -> tuple[int, int] | None:
        self._round += 1
        return None if body == b"junk" else (self._round, int(body))


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Hub[int]]:
    redis = pool.connect(settings)
    hub: Hub[int] = Hub(redis, STREAM, Unreduced)
    try:
        yield hub
    finally:
        await hub.aclose()
        await redis.aclose()


@pytest.fixture
async def hub(settings: Settings, redis: Client) -> AsyncIterator[Hub[int]]:
    async with opened(settings) as hub:
        yield hub


async def publish(hub: Hub[int], *values: int) -> None:
    for value in values:
        await hub.publish(str(value).encode())


async def following(subscription: Subscription[int]) -> tuple[list[int], bool]:
    async with asyncio.timeout(5):
        batch = await anext(subscription)
    return [message.value for message in batch.messages], batch.gap


def message(number: int, round_: int | None = None) -> Message[int]:
    return Message((number, 0), number if round_ is None else round_, number)


async def test_what_is_published_reaches_every_subscriber(hub: Hub[int]) -> None:
    with hub.subscribe() as one, hub.subscribe() as other:
        await publish(hub, 1)
        assert await following(one) == ([1], False)
        assert await following(other) == ([1], False)
        await publish(hub, 2)
        assert await following(one) == ([2], False)


async def test_a_new_subscriber_starts_with_the_newest_state(hub: Hub[int]) -> None:
    await publish(hub, 1, 2, 3)
    with hub.subscribe() as first:
        assert await following(first) == ([3], False)
        with hub.subscribe(capacity=5) as later:
            assert await following(later) == ([3], False)


async def test_a_stalled_subscriber_gets_the_newest_and_a_gap(hub: Hub[int]) -> None:
    # given one who reads nothing and one who reads all
    with hub.subscribe() as stalled, hub.subscribe() as eager:
        seen = []
        for value in range(50):
            await publish(hub, value)
            seen.append((await following(eager))[0])
        # then the first holds one message only, the newest
        assert seen == [[value] for value in range(50)]
        assert await following(stalled) == ([49], True)
        # and once it reads again nothing is amiss
        await publish(hub, 50)
        assert await following(stalled) == ([50], False)


async def test_a_thousand_stalled_subscribers_hold_one_message_each(hub: Hub[int]) -> None:
    async with AsyncExitStack() as stack:
        stalled = [stack.enter_context(hub.subscribe()) for _ in range(1000)]
        eager = stack.enter_context(hub.subscribe())
        for value in range(20):
            await publish(hub, value)
            await following(eager)
        assert {len(one._slot) for one in stalled} == {1}
        assert [await following(one) for one in stalled] == [([19], True)] * 1000


async def test_room_for_more_waits_until_it_is_full() -> None:
    subscription: Subscription[int] = Subscription(capacity=3)
    subscription.put(message(1))
    assert await following(subscription) == ([1], False)  # the first one at once
    for number in (2, 3, 4):
        subscription.put(message(number))
    assert await following(subscription) == ([2, 3, 4], False)
    for number in (5, 6, 7, 8):
        subscription.put(message(number))
    assert await following(subscription) == ([6, 7, 8], True)


async def test_messages_of_one_round_replace_each_other_without_a_gap() -> None:
    subscription: Subscription[int] = Subscription(capacity=1)
    subscription.put(message(1, round_=0))
    subscription.put(message(2, round_=0))
    assert await following(subscription) == ([2], False)
    subscription.put(message(3, round_=0))  # a late part of what was told
    subscription.put(message(4, round_=1))
    assert await following(subscription) == ([4], False)


async def test_resuming_loses_nothing(hub: Hub[int]) -> None:
    # given a subscriber who saw message 2 and went away
    await publish(hub, 1, 2)
    with hub.subscribe() as before:
        async with asyncio.timeout(5):
            batch = await anext(before)
    assert batch.messages[-1].value == 2
    await publish(hub, 3, 4, 5)
    # when it comes back
    missed = await hub.replay_after(parse_cursor(batch.cursor))
    # then it gets everything since
    assert [one.value for one in missed.messages] == [3, 4, 5]
    assert missed.gap is False
    assert (await hub.replay_after(missed.messages[-1].id)).messages == []


async def test_resuming_behind_what_was_trimmed_tells_the_gap(hub: Hub[int], redis: Client) -> None:
    await publish(hub, 1, 2, 3)
    first = (await hub.replay_after((0, 0))).messages[0]
    await redis.xtrim(STREAM, maxlen=1, approximate=False)
    missed = await hub.replay_after(first.id)
    assert ([one.value for one in missed.messages], missed.gap) == ([3], True)


async def test_resuming_on_an_emptied_stream_tells_the_gap(hub: Hub[int]) -> None:
    missed = await hub.replay_after((1, 0))
    assert (missed.messages, missed.gap) == ([], True)


async def test_resuming_ahead_of_the_stream_tells_the_gap(hub: Hub[int]) -> None:
    await publish(hub, 1, 2)
    newest = (await hub.replay_after((0, 0))).messages[-1].id
    for ahead in ((newest[0], newest[1] + 1), (newest[0] + 1, 0), (10**15 - 1, 0)):
        missed = await hub.replay_after(ahead)
        assert (missed.messages, missed.gap) == ([], True)
    assert (await hub.replay_after(newest)).gap is False


@pytest.mark.parametrize("is_empty", [False, True])
async def test_a_stream_that_was_rebuilt_is_followed_from_its_beginning(
    hub: Hub[int], redis: Client, is_empty: bool
) -> None:
    # given a follower, and one that came back with a cursor of the stream
    await publish(hub, 1)
    with hub.subscribe() as one, hub.subscribe() as other:
        assert await following(one) == ([1], False)
        other.skip_to((await hub.replay_after((0, 0))).messages[-1].id)
        # when Redis is another one, whose clock is behind, and the connection breaks
        await redis.delete(STREAM)
        if not is_empty:
            await redis.xadd(STREAM, {"body": b"2"}, id="5-0")
        for client in await redis.client_list(_type="normal"):
            if client["cmd"] == "xread":
                await redis.client_kill_filter(_id=str(client["id"]))
        if is_empty:
            await until(lambda: (hub._last, one.after) == ((0, 0), (0, 0)), 5)
            await redis.xadd(STREAM, {"body": b"2"}, id="5-0")
        # then both get what is there now, and are told of the gap
        assert await following(one) == ([2], True)
        assert await following(other) == ([2], True)


async def append(redis: Client, *seconds: float) -> None:
    """Messages of these times."""
    for at in seconds:
        await redis.xadd(STREAM, {"body": str(int(at)).encode()}, id=f"{int(at * 1000)}-0")


@pytest.fixture
async def regular(settings: Settings, redis: Client) -> AsyncIterator[Hub[int]]:
    """A hub of a stream that is written every second."""
    hub: Hub[int] = Hub(redis, STREAM, Unreduced, longest_step_ms=2_500)
    yield hub
    await hub.aclose()


async def test_seconds_in_which_nobody_wrote_are_a_gap(regular: Hub[int], redis: Client) -> None:
    with regular.subscribe() as subscription:
        for second, gap in ((1, False), (2, False), (3.4, False), (6, True), (7, False)):
            await append(redis, second)
            assert await following(subscription) == ([int(second)], gap)


async def test_a_gap_between_buffered_messages_is_told(regular: Hub[int], redis: Client) -> None:
    await append(redis, 1)
    with regular.subscribe(capacity=3) as subscription:
        assert await following(subscription) == ([1], False)
        await append(redis, 2, 9, 10)
        assert await following(subscription) == ([2, 9, 10], True)
        await append(redis, 11, 12, 13)
        assert await following(subscription) == ([11, 12, 13], False)


@pytest.mark.parametrize(
    ("cursor", "values", "gap"),
    [(1, [2, 3, 8, 9], True), (3, [8, 9], True), (8, [9], False), (9, [], False)],
)
async def test_a_gap_within_what_was_missed_is_told(
    regular: Hub[int], redis: Client, cursor: int, values: list[int], gap: bool
) -> None:
    await append(redis, 1, 2, 3, 8, 9)
    missed = await regular.replay_after((cursor * 1000, 0))
    assert ([one.value for one in missed.messages], missed.gap) == (values, gap)


@pytest.mark.parametrize(
    ("seconds", "values", "gap"),
    [(2, [9, 10], False), (7, [8, 9, 10], False), (60, [1, 2, 8, 9, 10], True)],
)
async def test_recent_messages_count_back_from_the_newest(
    regular: Hub[int], redis: Client, seconds: int, values: list[int], gap: bool
) -> None:
    await append(redis, 1, 2, 8, 9, 10)
    recent = await regular.read_recent(seconds)
    assert ([one.value for one in recent.messages], recent.gap) == (values, gap)


async def test_an_empty_stream_has_nothing_recent(regular: Hub[int]) -> None:
    assert await regular.read_recent(60) == ([], False)


async def test_many_subscribers_get_a_message_in_turns(hub: Hub[int]) -> None:
    """Others of the loop run between: here a counter of turns."""
    turns, delivered_at = 0, []
    async with AsyncExitStack() as stack:
        opened = [stack.enter_context(hub.subscribe()) for _ in range(640)]
        for one in opened:
            one.listen(lambda: delivered_at.append(turns))
        await publish(hub, 1)
        async with asyncio.timeout(5):
            while len(delivered_at) < 640:
                turns += 1
                await asyncio.sleep(0)
    assert len(set(delivered_at)) >= 9
    assert max(delivered_at.count(turn) for turn in set(delivered_at)) <= 64


async def test_the_stream_is_capped(hub: Hub[int], redis: Client) -> None:
    for start in range(0, 1500, 100):
        await asyncio.gather(*(publish(hub, value) for value in range(start, start + 100)))
    assert 600 <= await redis.xlen(STREAM) <= 700


async def test_unreadable_entries_are_passed_over(hub: Hub[int]) -> None:
    with hub.subscribe() as subscription:
        await hub.publish(b"junk")
        await publish(hub, 7)
        assert await following(subscription) == ([7], False)


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "1-2-3", "-1-0", "1-0\n", "9" * 16 + "-0"])
def test_cursors_are_checked(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        parse_cursor(cursor)
    assert format_cursor(parse_cursor("12-3")) == "12-3"


async def test_closing_ends_every_subscription(settings: Settings, redis: Client) -> None:
    async with opened(settings) as hub:
        with hub.subscribe() as subscription:
            waiting = asyncio.create_task(anext(subscription, None))
            await asyncio.sleep(0.02)
            await hub.aclose()
            assert await asyncio.wait_for(waiting, 1) is None
        with hub.subscribe() as late:
            assert await anext(late, None) is None
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert f"hub {STREAM}" not in names


async def test_closing_ends_a_reading_that_cannot_be_cancelled(
    settings: Settings, redis: Client
) -> None:
    # given a hub whose reading is under way
    async with swallowed_cancellation.connect(settings) as deaf:
        hub: Hub[int] = Hub(deaf, STREAM, Unreduced)
        with hub.subscribe() as subscription:
            await publish(hub, 1)
            assert await following(subscription) == ([1], False)
            # when the cancelling is swallowed, it ends all the same
            async with asyncio.timeout(15):
                await hub.aclose()
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert f"hub {STREAM}" not in names


async def test_who_was_cancelled_waits_for_no_message() -> None:
    # given a reader whose being cancelled is swallowed by something it calls
    subscription: Subscription[int] = Subscription(capacity=1)
    # when it is cancelled, then it ends all the same
    await assert_ends_when_cancelled(subscription)


async def test_the_hub_survives_a_redis_restart(settings: Settings, tmp_path: Path) -> None:
    # given a hub with a subscriber on a Redis of its own
    binary = servers.find_redis_server(None)
    port = free_port()
    server = await asyncio.to_thread(
        servers.start_redis, tmp_path / "1", binary=binary, port=port, persist=False
    )
    own = settings.model_copy(update={"redis_url": server.uri})
    async with opened(own) as hub:
        with hub.subscribe() as subscription:
            await publish(hub, 1)
            assert await following(subscription) == ([1], False)
            # when Redis dies, publishing says so at once
            await asyncio.to_thread(server.stop)
            started = time.monotonic()
            with pytest.raises(UpstreamUnavailable):
                await publish(hub, 2)
            assert time.monotonic() - started < 1
            # and when an empty one comes back, the stream goes on and tells the gap
            server = await asyncio.to_thread(
                servers.start_redis, tmp_path / "2", binary=binary, port=port, persist=False
            )
            await asyncio.sleep(0.05)  # the pause after a refusal may be longer than its start
            await publish(hub, 3)
            assert await following(subscription) == ([3], True)
            await publish(hub, 4)
            assert await following(subscription) == ([4], False)
    await asyncio.to_thread(server.stop)


async def test_too_many_subscribers_are_refused(hub: Hub[int]) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(broadcast.MAX_SUBSCRIBERS):
            stack.enter_context(hub.subscribe())
        with pytest.raises(broadcast.TooManyStreams):
            stack.enter_context(hub.subscribe())
    with hub.subscribe():
        pass
