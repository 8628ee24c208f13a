"""Live events on sockets: framed by hand, never for who is signed out, newest for who is slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.frames import Frame, Opcode

from graph.engine.operations import Request
from models import AccountTier, Role
from resolvers.context import Context, Runtime, Viewer
from server.graphql.delivery.live_delivery import LiveDelivery
from server.graphql.transport import encode_size
from server.graphql.websocket import GraphQLOverWebSocket
from services.redis.hub import Hub
from services.telemetry import live_metrics, metrics
from services.telemetry.access_log import AccessLog
from services.telemetry.live_metrics import LiveMetrics, SampleReducer
from tests.support.api_client import Socket, build_silent_app, serve_app, token_for
from tests.support.clock import Clock
from tests.support.processes import until
from tests.support.runtimes import with_changes
from tests.support.slow_clients import open_deaf_client, serve_patiently
from tests.support.sockets import issue_token, open_client_sockets

_POINT = "points { at requestsPerSecond p50Ms p95Ms p99Ms cache { level hits misses hitRate } }"
_WIDE_POINTS = " ".join(f"p{number}: {_POINT}" for number in range(20))
WIDE = f"subscription {{ liveMetrics {{ cursor gap {_WIDE_POINTS} }} }}"
LIVE = "subscription { liveMetrics { cursor gap points { requestsPerSecond } } }"


@pytest.fixture
async def own(runtime: Runtime, clock: Clock) -> AsyncIterator[Runtime]:
    """A process with a hub of this test's own."""
    hub = Hub(runtime.redis, "metrics:delivery", SampleReducer)
    yield with_changes(runtime, ops={"metrics_hub": hub, "live_metrics": LiveMetrics("one", clock)})
    await hub.aclose()


def build_quiet_app(own: Runtime) -> Starlette:
    """Sockets alone: no worker publishes beside the test."""
    log = AccessLog(enabled=False)
    endpoint = GraphQLOverWebSocket(build_silent_app(own).state.operations, own, log=log)
    return Starlette(routes=[WebSocketRoute("/graphql", endpoint)])


async def publish(own: Runtime, clock: Clock, count: int = 1) -> None:
    for _ in range(count):
        clock.now += 1
        sample = own.ops.live_metrics.take_sample()
        await own.ops.metrics_hub.publish(live_metrics.encode(sample))


async def receive_event(socket: Socket) -> dict[str, object]:
    message = await socket.receive()
    assert message["type"] == "next", message
    event: dict[str, object] = message["payload"]["data"]["liveMetrics"]
    return event


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_frames_are_those_of_the_protocol(size: int) -> None:
    payload = b"x" * size
    expected = Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert b"\x81" + encode_size(size) + payload == expected


async def test_everybody_gets_every_event_under_an_id_of_their_own(
    own: Runtime, clock: Clock
) -> None:
    ids = ["1", 'a "quoted" one', "ü" * 40]
    async with serve_app(build_quiet_app(own), own.settings) as server, AsyncExitStack() as stack:
        opened = await stack.enter_async_context(
            open_client_sockets(server, 2, token_for(own, Role.OPERATOR))
        )
        await publish(own, clock)
        for socket in opened:
            for id_ in ids:
                await socket.subscribe(id_, LIVE)
        for second in range(3):
            texts = set()
            for socket in opened:
                messages = [await socket.receive() for _ in ids]
                assert sorted(one["id"] for one in messages) == sorted(ids)
                texts |= {json.dumps(one["payload"]) for one in messages}
            assert len(texts) == 1, second
            await publish(own, clock)


async def test_a_client_that_stops_reading_delays_nobody_and_then_gets_the_newest(
    own: Runtime, clock: Clock
) -> None:
    app, token = build_quiet_app(own), issue_token(own)
    skipped = metrics.REGISTRY.get_sample_value("live_events_skipped_total") or 0.0
    async with (
        serve_patiently(app, own.settings, 60) as served,
        open_deaf_client(served.port, token) as deaf,
        open_deaf_client(served.port, token) as eager,
    ):
        eager.connection.transport.resume_reading()
        await publish(own, clock)
        for client in (deaf, eager):
            await client.subscribe("live", WIDE)
        assert (await receive_event(eager))["gap"] is False
        # when a hundred events come, of which one client reads none
        for _ in range(100):
            await publish(own, clock)
            newest = await receive_event(eager)
            assert newest["gap"] is False
        # then the server has a buffer's worth and one event for it
        size = len(json.dumps(newest))
        assert served.buffered_bytes <= 16_384 + size + 1_000
        assert (metrics.REGISTRY.get_sample_value("live_events_skipped_total") or 0) > skipped
        # and once it reads, what was under way, then the newest at once, with the gap told
        deaf.connection.transport.resume_reading()
        events = [await receive_event(deaf)]
        while events[-1]["cursor"] != newest["cursor"]:
            events.append(await receive_event(deaf))
        assert [event["gap"] for event in events] == [False] * (len(events) - 1) + [True]
        assert len(events) < 60
        # and then it is like all others
        await publish(own, clock)
        after = await receive_event(deaf)
        assert after["gap"] is False
        assert after["cursor"] == (await receive_event(eager))["cursor"]


