"""Subscriptions that share executions: who shares, who does not, and what each event sees."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry
from strawberry import Parent

from graph.base.fields import batched, computed, plain, resolver, subscription
from graph.base.info import Info
from graph.engine.error_behavior import ErrorBehavior
from graph.engine.live_streams import LiveStream
from graph.engine.operations import Answer, Operations, Request
from graph.schema import CONFIG
from models import AccountTier, Role
from resolvers.context import Context, Runtime, Viewer
from services.errors import NotFound, TooManyStreams
from services.feed import Feed
from tests.support.operations import open_operations

ASK = "subscription { news { number } }"


@dataclass
class Event:
    number: int
    key: Hashable = None


@dataclass
class World:
    """What the schema below reads, and what was executed."""

    executed: list[tuple[int, str | None]] = field(default_factory=list)
    stored: str = "old"
    feeds: list[ListFeed] = field(default_factory=list)
    is_full: bool = False
    fails_at: int | None = None


class ListFeed(Feed[Event]):
    """Events as a test gives them."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.is_closed = False

    async def open(self) -> None:
        if WORLD.is_full:
            raise TooManyStreams("Too many.", retry_after_seconds=1)
        WORLD.feeds.append(self)

    def give(self, *events: Event) -> None:
        self.events += events
        self._on_ready()

    def take(self) -> Event | None:
        if self.events and self.events[0].number == WORLD.fails_at:
            raise NotFound("It is gone.")
        return self.events.popleft() if self.events else None

    @property
    def is_ended(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def share_key(self, event: Event) -> Hashable | None:
        return event.key


WORLD = World()


@pytest.fixture(autouse=True)
def world() -> World:
    WORLD.__init__()  # type: ignore[misc]
    return WORLD


def _number(event: Parent[Event], info: Info) -> int:
    WORLD.executed.append((event.number, info.context.viewer_id))
    return event.number


def _scaled(event: Parent[Event], by: int = 1) -> int:
    return event.number * by


async def _stored(events: Parent[list[Event]], info: Info) -> list[str]:
    await asyncio.sleep(0)
    return [WORLD.stored for _ in events]


def _mine(event: Parent[Event], info: Info) -> str:
    return str(info.context.viewer_id)


def _broken(event: Parent[Event]) -> int:
    raise NotFound("It is broken.")


@strawberry.type
class News:
    number: int = computed(_number, "-")
    scaled: int = computed(_scaled, "-")
    stored: str = batched(_stored, "-")
    mine: str = computed(_mine, "-", is_private=True)
    broken: int = computed(_broken, "-")
    key: str | None = plain("-")


def _news(info: Info, from_number: int = 0) -> AsyncIterator[Event]:
    return ListFeed()


async def _one(info: Info) -> int:
    return 1


@strawberry.type
class Query:
    one: int = resolver(_one, "-")


@strawberry.type
class Subscription:
    news: News = subscription(_news, "-", requires=Role.USER)


SCHEMA = strawberry.Schema(query=Query, subscription=Subscription, config=CONFIG)


@pytest.fixture(params=["plan", "core"])
def operations(request: pytest.FixtureRequest) -> Operations:
    return open_operations(SCHEMA, request.param)


def viewer(name: str = "ada", role: Role = Role.USER) -> Viewer:
    return Viewer(f"user_{name}", role, AccountTier.FREE, f"login_{name}")


class Subscribers:
    """Opens subscriptions of one process, each with a feed of its own."""

    def __init__(self, operations: Operations, runtime: Runtime) -> None:
        self.operations = operations
        self.runtime = runtime
        self.streams: list[LiveStream[Answer]] = []

    async def open(
        self,
        query: str = ASK,
        by: Viewer | None = None,
        on_error: ErrorBehavior = ErrorBehavior.PROPAGATE,
        **variables: Any,
    ) -> LiveStream[Answer]:
        context = Context(self.runtime, by or viewer())
        prepared = self.operations.prepare(Request(query, variables, on_error=on_error), context)
        assert not isinstance(prepared, Answer), prepared.errors
        stream = self.operations.subscribe(prepared, context)
        assert await stream.open()
        self.streams.append(stream)
        return stream

    async def tell(self, number: int) -> list[Answer]:
        """Give every feed the same event; returns the answer of each stream."""
        for feed in WORLD.feeds:
            feed.give(Event(number, key=number))
        return [await take(stream) for stream in self.streams]

    @property
    def audiences(self) -> int:
        return len(self.operations._audiences)


@pytest.fixture
async def subscribers(operations: Operations, runtime: Runtime) -> AsyncIterator[Subscribers]:
    opened = Subscribers(operations, runtime)
    yield opened
    for stream in opened.streams:
        stream.close()
    assert opened.audiences == 0


async def take(stream: LiveStream[Answer]) -> Answer:
    """The next answer; it may have to be executed first."""
    async with asyncio.timeout(5):
        while (answer := stream.take()) is None:
            await asyncio.sleep(0.001)
    return answer


async def test_equal_subscriptions_share_one_execution_and_one_encoding(
    subscribers: Subscribers,
) -> None:
    # given many viewers with the same rights
    for number in range(20):
        await subscribers.open(by=viewer(f"v{number}"))
    # when two events come
    for number in (1, 2):
        answers = await subscribers.tell(number)
        # then each was executed once, in nobody's name, and everybody has the same bytes
        assert len({id(answer.encoded()) for answer in answers}) == 1
        assert answers[0].encoded() == b'{"data":{"news":{"number":%d}}}' % number
    assert WORLD.executed == [(1, ""), (2, "")]
    assert subscribers.audiences == 1


@pytest.mark.parametrize(
    "other",
    [
        {"by": viewer(role=Role.EDITOR)},
        {"query": "subscription { news { number key } }"},
        {"on_error": ErrorBehavior.NULL},
    ],
    ids=["role", "selection", "error behaviour"],
)
async def test_unequal_subscriptions_share_nothing(
    subscribers: Subscribers, other: dict[str, Any]
) -> None:
    await subscribers.open()
    await subscribers.open(**other)
    await subscribers.tell(1)
    assert len(WORLD.executed) == 2
    assert subscribers.audiences == 2


async def test_variables_of_the_selection_separate_and_those_of_the_source_do_not(
    subscribers: Subscribers,
) -> None:
    ask = """subscription ($from: Int! = 0, $times: Int! = 1) {
      news(fromNumber: $from) { number scaled(by: $times) } }"""
    for variables in ({"from": 1}, {"from": 2}, {"from": 3, "times": 2}):
        await subscribers.open(ask, **variables)
    answers = await subscribers.tell(3)
    assert [answer.body()["data"]["news"]["scaled"] for answer in answers] == [3, 3, 6]
    assert len(WORLD.executed) == 2


async def test_a_personal_selection_is_shared_by_one_viewers_devices_alone(
    subscribers: Subscribers,
) -> None:
    ask = "subscription { news { number mine } }"
    for name in ("ada", "bob", "ada"):
        await subscribers.open(ask, viewer(name))
    answers = await subscribers.tell(1)
    mine = [answer.body()["data"]["news"]["mine"] for answer in answers]
    assert mine == ["user_ada", "user_bob", "user_ada"]
    assert sorted(WORLD.executed) == [(1, "user_ada"), (1, "user_bob")]


async def test_an_event_sees_what_changed_after_the_one_before(subscribers: Subscribers) -> None:
    for _ in range(3):
        await subscribers.open("subscription { news { number stored } }")
    for text in ("old", "new"):
        WORLD.stored = text
        for answer in await subscribers.tell(1 if text == "old" else 2):
            assert answer.body()["data"]["news"]["stored"] == text
    assert len(WORLD.executed) == 2


async def test_events_without_a_key_are_each_subscribers_own(subscribers: Subscribers) -> None:
    for name in ("ada", "bob"):
        await subscribers.open(by=viewer(name))
    for feed in WORLD.feeds:
        feed.give(Event(7))
    for stream in subscribers.streams:
        assert (await take(stream)).body() == {"data": {"news": {"number": 7}}}
    assert WORLD.executed == [(7, "user_ada"), (7, "user_bob")]
    assert subscribers.audiences == 0


async def test_a_viewer_with_new_rights_changes_the_audience(subscribers: Subscribers) -> None:
    stream, _ = await subscribers.open(), await subscribers.open()
    await subscribers.tell(1)
    assert subscribers.audiences == 1
    stream._subscriber.context.viewer = viewer(role=Role.EDITOR)
    await subscribers.tell(2)
    assert subscribers.audiences == 2
    assert [number for number, _ in WORLD.executed] == [1, 2, 2]


async def test_failures_are_shared_and_name_no_members_request(subscribers: Subscribers) -> None:
    for _ in range(2):
        await subscribers.open("subscription { news { number broken } }")
    first, second = await subscribers.tell(1)
    assert first.encoded() is second.encoded()
    (error,) = first.body()["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["news", "broken"], "NOT_FOUND")
    assert first.started


async def test_a_slow_subscriber_gets_answers_that_are_no_longer_remembered(
    subscribers: Subscribers,
) -> None:
    eager, slow = await subscribers.open(), await subscribers.open()
    for number in range(40):
        for feed in WORLD.feeds:
            feed.give(Event(number, key=number))
        await take(eager)
    for number in range(40):
        assert (await take(slow)).body() == {"data": {"news": {"number": number}}}


# ---- ends


async def test_a_source_that_cannot_be_opened_is_a_refusal(
    operations: Operations, subscribers: Subscribers
) -> None:
    WORLD.is_full = True
    stream = await subscribers.open()
    assert not stream.is_ended
    answer = await take(stream)
    assert (answer.started, answer.errors[0]["extensions"]["code"]) == (False, "TOO_MANY_STREAMS")
    assert stream.is_ended
    assert stream.take() is None


async def test_a_source_that_fails_ends_with_a_refusal(subscribers: Subscribers) -> None:
    stream = await subscribers.open()
    WORLD.fails_at = 2
    WORLD.feeds[0].give(Event(1), Event(2))
    assert (await take(stream)).started
    assert not (await take(stream)).started
    assert stream.is_ended
    assert WORLD.feeds[0].is_closed


async def test_a_closed_stream_gives_nothing_and_closes_its_source(
    subscribers: Subscribers,
) -> None:
    stream, other = await subscribers.open(), await subscribers.open()
    calls: list[int] = []
    stream.listen(lambda: calls.append(1))
    for feed in WORLD.feeds:
        feed.give(Event(1, key=1))
    assert calls == [1]
    stream.close()
    assert stream.take() is None
    assert stream.is_ended
    assert [feed.is_closed for feed in WORLD.feeds] == [True, False]
    # and whoever shares its executions goes on
    assert (await take(other)).started
    stream.close()


async def test_an_event_that_is_being_executed_is_dropped_by_a_close(
    subscribers: Subscribers,
) -> None:
    stream = await subscribers.open("subscription { news { stored } }")
    WORLD.feeds[0].give(Event(1, key=1))
    assert stream.take() is None  # it waits for what is loaded
    stream.close()
    await asyncio.sleep(0.02)
    assert stream.take() is None


# ---- iterated


async def test_a_feed_can_be_iterated(operations: Operations, runtime: Runtime) -> None:
    context = Context(runtime, viewer())
    prepared = operations.prepare(Request("subscription { news { number stored } }", {}), context)
    assert not isinstance(prepared, Answer)
    stream = operations.subscribe(prepared, context)
    received: list[Any] = []

    async def read() -> None:
        async for answer in stream:
            received.append(answer.body()["data"]["news"]["number"])

    reading = asyncio.create_task(read())
    async with asyncio.timeout(5):
        while not WORLD.feeds:
            await asyncio.sleep(0.001)
        (feed,) = WORLD.feeds
        feed.give(Event(1, key=1), Event(2, key=2))
        while len(received) < 2:
            await asyncio.sleep(0.001)
        feed.give(Event(3, key=3))
        while len(received) < 3:
            await asyncio.sleep(0.001)
        feed.close()
        feed.give()
        await reading
    assert received == [1, 2, 3]
    await stream.aclose()
    assert len(operations._audiences) == 0


async def test_strangers_are_refused(operations: Operations, runtime: Runtime) -> None:
    context = Context(runtime)
    prepared = operations.prepare(Request(ASK, {}), context)
    assert not isinstance(prepared, Answer)
    answers = [answer async for answer in operations.subscribe(prepared, context)]
    assert [answer.errors[0]["extensions"]["code"] for answer in answers] == ["UNAUTHENTICATED"]
    assert not WORLD.feeds
