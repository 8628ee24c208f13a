"""Watching a value: read once for all, told when it differs, the newest to who is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.errors import TooManyStreams
from services.watched_value import MAX_WATCHERS, ValueFeed, WatchedValue
from tests.support.processes import until


class Source:
    """A value, and how often it was read."""

    def __init__(self) -> None:
        self.value = 1.0
        self.reads = 0
        self.fails = False

    async def read(self) -> float:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails:
            raise ConnectionError
        return self.value


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def watched() -> AsyncIterator[WatchedValue[float]]:
    """One whose whole numbers count."""
    value: WatchedValue[float] = WatchedValue(
        "watched", differs=lambda one, other: int(one) != int(other), seconds=0.02
    )
    yield value
    await value.aclose()


async def following(feed: ValueFeed[float]) -> float:
    async with asyncio.timeout(5):
        return await anext(feed)


async def test_watchers_get_the_present_value_and_then_what_differs(
    watched: WatchedValue[float], source: Source
) -> None:
    one, other = watched.watch(source.read), watched.watch(source.read)
    assert [await following(one), await following(other)] == [1, 1]
    source.value = 1.5  # not worth telling
    reads = source.reads
    await until(lambda: source.reads >= reads + 2)
    assert one.take() is None
    source.value = 2.5
    assert [await following(one), await following(other)] == [2.5, 2.5]
    assert one.share_key(2.5) == other.share_key(2.5)


async def test_a_hundred_watchers_cost_one_reading(
    watched: WatchedValue[float], source: Source
) -> None:
    feeds = [watched.watch(source.read) for _ in range(100)]
    for feed in feeds:
        await following(feed)
    source.reads, source.value = 0, 2
    assert [await following(feed) for feed in feeds] == [2] * 100
    assert source.reads < 20


async def test_a_slow_watcher_gets_the_newest(watched: WatchedValue[float], source: Source) -> None:
    slow, eager = watched.watch(source.read), watched.watch(source.read)
    await following(slow)
    await following(eager)
    for value in (2, 3, 4):
        source.value = value
        assert await following(eager) == value
    assert await following(slow) == 4
    assert slow.take() is None


async def test_nothing_is_read_while_nobody_watches(
    watched: WatchedValue[float], source: Source
) -> None:
    feed = watched.watch(source.read)
    await following(feed)
    feed.close()
    feed.close()
    await asyncio.sleep(0.05)
    reads = source.reads
    await asyncio.sleep(0.1)
    assert source.reads == reads
    # and who comes next begins with the present value
    source.value = 7
    assert await following(watched.watch(source.read)) == 7


async def test_a_source_that_fails_is_read_again(
    watched: WatchedValue[float], source: Source
) -> None:
    feed = watched.watch(source.read)
    await following(feed)
    source.fails, reads = True, source.reads
    await until(lambda: source.reads > reads)
    source.fails, source.value = False, 2
    assert await following(feed) == 2


async def test_closing_ends_every_feed(watched: WatchedValue[float], source: Source) -> None:
    feed = watched.watch(source.read)
    await following(feed)
    waiting = asyncio.create_task(anext(feed, None))
    await asyncio.sleep(0.01)
    await watched.aclose()
    assert await asyncio.wait_for(waiting, 5) is None
    assert await anext(watched.watch(source.read), None) is None


async def test_too_many_watchers_are_refused(watched: WatchedValue[float], source: Source) -> None:
    feeds = [watched.watch(source.read) for _ in range(MAX_WATCHERS)]
    for feed in feeds:
        watched._feeds[feed] = None
    with pytest.raises(TooManyStreams):
        await watched.watch(source.read).open()
    feeds[0].close()
    await watched.watch(source.read).open()