async def test_a_thousand_clients_that_stop_reading_delay_nobody(
    own: Runtime, clock: Clock
) -> None:
    token = issue_token(own)
    allowed = own.settings.model_copy(
        update={
            "sockets_per_viewer": 2_000,
            "sockets_per_address": 2_000,
            "connections_per_address": 2_000,
        }
    )
    app = build_quiet_app(with_changes(own, settings=allowed))
    async with serve_patiently(app, allowed, 60) as served, AsyncExitStack() as stack:
        deaf = [
            await stack.enter_async_context(open_deaf_client(served.port, token))
            for _ in range(1_000)
        ]
        eager = await stack.enter_async_context(open_deaf_client(served.port, token))
        eager.connection.transport.resume_reading()
        await publish(own, clock)
        for client in [*deaf, eager]:
            await client.subscribe("live", WIDE)
        await receive_event(eager)
        for _ in range(30):
            await publish(own, clock)
            newest = await receive_event(eager)
            assert newest["gap"] is False
        size = len(json.dumps(newest))
        assert served.buffered_bytes <= 1_001 * (16_384 + size + 1_000)
        # and each gets the newest once it reads
        for client in deaf[::100]:
            client.connection.transport.resume_reading()
            while (await receive_event(client))["cursor"] != newest["cursor"]:
                pass


async def test_nothing_is_delivered_after_a_stop(own: Runtime, clock: Clock) -> None:
    """A sign-out stops the delivery at once; the task that waits for it ends later."""

    class Recorder:
        is_writable = True

        def __init__(self) -> None:
            self.written: list[bytes] = []

        def write_text(self, parts: tuple[bytes, ...]) -> None:
            self.written.append(b"".join(parts))

        def add_writer(self, on_writable: object) -> None: ...

        def remove_writer(self, on_writable: object) -> None: ...

    app = build_silent_app(own)
    operations = app.state.operations
    viewer = Viewer("user_1", Role.OPERATOR, AccountTier.FREE, "login_1")
    context = Context(own, viewer)
    request = operations.prepare(Request(LIVE, {}), context)
    stream = operations.subscribe(request, context)
    assert await stream.open()
    wire = Recorder()
    delivery = LiveDelivery(stream, wire, "a")
    running = asyncio.create_task(delivery.run())
    await publish(own, clock)
    await until(lambda: len(wire.written) == 1)
    # when it is stopped, and something is published before anybody else had a turn
    delivery.stop()
    await publish(own, clock, 2)
    await asyncio.sleep(0.05)
    assert len(wire.written) == 1
    assert not running.done()  # its owner cancels it
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not own.ops.metrics_hub._subscriptions
    assert len(operations._audiences) == 0


async def test_closed_sockets_leave_no_subscription_behind(own: Runtime, clock: Clock) -> None:
    async with serve_app(build_quiet_app(own), own.settings) as server:
        token = token_for(own, Role.OPERATOR)
        async with open_client_sockets(server, 3, token) as opened:
            await publish(own, clock)
            for number, socket in enumerate(opened):
                await socket.subscribe("live", LIVE)
                await receive_event(socket)
                if number == 0:
                    await socket.send({"type": "complete", "id": "live"})
                elif number == 1:
                    socket.connection.transport.abort()
            await until(lambda: len(own.ops.metrics_hub._subscriptions) == 1)
            await publish(own, clock)
            await receive_event(opened[2])
        await until(lambda: not own.ops.metrics_hub._subscriptions)


async def test_a_hub_that_closes_completes_the_subscription(own: Runtime, clock: Clock) -> None:
    async with serve_app(build_quiet_app(own), own.settings) as server:
        async with open_client_sockets(server, 1, token_for(own, Role.OPERATOR)) as (socket,):
            await publish(own, clock)
            await socket.subscribe("live", LIVE)
            await receive_event(socket)
            await own.ops.metrics_hub.aclose()
            assert await socket.receive() == {"type": "complete", "id": "live"}
