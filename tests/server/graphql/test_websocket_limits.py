"""What a socket may not do: be one of too many, be busy or idle without end, never read."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from models import Role
from resolvers.context import Runtime
from server.app import build_app
from server.graphql.transport import MAX_FRAGMENTS
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from tests.support import sockets as helpers
from tests.support.api_client import Socket, serve_app
from tests.support.processes import until
from tests.support.slow_clients import open_deaf_client, serve_patiently
from tests.support.sockets import (
    ASK,
    LIVE,
    count_closed,
    count_open_sockets,
    issue_token,
    open_client_sockets,
)

INTROSPECT = "{ __schema { types { name description fields { name description } } } }"
MANY = 15  # answers to that are far more than network and transport hold


# ---- how many


async def test_a_viewer_has_so_many_sockets(runtime: Runtime) -> None:
    none_open = count_open_sockets()
    async with helpers.serve_runtime(runtime, sockets_per_viewer=2) as server:
        before = count_closed(4429)
        async with open_client_sockets(server, 2, issue_token(runtime)) as (first, second):
            # when one more comes, by another sign-in of the same viewer
            async with server.socket() as third:
                other = {"authorization": f"Bearer {issue_token(runtime, login='login_two')}"}
                await third.send({"type": "connection_init", "payload": other})
                assert await third.closed() == (4429, "At most 2 sockets at once")
            assert count_closed(4429) == before + 1
            # then those before are as they were, and others may come
            for socket in (first, second):
                assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}
            async with (
                open_client_sockets(server, 1, issue_token(runtime, user="eve")),
                open_client_sockets(server, 3, None),
            ):
                pass
            # and one that renews its token is no further one
            token = {"authorization": f"Bearer {issue_token(runtime)}"}
            await first.send({"type": "ping", "payload": token})
            assert await first.receive() == {"type": "pong"}
        # and when they have gone there is room again
        await until(lambda: count_open_sockets() == none_open)
        async with open_client_sockets(server, 2, issue_token(runtime)):
            pass


async def test_an_address_has_so_many_sockets(runtime: Runtime) -> None:
    none_open = count_open_sockets()
    async with helpers.serve_runtime(runtime, sockets_per_address=3) as server:
        before = count_closed(429)
        async with open_client_sockets(server, 2, None), server.socket():
            with pytest.raises(InvalidStatus) as raised:
                async with server.socket():
                    pass
        assert raised.value.response.status_code == 429
        assert raised.value.response.headers["Retry-After"] == "30"
        assert count_closed(429) == before + 1
        await until(lambda: count_open_sockets() == none_open)
        async with open_client_sockets(server, 3, None):
            pass


# ---- how busy


async def flood(socket: Socket, messages: list[dict[str, Any]]) -> tuple[int | None, str]:
    with suppress(ConnectionClosed):
        for message in messages:
            await socket.send(message)
    return await socket.closed()


PAIR: list[dict[str, Any]] = [
    {"type": "subscribe", "id": "a", "payload": {"query": LIVE}},
    {"type": "complete", "id": "a"},
]
FLOODS: dict[str, list[dict[str, Any]]] = {
    "ping": [{"type": "ping"}] * 60,
    "pong": [{"type": "pong"}] * 60,
    "pairs": PAIR * 30,
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_of_messages_closes(runtime: Runtime, kind: str) -> None:
    none_open = count_open_sockets()
    async with helpers.serve_runtime(runtime, socket_messages_per_second=2) as server:
        async with server.socket() as socket:
            # one message to say hello, and seven more at once, are allowed
            await socket.initialised(issue_token(runtime))
            assert await flood(socket, FLOODS[kind]) == (4429, "Too many messages")
        await until(lambda: count_open_sockets() == none_open)


async def test_the_allowance_comes_back(runtime: Runtime) -> None:
    async with helpers.serve_runtime(runtime, socket_messages_per_second=20) as server:
        async with server.socket() as socket:
            await socket.initialised()
            for _ in range(70):
                await socket.send({"type": "pong"})
            await asyncio.sleep(1)
            for _ in range(25):  # 97 messages in all; at once they may be 80
                await socket.send({"type": "pong"})
            assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}


# ---- how long idle


async def test_a_stranger_who_asks_nothing_is_closed(runtime: Runtime) -> None:
    async with helpers.serve_runtime(runtime, socket_idle_seconds=1.5) as server:
        async with open_client_sockets(server, 1, None) as (idle,):
            assert await idle.closed() == (4408, "Nothing was asked for too long")
        # pings do not count, and what was asked does only while it runs
        async with open_client_sockets(server, 1, None) as (busy,):
            await busy.answer("1", ASK)
            closing = asyncio.create_task(busy.closed())
            with suppress(ConnectionClosed):  # between two looks
                while not closing.done():
                    await busy.connection.send('{"type": "pong"}')
                    await asyncio.sleep(0.02)
            assert (await closing).code == 4408


async def test_who_is_signed_in_may_be_idle(runtime: Runtime) -> None:
    async with helpers.serve_runtime(runtime, socket_idle_seconds=0.1) as server:
        async with open_client_sockets(server, 1, issue_token(runtime, role=Role.USER)) as (
            socket,
        ):
            assert await socket.is_silent(0.5)
            assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}


# ---- how large


async def frames(connection: ClientConnection, *sent: Frame) -> None:
    """Frames as they are, past the client library's own care."""
    for frame in sent:
        connection.transport.write(frame.serialize(mask=True, extensions=[]))
    await asyncio.sleep(0)


