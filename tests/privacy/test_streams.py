"""Streams, addresses of films and cookies: what is Ada's does not reach Bob by them either."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.privacy.operations import Made, root_fields, variants
from tests.privacy.world import DURATION, FILM, POSITION, REPORT, START, World
from tests.support.api_client import LiveServer, Socket, build_silent_app, serve_app


@pytest.fixture
async def live(world: World) -> AsyncIterator[LiveServer]:
    app = build_silent_app(world.runtime)
    async with serve_app(app, world.runtime.settings) as server:
        yield server


async def _subscribed(socket: Socket, operations: dict[str, Made]) -> None:
    for id_, made in operations.items():
        await socket.subscribe(id_, made.text, made.variables)
    await socket.send({"type": "ping"})  # so that all before it has been taken


async def _receive_until(socket: Socket, last: str) -> list[dict[str, Any]]:
    """What came until a message with this text did."""
    messages: list[dict[str, Any]] = []
    while not messages or last not in json.dumps(messages[-1]):
        messages.append(await socket.receive())
    return messages


@pytest.mark.parametrize("name", root_fields("subscription"))
@pytest.mark.parametrize("who", ["bob", "bob with all rights", "nobody"])
async def test_what_ada_does_is_sent_to_nobody_else(
    world: World, live: LiveServer, name: str, who: str
) -> None:
    tokens = {"bob": world.bob.token, "bob with all rights": world.as_admin(world.bob)}
    token = tokens.get(who)
    made = variants("subscription", name, list(world.candidates), world.candidates)
    operations = {str(number): one for number, one in enumerate(made)}
    # given somebody who subscribes to it with every id of Ada's
    async with live.socket() as socket:
        await socket.initialised(token)
        await _subscribed(socket, operations)
        # when Ada watches on
        watching = world.sessions[-1]
        for number in (2, 3):
            await world.ask(REPORT, world.ada.token, id=watching, at=POSITION, of=DURATION,
                            number=number)  # fmt: skip
        # then all that comes is of others, up to what is asked last
        await socket.subscribe("last", "{ theEnd: __typename }")
        messages = await _receive_until(socket, "theEnd")
    sent = [one.variables for one in operations.values()]
    assert world.seen(json.dumps(messages), sent) == set()
    assert "INTERNAL_SERVER_ERROR" not in json.dumps(messages)


async def test_ada_and_bob_each_hear_of_their_own_progress(world: World, live: LiveServer) -> None:
    """Else the test above would show nothing."""
    stream = "subscription ($id: ID) { progressChanged(playableId: $id) { positionSeconds } }"
    async with live.socket() as adas, live.socket() as bobs:
        await adas.initialised(world.ada.token)
        await bobs.initialised(world.bob.token)
        # given both wait for the same film, which Ada has begun
        for socket in (adas, bobs):
            await socket.subscribe("1", stream, {"id": FILM})
        first = await adas.receive()
        assert first["payload"]["data"]["progressChanged"]["positionSeconds"] == POSITION
        # when Bob begins it too
        device = {"key": "bobs-device", "kind": "WEB"}
        session = (await world.ask(START, world.bob.token, id=FILM, device=device))["session"]
        await world.ask(REPORT, world.bob.token, id=session["id"], at=77.0, of=DURATION, number=1)
        # then he hears of that, and nothing of hers
        messages = await _receive_until(bobs, "77.0")
        assert world.seen(json.dumps(messages)) == set()
        # and she hears nothing of it
        assert await adas.is_silent()


# ---- addresses of films


async def test_an_address_made_for_ada_is_refused_to_bob(world: World) -> None:
    path = httpx.URL(world.hls_url).path
    as_bob = {"authorization": f"Bearer {world.bob.token}"}
    as_ada = {"authorization": f"Bearer {world.ada.token}"}
    playlist = await world.client.get(path, headers=as_ada)
    assert playlist.status_code == 200
    assert playlist.headers["cache-control"].startswith("private")
    known = {"if-none-match": playlist.headers["etag"]}
    for name in ("master.m3u8", "720p/index.m3u8", "720p/init.mp4", "720p/seg00000.m4s"):
        at = path.replace("master.m3u8", name)
        assert (await world.client.get(at, headers=as_ada)).status_code == 200
        for headers in (as_bob, as_bob | known, as_bob | {"range": "bytes=0-1"}):
            refused = await world.client.get(at, headers=headers)
            assert (refused.status_code, refused.headers["cache-control"]) == (403, "no-store")
            assert world.seen(refused) == set()


async def test_an_address_ends_with_adas_sign_in(world: World) -> None:
    path = httpx.URL(world.hls_url).path
    assert (await world.client.get(path)).status_code == 200
    await world.ask(
        "mutation { logout(input: {everywhere: true}) { errors { code message } } }",
        world.ada.token,
    )
    assert (await world.client.get(path)).status_code == 403


# ---- cookies


async def test_cookies_of_ada_do_not_mix_with_a_token_of_bob(world: World) -> None:
    ours = {"x-marquee-auth": "cookie"}
    cookies = {"cookie": f"marquee_access={world.ada.token}; marquee_refresh="
                         f"{world.ada.refresh_token}"}  # fmt: skip
    bob = {"authorization": f"Bearer {world.bob.token}"}
    body = {"query": "{ viewer { email displayName sessions { id } } }"}
    # given a client that sends both
    response = await world.client.post("/graphql", json=body, headers=ours | cookies | bob)
    # then it is Bob's, whole
    assert response.json()["data"]["viewer"]["displayName"] == "Bob"
    assert world.seen(response) == set()
    assert "set-cookie" not in response.headers
    # and without the header no other site can send, it is nobody's
    refused = await world.client.post("/graphql", json=body, headers=cookies)
    assert (refused.status_code, world.seen(refused)) == (403, set())


async def test_bob_cannot_end_or_renew_adas_sign_in(world: World) -> None:
    before = await world.stored()
    bob = {"authorization": f"Bearer {world.bob.token}", "x-marquee-auth": "cookie",
           "cookie": f"marquee_refresh={world.bob.refresh_token}"}  # fmt: skip
    query = "mutation { refreshTokens(input: {}) { tokens { accessToken } viewer { id } } }"
    response = await world.client.post("/graphql", json={"query": query}, headers=bob)
    assert world.seen(response) == set()
    assert await world.stored() == before
