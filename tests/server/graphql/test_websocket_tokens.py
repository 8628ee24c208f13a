"""Who speaks on a socket: tokens that expire, are renewed, are revoked; cookies and Origin."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette

import models
from models import AccountTier, Role
from models.mongo import ids
from resolvers.accounts.api_keys import NewApiKey, create_api_key
from resolvers.accounts.opening import open_revocations
from resolvers.context import Context, Runtime, Viewer
from server.graphql.operation_log import OperationLog
from server.graphql.socket_operations import SocketOperations
from services.cache.ttl_cache import TtlCache
from services.errors import UpstreamUnavailable
from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from tests.support.api_client import LiveServer, Socket
from tests.support.clock import Clock
from tests.support.processes import until
from tests.support.runtimes import with_changes
from tests.support.sockets import ASK, LIVE, issue_token, open_client_sockets, serve_runtime

T0 = 1_900_000_000.0
EXPIRING = {"type": "ping", "payload": {"auth": "expiring"}}
TOKEN_EXPIRED = (4403, "Token expired")
SIGNED_OUT = (4403, "Signed out")


def renewal(kind: str, token: str) -> dict[str, Any]:
    return {"type": kind, "payload": {"authorization": f"Bearer {token}"}}


async def next_event(socket: Socket) -> None:
    assert (await socket.receive())["type"] == "next"


# ---- expiry


async def test_a_minute_before_its_end_the_client_is_prompted_to_renew_its_token(
    runtime: Runtime,
) -> None:
    clock = Clock(T0)
    async with serve_runtime(runtime, clock=clock) as server, server.socket() as socket:
        await socket.initialised(issue_token(runtime, now=T0))
        # at 61 s before the end nothing is said
        clock.now = T0 + 839
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        # at 60 s it is, once
        clock.now = T0 + 840
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        assert await socket.receive() == EXPIRING
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        assert await socket.is_silent()


async def test_the_ping_comes_by_itself(runtime: Runtime) -> None:
    clock = Clock(T0 + 839.8)
    async with serve_runtime(runtime, clock=clock) as server, server.socket() as socket:
        await socket.initialised(issue_token(runtime, now=T0))
        clock.now += 0.3
        assert await socket.receive() == EXPIRING


async def test_who_lets_a_token_expire_is_closed(runtime: Runtime) -> None:
    async with serve_runtime(runtime) as server, server.socket() as socket:
        before = time.time() - 900 + 4  # it has three to four seconds left
        await socket.initialised(issue_token(runtime, now=before))
        await socket.subscribe("live", LIVE)
        assert await socket.closed() == TOKEN_EXPIRED
        assert time.time() >= int(before) + 900


@pytest.mark.parametrize("kind", ["pong", "ping"])
async def test_a_new_token_keeps_the_socket_and_its_streams(runtime: Runtime, kind: str) -> None:
    # given a stream whose token is about to expire
    clock = Clock(T0 + 870)
    async with serve_runtime(runtime, clock=clock) as server, server.socket() as socket:
        await socket.initialised(issue_token(runtime, now=T0))
        assert await socket.receive() == EXPIRING
        await socket.subscribe("live", LIVE)
        await next_event(socket)
        # when a new one is sent
        await socket.send(renewal(kind, issue_token(runtime, now=T0 + 870, login="login_two")))
        if kind == "pong":
            await socket.send({"type": "ping"})
        while (await socket.receive())["type"] != "pong":
            pass  # an event, perhaps
        # then the old one's end is no end
        clock.now = T0 + 901
        await next_event(socket)
        await socket.send({"type": "complete", "id": "live"})
        assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}
        # and the new one's is told in time, and is the end
        clock.now = T0 + 870 + 840
        await socket.send({"type": "pong"})
        assert await socket.receive() == EXPIRING
        clock.now = T0 + 870 + 900
        await socket.send({"type": "pong"})
        assert await socket.closed() == TOKEN_EXPIRED


async def test_only_a_token_of_the_same_user_and_no_fewer_rights_renews(runtime: Runtime) -> None:
    tokens = {
        issue_token(runtime, user="eve"): "The token is another user's",
        issue_token(runtime, role=Role.USER): "The token gives fewer rights",
        issue_token(runtime, now=time.time() - 901): "INVALID_TOKEN",
        "abc": "INVALID_TOKEN",
    }
    async with serve_runtime(runtime) as server:
        for kind in ("ping", "pong"):
            for token, reason in tokens.items():
                async with server.socket() as socket:
                    await socket.initialised(issue_token(runtime))
                    await socket.send(renewal(kind, token))
                    assert await socket.closed() == (4403, reason)


async def test_an_anonymous_socket_stays_anonymous(socket: Socket, runtime: Runtime) -> None:
    await socket.initialised()
    await socket.send(renewal("pong", issue_token(runtime)))
    assert await socket.closed() == (4403, "The token is another user's")


@pytest.mark.parametrize("payload", [None, {}, [], "text", 5, {"auth": "?"}], ids=str)
async def test_other_payloads_of_pings_and_pongs_mean_nothing(
    socket: Socket, runtime: Runtime, payload: object
) -> None:
    await socket.initialised(issue_token(runtime))
    await socket.send({"type": "pong", "payload": payload})
    await socket.send({"type": "ping", "payload": payload})
    assert await socket.receive() == {"type": "pong"}
    assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}


async def test_an_authorization_that_is_no_text_closes(socket: Socket, runtime: Runtime) -> None:
    await socket.initialised(issue_token(runtime))
    await socket.send({"type": "pong", "payload": {"authorization": 5}})
    assert await socket.closed() == (4400, "The authorization must be a string")


async def test_before_hello_a_token_in_a_ping_means_nothing(
    socket: Socket, runtime: Runtime
) -> None:
    await socket.send(renewal("ping", issue_token(runtime)))
    assert await socket.receive() == {"type": "pong"}
    await socket.subscribe("1", ASK)
    assert await socket.closed() == (4401, "Unauthorized")


async def test_a_renewed_stream_goes_on_with_the_new_rights(
    app: Starlette, runtime: Runtime
) -> None:
    # given a stream and what its events are made with
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    log = OperationLog(AccessLog(enabled=False), runtime.ops.live_metrics)
    running = SocketOperations(app.state.operations, log, send)
    user_id = ids.new("user")
    before = Viewer(user_id, Role.OPERATOR, AccountTier.FREE, "login_1")
    after = Viewer(user_id, Role.ADMIN, AccountTier.PREMIUM, "login_2")
    context = Context(runtime, before)
    running.begin("live", {"query": LIVE}, context)
    await until(lambda: sent)
    # when the token is renewed
    running.renew(after)
    # then later events are the new viewer's
    assert context.for_event().viewer == after
    await running.stop()


# ---- revocation


async def test_a_revoked_sign_in_loses_its_sockets_and_no_other_does(runtime: Runtime) -> None:
    async with (
        serve_runtime(runtime) as server,
        open_client_sockets(server, 2, issue_token(runtime, login="login_one")) as ended,
        open_client_sockets(server, 1, issue_token(runtime, login="login_two")) as others,
        open_client_sockets(
            server, 1, issue_token(runtime, user="eve", login="login_eve")
        ) as strangers,
        open_client_sockets(server, 1, None) as nobody,
    ):
        await ended[0].subscribe("live", LIVE)
        await next_event(ended[0])
        started = time.monotonic()
        await runtime.accounts.revocations.revoke_login("login_one")
        for socket in ended:
            assert await socket.closed() == SIGNED_OUT
        assert time.monotonic() - started < 5  # one second, on a machine that does nothing else
        for socket in (*others, *strangers, *nobody):
            assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}


async def test_a_revoked_user_loses_sockets_opened_before_and_may_come_back(
    runtime: Runtime,
) -> None:
    async with serve_runtime(runtime) as server:
        async with open_client_sockets(server, 2, issue_token(runtime)) as ended:
            await runtime.accounts.revocations.revoke_user(ids.derive("user", "sockets", "ada"))
            for socket in ended:
                assert await socket.closed() == SIGNED_OUT
        user_id = ids.derive("user", "sockets", "ada")
        fresh = runtime.accounts.revocations.issue_time(user_id, time.time())
        async with open_client_sockets(server, 1, issue_token(runtime, now=fresh)) as (again,):
            assert await again.answer("1", ASK) == {"data": {"__typename": "Query"}}


async def test_after_renewal_the_new_sign_in_counts(socket: Socket, runtime: Runtime) -> None:
    await socket.initialised(issue_token(runtime, login="login_one"))
    await socket.send(renewal("ping", issue_token(runtime, login="login_two")))
    assert (await socket.receive())["type"] == "pong"
    await runtime.accounts.revocations.revoke_login("login_one")
    assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}
    await runtime.accounts.revocations.revoke_login("login_two")
    assert await socket.closed() == SIGNED_OUT


async def test_a_revocation_by_another_process_is_received(
    socket: Socket, runtime: Runtime, settings: Settings
) -> None:
    await socket.initialised(issue_token(runtime))
    async with open_revocations(settings, runtime.state_redis) as elsewhere:
        await elsewhere.revoke_login("login_ada")
        assert await socket.closed() == SIGNED_OUT


async def test_a_revoked_token_opens_nothing(socket: Socket, runtime: Runtime) -> None:
    await runtime.accounts.revocations.revoke_login("login_ada")
    token = {"authorization": f"Bearer {issue_token(runtime)}"}
    await socket.send({"type": "connection_init", "payload": token})
    assert await socket.closed() == (4403, "INVALID_TOKEN")


# ---- API keys


@pytest.fixture
async def key(runtime: Runtime) -> NewApiKey:
    password = "correct horse battery"
    hashed = await runtime.accounts.passwords.hash(password)
    user = models.User(
        id=ids.derive("user", "sockets", "ada"),
        email="ada@example.org",
        password_hash=hashed,
        display_name="Ada",
    )
    assert await models.insert_user(user)
    viewer = Viewer(user.id, Role.USER, AccountTier.FREE, "login_ada")
    return await create_api_key(Context(runtime, viewer), "My script", password)


async def test_a_program_comes_in_with_its_key_until_that_is_revoked(
    socket: Socket, runtime: Runtime, key: NewApiKey
) -> None:
    await socket.initialised(key.secret)
    assert await rights(socket) == "FORBIDDEN"  # a user, no operator
    await runtime.accounts.revocations.revoke_login("login_ada")  # is another matter
    assert await socket.answer("1", ASK) == {"data": {"__typename": "Query"}}
    await runtime.accounts.revocations.revoke_key(key.api_key.id)
    assert await socket.closed() == SIGNED_OUT


class Away(TtlCache[Any]):
    """As when MongoDB is away and the key was not seen lately."""

    async def get(self, key: str, read: Callable[[], Awaitable[Any]]) -> Any:
        raise UpstreamUnavailable("The database did not answer in time.")


async def test_a_key_that_cannot_be_read_may_be_tried_again(
    runtime: Runtime, key: NewApiKey
) -> None:
    away = with_changes(runtime, accounts={"api_key_cache": Away(fresh_seconds=0, stale_seconds=0)})
    async with serve_runtime(away) as server, server.socket() as socket:
        payload = {"authorization": f"Bearer {key.secret}"}
        await socket.send({"type": "connection_init", "payload": payload})
        assert await socket.closed() == (1013, "Try again later")


# ---- cookies


async def rights(socket: Socket) -> str:
    """Whose socket it is: only an operator's may listen to live metrics."""
    await socket.subscribe("who", LIVE)
    message = await socket.receive()
    if message["type"] == "error":
        return str(message["payload"][0]["extensions"]["code"])
    return str(message["type"])


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("own", "next"), ("https://allowed.test", "next"), (None, "UNAUTHENTICATED")],
)
async def test_a_cookie_is_believed_from_our_pages_alone(
    runtime: Runtime, origin: str | None, expected: str
) -> None:
    cookie = {"cookie": f"other=1; marquee_access={issue_token(runtime)}"}
    async with serve_runtime(runtime, cors_origin="https://allowed.test") as server:
        header = server.url if origin == "own" else origin
        options = {"additional_headers": cookie, "origin": header}
        async with server.socket(**options) as socket:
            assert await rights(await socket.initialised()) == expected