async def test_a_message_may_come_in_fragments(socket: Socket) -> None:
    text = b'{"type": "connection_init"}'
    parts = [Frame(Opcode.CONT, text[at : at + 1], fin=False) for at in range(1, len(text))]
    last = Frame(Opcode.CONT, b"")
    await frames(socket.connection, Frame(Opcode.TEXT, text[:1], fin=False), *parts, last)
    assert await socket.receive() == {"type": "connection_ack"}


async def test_fragments_add_up_to_one_message(socket: Socket) -> None:
    await socket.initialised()
    part = b"x" * 20_000
    more = [Frame(Opcode.CONT, part, fin=False)] * 3
    await frames(socket.connection, Frame(Opcode.TEXT, part, fin=False), *more)
    assert (await socket.closed()).code == 1009


async def test_empty_fragments_have_an_end(socket: Socket) -> None:
    await socket.initialised()
    empty = [Frame(Opcode.CONT, b"", fin=False)] * MAX_FRAGMENTS
    await frames(socket.connection, Frame(Opcode.TEXT, b"", fin=False), *empty)
    assert await socket.closed() == (1009, "Too many fragments")


async def test_a_flood_of_pings_below_the_protocol_closes(socket: Socket) -> None:
    await socket.initialised()
    await frames(socket.connection, *[Frame(Opcode.PING, b"x" * 125)] * 200)
    assert await socket.closed() == (1008, "Too many pings")


async def test_some_pings_below_the_protocol_are_answered(socket: Socket) -> None:
    for _ in range(5):
        async with asyncio.timeout(5):
            await (await socket.connection.ping())


async def test_text_that_is_no_utf8_closes(socket: Socket) -> None:
    await frames(socket.connection, Frame(Opcode.TEXT, b'{"type": "\xff"}'))
    assert (await socket.closed()).code == 1007


# ---- clients that do not read


async def test_a_client_that_does_not_read_is_cut_off(app: Starlette, settings: Settings) -> None:
    before = count_open_sockets()
    async with (
        serve_patiently(app, settings, 0.5) as served,
        open_deaf_client(served.port) as client,
    ):
        assert count_open_sockets() == before + 1
        # when it asks for far more than the network holds for it
        for number in range(MANY):
            await client.subscribe(str(number), INTROSPECT)
        # then the server is rid of it, without a word from the client
        await until(lambda: count_open_sockets() == before, 15)  # a ping's end would come after 20
        assert not served.server.server_state.connections


async def test_a_client_that_reads_by_fits_and_starts_costs_one_message(
    app: Starlette, settings: Settings
) -> None:
    async with (
        serve_patiently(app, settings, 60) as served,
        open_deaf_client(served.port) as client,
    ):
        for number in range(MANY):
            await client.subscribe(str(number), INTROSPECT)
        await until(lambda: served.buffered_bytes > 0)
        most = answers = largest = 0
        # when it reads a message now and then
        while answers < MANY:
            client.connection.transport.resume_reading()
            message = await client.receive()
            client.connection.transport.pause_reading()
            most = max(most, served.buffered_bytes)
            largest = max(largest, len(json.dumps(message)))
            answers += message["type"] == "next"
        # then no more than the transport's 64 KiB and one answer ever waited
        assert 65_536 < most <= 65_536 + 2 * largest


async def test_a_client_that_stops_reading_for_a_moment_loses_nothing(
    app: Starlette, settings: Settings
) -> None:
    async with (
        serve_patiently(app, settings, 60) as served,
        open_deaf_client(served.port) as client,
    ):
        await client.subscribe("1", INTROSPECT)
        await asyncio.sleep(0.1)
        client.connection.transport.resume_reading()
        assert (await client.receive())["type"] == "next"
        assert await client.receive() == {"type": "complete", "id": "1"}


# ---- what else is as over HTTP


async def test_introspection_is_off_over_sockets_too(runtime: Runtime) -> None:
    async with helpers.serve_runtime(runtime, graphql_introspection=False) as server:
        async with open_client_sockets(server, 1, None) as (socket,):
            for query in ("{ __schema { types { name } } }", '{ __type(name: "Movie") { name } }'):
                await socket.subscribe("1", query)
                refused = await socket.receive()
                assert (refused["type"], refused["id"]) == ("error", "1")
                assert "data" not in refused["payload"][0]
            assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}


async def test_every_operation_has_a_request_id_of_its_own(
    runtime: Runtime, settings: Settings
) -> None:
    lines = io.BytesIO()
    async with serve_app(build_app(runtime, access_log=AccessLog(lines)), settings) as server:
        for _ in range(2):
            async with open_client_sockets(server, 1, None) as (socket,):
                await socket.answer("same", ASK)
                await socket.answer("same", ASK)

        def ids() -> list[str]:
            logged = [json.loads(line) for line in lines.getvalue().splitlines()]
            return [line["request_id"] for line in logged if line["method"] == "WEBSOCKET"]

        await until(lambda: len(ids()) == 4)
    assert len(set(ids())) == 4
    assert {len(one) for one in ids()} == {len("ws-") + 16 + len("-1")}
