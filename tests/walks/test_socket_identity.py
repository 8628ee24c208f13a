"""Somebody signs in, listens on a socket for longer than a token lives, and signs out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from models import AccountTier, Role
from resolvers.context import Context, Runtime, Viewer
from tests.support.api_client import GraphQL, LiveServer, Socket
from tests.support.clock import Clock
from tests.support.playback_fixtures import build_offline_report, film
from tests.support.sockets import serve_runtime

TOKENS = "tokens { accessToken refreshToken } errors { code }"
REGISTER = f"""mutation {{ register(input: {{
  email: "ada@example.org", password: "correct horse battery", displayName: "Ada"
}}) {{ {TOKENS} }} }}"""
REFRESH = f"""mutation ($token: String) {{
  refreshTokens(input: {{ refreshToken: $token }}) {{ {TOKENS} }}
}}"""
LOGOUT = "mutation { logout { revokedSessions errors { code } } }"
PROGRESS = "subscription ($id: ID) { progressChanged(playableId: $id) { positionSeconds } }"


async def tokens(server: LiveServer, query: str, **variables: Any) -> dict[str, str]:
    async with server.client() as client:
        _, answer = await GraphQL(client)(query, variables)
    (payload,) = answer["data"].values()
    assert payload["errors"] == []
    return dict(payload["tokens"])


async def position(socket: Socket) -> float:
    message = await socket.receive()
    assert (message["type"], message["id"]) == ("next", "mine")
    return float(message["payload"]["data"]["progressChanged"]["positionSeconds"])


def elsewhere(runtime: Runtime, clock: Clock, access_token: str) -> Context:
    """The same viewer on another device."""
    claims = runtime.accounts.access_tokens.verify(access_token, clock())
    viewer = Viewer(claims.user_id, Role.USER, AccountTier.FREE, claims.login_id)
    return Context(replace(runtime, clock=clock), viewer)


async def test_a_socket_outlives_its_token_and_ends_with_its_sign_in(runtime: Runtime) -> None:
    clock, film_id = Clock(time.time()), await film()
    async with serve_runtime(runtime, clock=clock) as server, server.socket() as socket:
        # given somebody who listens to what they watch elsewhere
        first = await tokens(server, REGISTER)
        phone = elsewhere(runtime, clock, first["accessToken"])
        await build_offline_report(phone, film_id, 100)
        await socket.initialised(first["accessToken"])
        await socket.subscribe("mine", PROGRESS, {"id": film_id})
        assert await position(socket) == 100
        # when the token's last minute begins, they are told; they renew it
        clock.now += 860
        await socket.send({"type": "pong"})
        assert await socket.receive() == {"type": "ping", "payload": {"auth": "expiring"}}
        second = await tokens(server, REFRESH, token=first["refreshToken"])
        renewed = {"authorization": f"Bearer {second['accessToken']}"}
        await socket.send({"type": "pong", "payload": renewed})
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        # then the stream tells on, long after the first token's end
        clock.now += 600
        await build_offline_report(phone, film_id, 200)
        assert await position(socket) == 200
        # when they sign out over this very socket
        await socket.send({"type": "complete", "id": "mine"})
        await socket.subscribe("bye", LOGOUT)
        # then they hear that it is done, and the socket is closed
        answer = await socket.receive()
        assert answer["payload"] == {"data": {"logout": {"revokedSessions": 1, "errors": []}}}
        assert await socket.closed() == (4403, "Signed out")
        # and with that token there is no other
        async with server.socket() as another:
            await another.send({"type": "connection_init", "payload": renewed})
            assert await another.closed() == (4403, "INVALID_TOKEN")


async def test_a_stolen_refresh_token_ends_the_sockets_of_its_sign_in(runtime: Runtime) -> None:
    clock, film_id = Clock(time.time()), await film()
    async with serve_runtime(runtime, clock=clock) as server, server.socket() as socket:
        # given a stream of somebody whose refresh token was copied, and who used it since
        first = await tokens(server, REGISTER)
        second = await tokens(server, REFRESH, token=first["refreshToken"])
        await build_offline_report(elsewhere(runtime, clock, first["accessToken"]), film_id, 100)
        await socket.initialised(second["accessToken"])
        await socket.subscribe("mine", PROGRESS, {"id": film_id})
        assert await position(socket) == 100
        # when the thief uses the copy later
        clock.now += 60
        async with server.client() as client:
            _, answer = await GraphQL(client)(REFRESH, {"token": first["refreshToken"]})
        assert answer["data"]["refreshTokens"]["errors"] == [{"code": "TOKEN_REUSED"}]
        # then nobody listens any more
        assert await socket.closed() == (4403, "Signed out")
