"""Every bad token by the front door: one answer, nothing told, no store asked; and what happens to
a sign-in whose refresh token comes back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

import models
from resolvers.accounts.opening import open_revocations
from resolvers.context import Runtime
from services.accounts.tokens import AccessTokens
from services.settings.settings import Settings
from tests.conftest import CountCommands
from tests.support.api_client import GraphQL, build_silent_app, serve_app, token_for
from tests.support.clock import Clock
from tests.support.forged_tokens import ATTACKS, OURS, forge_signed, payload_at, segment
from tests.support.runtimes import with_changes

VIEWER = "{ viewer { id email role } }"
REGISTER = """
mutation {
  register(input: { email: "ada@example.org", password: "correct horse battery",
                    displayName: "Ada" }) {
    tokens { accessToken refreshToken } viewer { id } errors { code }
  }
}
"""
REFRESH = """
mutation ($token: String) {
  refreshTokens(input: { refreshToken: $token }) {
    tokens { accessToken refreshToken } errors { code }
  }
}
"""


@pytest.fixture
def keyed(runtime: Runtime, clock: Clock) -> Runtime:
    """Tokens as in production, and the test's clock."""
    tokens = AccessTokens([OURS], lifetime_seconds=900)
    return with_changes(runtime, accounts={"access_tokens": tokens}, clock=clock)