async def test_the_token_of_the_hello_wins_over_a_cookie(
    live_server: LiveServer, runtime: Runtime
) -> None:
    cookie = {"cookie": f"marquee_access={issue_token(runtime)}"}
    plain = issue_token(runtime, user="eve", role=Role.USER)
    options = {"additional_headers": cookie, "origin": live_server.url}
    async with live_server.socket(**options) as socket:
        assert await rights(await socket.initialised(plain)) == "FORBIDDEN"


async def test_a_cookie_that_is_over_is_forbidden_and_expires_like_any_token(
    runtime: Runtime,
) -> None:
    clock = Clock(T0 + 870)
    async with serve_runtime(runtime, clock=clock) as server:
        good = {"cookie": f"marquee_access={issue_token(runtime, now=T0)}"}
        async with server.socket(additional_headers=good, origin=server.url) as socket:
            await socket.initialised()
            assert await socket.receive() == EXPIRING
            clock.now = T0 + 900
            await socket.send({"type": "pong"})
            assert await socket.closed() == TOKEN_EXPIRED
        async with server.socket(additional_headers=good, origin=server.url) as late:
            await late.send({"type": "connection_init"})
            assert await late.closed() == (4403, "INVALID_TOKEN")


async def test_nothing_is_left_of_sockets_that_were_signed_in(runtime: Runtime) -> None:
    known = len(runtime.accounts.revocations._callbacks)
    async with serve_runtime(runtime) as server:
        async with open_client_sockets(server, 3, issue_token(runtime)):
            assert len(runtime.accounts.revocations._callbacks) == known + 1
        await until(lambda: len(runtime.accounts.revocations._callbacks) == known)