@asynccontextmanager
async def by_http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_silent_app(runtime))
    headers = {"user-agent": "Firefox on a laptop"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        yield client


@pytest.fixture
async def client(keyed: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    async with by_http(keyed) as client:
        yield client


# ---- access tokens


def summarize(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """All that a client sees of an answer, but its request's id."""
    headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
    return response.status_code, response.content, headers


async def test_a_token_made_by_hand_as_ours_are_is_taken(client: httpx.AsyncClient) -> None:
    # the frame of the next tests: what they refuse is refused for the one thing each changes
    token = forge_signed()(payload_at(1_800_000_000.0), 1_800_000_000.0)
    headers = {"authorization": f"Bearer {token}"}
    response = await client.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert (response.status_code, response.json()) == (200, {"data": {"viewer": None}})


async def test_all_bad_tokens_get_one_answer_and_ask_no_store(
    client: httpx.AsyncClient, clock: Clock, count_commands: CountCommands
) -> None:
    payload = payload_at(clock.now)
    answers: dict[str, Any] = {}
    # when each comes by the front door, with a query and with a mutation that would change things
    for name, forge in ATTACKS.items():
        bearer = b"Bearer " + forge(payload, clock.now).encode("latin-1")
        for query in (VIEWER, REGISTER):
            response = await client.post(
                "/graphql", json={"query": query}, headers={b"authorization": bearer}
            )
            answers[f"{name}: {query[:9]}"] = summarize(response)
    # then all were answered the same, to the byte
    expected = (
        401,
        b'{"errors":[{"message":"The token is not valid: sign in again.",'
        b'"extensions":{"code":"INVALID_TOKEN"}}]}',
    )
    assert {name: answer for name, answer in answers.items() if answer[:2] != expected} == {}
    assert len({str(sorted(headers.items())) for _, _, headers in answers.values()}) == 1
    headers = next(iter(answers.values()))[2]
    assert headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert headers["cache-control"] == "no-store"
    # and neither store was asked
    assert count_commands.mongo == []
    assert await models.User.get_pymongo_collection().count_documents({}) == 0


async def test_bad_tokens_in_a_cookie_get_the_same_answer(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    payload = payload_at(clock.now)
    for name in ("alg none", "expired", "edited role", "another's key", "one word"):
        cookie = f"marquee_access={ATTACKS[name](payload, clock.now)}"
        headers = {"cookie": cookie, "x-marquee-auth": "1"}
        response = await client.post("/graphql", json={"query": VIEWER}, headers=headers)
        assert response.status_code == 401
        assert response.json()["errors"][0]["extensions"] == {"code": "INVALID_TOKEN"}


async def test_bad_tokens_open_no_socket(keyed: Runtime, clock: Clock) -> None:
    payload = payload_at(clock.now)
    app = build_silent_app(keyed)
    async with serve_app(app, keyed.settings) as server:
        for name in ("alg none", "RS256", "expired", "edited role", "not yet valid", "one word"):
            token = ATTACKS[name](payload, clock.now)
            async with server.socket() as socket:
                init = {"authorization": f"Bearer {token}"}
                await socket.send({"type": "connection_init", "payload": init})
                closed = await socket.closed()
            assert (name, closed.code, closed.reason) == (name, 4403, "INVALID_TOKEN")


async def test_each_end_of_a_tokens_life_is_exact(
    client: httpx.AsyncClient, keyed: Runtime, clock: Clock
) -> None:
    issued_at = clock.now
    token = token_for(keyed)
    seen = {}
    for after in (-6, -5, 0, 899, 899.9, 900, 901):
        clock.now = issued_at + after
        headers = {"authorization": f"Bearer {token}"}
        response = await client.post("/graphql", json={"query": VIEWER}, headers=headers)
        seen[after] = response.status_code
    assert seen == {-6: 401, -5: 200, 0: 200, 899: 200, 899.9: 200, 900: 401, 901: 401}


# ---- refresh tokens


async def signed_in(client: httpx.AsyncClient) -> tuple[str, str]:
    _, body = await GraphQL(client)(REGISTER)
    tokens = body["data"]["register"]["tokens"]
    return tokens["accessToken"], tokens["refreshToken"]


async def refreshed(
    client: httpx.AsyncClient, token: str, agent: str | None = None
) -> dict[str, Any]:
    """The payload: tokens or errors."""
    response = await client.post(
        "/graphql",
        json={"query": REFRESH, "variables": {"token": token}},
        headers={"user-agent": agent} if agent else {},
    )
    assert response.status_code == 200
    payload: dict[str, Any] = response.json()["data"]["refreshTokens"]
    return payload


async def access(client: httpx.AsyncClient, token: str) -> int:
    return (await GraphQL(client)(VIEWER, token=token))[0]


REUSED = {"tokens": None, "errors": [{"code": "TOKEN_REUSED"}]}
INVALID = {"tokens": None, "errors": [{"code": "INVALID_TOKEN"}]}


async def test_a_replayed_refresh_token_ends_the_whole_sign_in(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    # given a sign-in that went on by one turn
    first_access, first = await signed_in(client)
    second = (await refreshed(client, first))["tokens"]
    assert [await access(client, one) for one in (first_access, second["accessToken"])] == [200] * 2
    # when its first token comes back later
    clock.now += 10.5
    assert await refreshed(client, first) == REUSED
    # then nothing of the family is good any more, and at once
    assert [await access(client, one) for one in (first_access, second["accessToken"])] == [401] * 2
    assert await refreshed(client, second["refreshToken"]) == INVALID
    assert await refreshed(client, first) == INVALID
    # and another sign-in of the same person goes on
    assert (await models.Login.get_pymongo_collection().count_documents({"revoked_at": None})) == 0


async def test_a_lost_answer_is_given_again_to_the_same_device(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    _, first = await signed_in(client)
    second = (await refreshed(client, first))["tokens"]
    # when it is presented twice more within ten seconds, from the same device
    clock.now += 9.9
    again = [(await refreshed(client, first))["tokens"] for _ in range(2)]
    # then it gets the same successor, which goes on
    assert [one["refreshToken"] for one in again] == [second["refreshToken"]] * 2
    for tokens in (second, *again):
        assert await access(client, tokens["accessToken"]) == 200
    assert (await refreshed(client, second["refreshToken"]))["errors"] == []


async def test_another_device_gets_no_successor_and_ends_the_sign_in(
    client: httpx.AsyncClient,
) -> None:
    first_access, first = await signed_in(client)
    second = (await refreshed(client, first))["tokens"]
    # when the used token comes at once, but from elsewhere
    assert await refreshed(client, first, agent="curl/8") == REUSED
    # then the thief has nothing, and the owner has to sign in
    assert await refreshed(client, second["refreshToken"]) == INVALID
    assert [await access(client, one) for one in (first_access, second["accessToken"])] == [401] * 2


async def test_ten_racing_refreshes_give_one_session(client: httpx.AsyncClient) -> None:
    _, first = await signed_in(client)
    payloads = await asyncio.gather(*(refreshed(client, first) for _ in range(10)))
    assert {payload["tokens"]["refreshToken"] for payload in payloads} != {first}
    assert len({payload["tokens"]["refreshToken"] for payload in payloads}) == 1
    assert await models.Login.get_pymongo_collection().count_documents({}) == 1


@pytest.mark.parametrize(
    "token",
    ["", "x", "A" * 43, "A" * 2_000, "\u00e9" * 43, "{}", hashlib.sha256(b"x").hexdigest()],
    ids=lambda value: ascii(value[:10]),
)
async def test_what_is_no_refresh_token_gets_one_answer(
    client: httpx.AsyncClient, token: str
) -> None:
    assert await refreshed(client, token) == INVALID


async def test_a_stored_hash_is_no_refresh_token(client: httpx.AsyncClient) -> None:
    # given somebody who read the database
    await signed_in(client)
    (login,) = await models.Login.get_pymongo_collection().find({}).to_list(None)
    for stolen in (login["token_hash"], segment(bytes.fromhex(login["token_hash"]))):
        assert await refreshed(client, stolen) == INVALID
    assert await models.Login.get_pymongo_collection().find({}).to_list(None) == [login]


# ---- revocation


async def test_a_revoked_family_is_refused_by_every_process(
    client: httpx.AsyncClient, keyed: Runtime, settings: Settings, clock: Clock
) -> None:
    # given another process, and tokens that both have seen and remember
    async with open_revocations(settings, keyed.state_redis) as its_own:
        tokens = AccessTokens([OURS], lifetime_seconds=900)
        there = with_changes(keyed, accounts={"access_tokens": tokens, "revocations": its_own})
        async with by_http(there) as elsewhere:
            token, _ = await signed_in(client)
            assert [await access(each, token) for each in (client, elsewhere)] == [200, 200]
            # when the sign-in ends here
            (login,) = await models.Login.get_pymongo_collection().find({}).to_list(None)
            await keyed.accounts.revocations.revoke_login(login["_id"], at=clock.now)
            # then the token is refused here at once and there a moment later
            assert await access(client, token) == 401
            async with asyncio.timeout(15):
                while await access(elsewhere, token) == 200:
                    await asyncio.sleep(0.02)
            assert await access(elsewhere, token) == 401


async def test_new_rights_end_old_tokens_and_the_next_refresh_has_them(
    client: httpx.AsyncClient, keyed: Runtime
) -> None:
    # given an editor's token
    token, refresh = await signed_in(client)
    (user,) = await models.User.get_pymongo_collection().find({}).to_list(None)
    # when the rights of the account change
    await models.User.get_pymongo_collection().update_one({}, {"$set": {"role": "EDITOR"}})
    await keyed.accounts.revocations.revoke_user(user["_id"], at=keyed.clock())
    # then the old token is refused, and a refresh in the same moment brings one with the new rights
    assert await access(client, token) == 401
    newer = (await refreshed(client, refresh))["tokens"]["accessToken"]
    status, body = await GraphQL(client)(VIEWER, token=newer)
    assert (status, body["data"]["viewer"]["role"]) == (200, "EDITOR")
