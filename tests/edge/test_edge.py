"""Public answers through the shipped nginx, in front of two real API processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import time
from collections import Counter
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import websockets

import models
from models import Role
from resolvers.catalog import edits
from resolvers.context import Context, Runtime, Viewer
from tests.edge.conftest import Fleet
from tests.support.api_client import Socket, token_for
from tests.support.operation_files import operations
from tests.support.processes import until

BROWSE = "query Browse($first: Int) { movies(first: $first) { nodes { id title } } }"
MINE = "query Mine { viewer { email } movies(first: 3) { nodes { title onWatchlist } } }"
HEADERS = {"accept": "application/graphql-response+json", "accept-encoding": "gzip"}
CONNECTIONS, REQUESTS = 100, 1_000


async def register(fleet: Fleet, text: str) -> str:
    """Register a document as Apollo's clients do; returns its id."""
    id_ = hashlib.sha256(text.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": id_}}
    body = {"query": text, "extensions": extensions, "operationName": text.split()[1].split("(")[0]}
    response = await fleet.direct[0].client.post("/graphql", json=body)
    assert response.status_code == 200, response.text
    return id_


def address(id_: str, name: str, **variables: Any) -> str:
    encoded = quote(json.dumps(variables, separators=(",", ":")))
    return f"/graphql/d/{id_}/{name}" + (f"?variables={encoded}" if variables else "")


def reached(fleet: Fleet, path: str) -> int:
    """Requests of this path that the edge sent to an API process."""
    return sum(bool(one["upstream"]) for one in fleet.edge.requests(path.partition("?")[0]))


async def test_a_cold_crowd_reaches_the_api_once(fleet: Fleet) -> None:
    target = address(await register(fleet, BROWSE), "Browse", first=20)
    limits = httpx.Limits(max_connections=CONNECTIONS)

    async def visit(crowd: httpx.AsyncClient) -> list[httpx.Response]:
        return [await crowd.get(target) for _ in range(REQUESTS // CONNECTIONS)]

    async with fleet.edge.client(limits=limits, headers=HEADERS) as crowd:
        visits = await asyncio.gather(*(visit(crowd) for _ in range(CONNECTIONS)))
    answers = [answer for some in visits for answer in some]
    assert Counter(one.status_code for one in answers) == {200: REQUESTS}
    assert len({one.content for one in answers}) == 1
    assert len(answers[0].json()["data"]["movies"]["nodes"]) == 20
    await until(lambda: len(fleet.edge.requests(target.partition("?")[0])) == REQUESTS)
    assert reached(fleet, target) == 1
    assert answers[-1].headers["x-cache"] == "HIT"


async def test_signed_in_viewers_share_the_public_copy(fleet: Fleet, runtime: Runtime) -> None:
    target = address(await register(fleet, BROWSE), "Browse", first=5)
    await fleet.client.get(target, headers=HEADERS)
    for role in (Role.USER, Role.ADMIN):
        headers = {**HEADERS, "authorization": f"Bearer {token_for(runtime, role)}"}
        assert (await fleet.client.get(target, headers=headers)).headers["x-cache"] == "HIT"
    # and one of them may be the first
    other = address(await register(fleet, BROWSE), "Browse", first=6)
    assert (await fleet.client.get(other, headers=headers)).headers["x-cache"] == "MISS"
    assert (await fleet.client.get(other, headers=HEADERS)).headers["x-cache"] == "HIT"


async def test_a_private_document_always_reaches_the_api(fleet: Fleet, runtime: Runtime) -> None:
    target = address(await register(fleet, MINE), "Mine")
    token = token_for(runtime, Role.USER)
    for number in range(3):
        headers = {**HEADERS, "authorization": f"Bearer {token}"}
        answer = await fleet.client.get(target, headers=headers)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.headers["x-cache"] == "MISS"
        assert reached(fleet, target) == number + 1


async def test_nobody_gets_what_was_made_for_another(fleet: Fleet, runtime: Runtime) -> None:
    """Every document of a web client, through the edge: each viewer's as directly from the API."""
    tokens = [None, token_for(runtime, Role.ADMIN), token_for(runtime, Role.USER)]
    queries = [one for one in operations() if "mutation" not in one.query.split("{")[0]]
    queries = [one for one in queries if "subscription" not in one.query.split("{")[0]]
    assert len(queries) > 20
    for operation in queries:
        params = {"query": operation.query, "variables": json.dumps(operation.variables)}
        for token in [*tokens, *tokens]:
            headers = {**HEADERS, **({"authorization": f"Bearer {token}"} if token else {})}
            through = await fleet.client.get("/graphql", params=params, headers=headers)
            direct = await fleet.direct[0].client.get("/graphql", params=params, headers=headers)
            assert through.status_code == direct.status_code
            if operation.name not in _OF_THE_MOMENT:
                assert _lasting(through.json()) == _lasting(direct.json()), operation.name
            if "no-store" in direct.headers["cache-control"]:
                assert through.headers.get("x-cache") == "MISS", (operation.name, through.headers)


_OF_THE_MOMENT = {"health", "providers_at_work"}  # of the process that answers


def _lasting(value: Any) -> Any:
    """An answer without what changes from request to request."""
    if isinstance(value, dict):
        passing = {"masterPlaylistUrl", "expiresAt", "fetchedAt", "remaining", "url", "requestId"}
        passing |= {"origin", "attempts"}  # of sources, which the second request finds in a cache
        return {key: _lasting(one) for key, one in value.items() if key not in passing}
    return [_lasting(one) for one in value] if isinstance(value, list) else value


async def test_a_changed_film_is_new_at_the_edge_within_two_seconds(
    fleet: Fleet, runtime: Runtime
) -> None:
    # given a page that the edge keeps, in two encodings
    target = address(await register(fleet, BROWSE), "Browse", first=20)
    encodings = [HEADERS, {**HEADERS, "accept-encoding": "identity"}]
    for headers in encodings * 2:
        answer = await fleet.client.get(target, headers=headers)
    assert answer.headers["x-cache"] == "HIT"
    film = answer.json()["data"]["movies"]["nodes"][3]
    # when an editor changes one of its films
    viewer = Viewer("user_1", Role.EDITOR, models.AccountTier.FREE, "login_1")
    await edits.upsert_movie(Context(runtime, viewer), {"title": "New at the edge"}, id_=film["id"])
    changed_at = time.monotonic()

    async def is_new() -> bool:
        answers = [await fleet.client.get(target, headers=headers) for headers in encodings]
        titles = [one.json()["data"]["movies"]["nodes"][3]["title"] for one in answers]
        return titles == ["New at the edge"] * 2

    await until(is_new, 2)
    assert time.monotonic() - changed_at < 2
    # and it is kept
    assert (await fleet.client.get(target, headers=HEADERS)).headers["x-cache"] == "HIT"


async def test_nobody_else_makes_the_edge_ask_anew(fleet: Fleet) -> None:
    target = address(await register(fleet, BROWSE), "Browse", first=7)
    await fleet.client.get(target, headers=HEADERS)
    before = reached(fleet, target)
    for key in ("", "k:", "k:wrong", "1"):
        answer = await fleet.client.get(target, headers={**HEADERS, "x-edge-refresh": key})
        assert answer.headers["x-cache"] == "HIT"
    assert reached(fleet, target) == before


async def test_with_both_processes_stopped_the_edge_goes_on_with_what_it_has(
    mortal_fleet: Fleet,
) -> None:
    fleet = mortal_fleet
    target = address(await register(fleet, BROWSE), "Browse", first=20)
    whole = (await fleet.client.get(target, headers=HEADERS)).content
    for origin in fleet.origins:
        origin.send(signal.SIGKILL)
        await origin.ended()
    fresh = await fleet.client.get(target, headers=HEADERS)
    fleet.edge.expire_everything()
    stale = await fleet.client.get(target, headers=HEADERS)
    assert [one.content for one in (fresh, stale)] == [whole] * 2
    assert [one.headers["x-cache"] for one in (fresh, stale)] == ["HIT", "STALE"]
    # and says of the rest that nobody is there
    assert (
        await fleet.client.post("/graphql", json={"query": "{ __typename }"})
    ).status_code == 502


async def test_a_process_that_is_killed_costs_no_get(mortal_fleet: Fleet) -> None:
    fleet = mortal_fleet
    id_ = await register(fleet, BROWSE)
    statuses: Counter[int] = Counter()
    killed = asyncio.Event()

    async def browse(number: int) -> None:
        for at in range(30):
            target = address(id_, "Browse", first=1 + (number * 30 + at) % 60)
            answer = await fleet.client.get(target, headers={**HEADERS, "origin": f"http://{at}"})
            statuses[answer.status_code] += 1
            if at == 10:
                killed.set()

    async def kill() -> None:
        await killed.wait()
        fleet.origins[1].send(signal.SIGKILL)

    await asyncio.gather(kill(), *(browse(number) for number in range(20)))
    assert statuses == {200: 600}


async def test_sockets_and_event_streams_pass(fleet: Fleet, runtime: Runtime) -> None:
    token = token_for(runtime, Role.OPERATOR)
    live = "subscription { liveMetrics { cursor } }"
    # given a socket through the edge
    url = f"ws://127.0.0.1:{fleet.edge.port}/graphql"
    async with websockets.connect(url, subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
        socket = await Socket(connection).initialised(token)
        await socket.subscribe("1", live)
        assert (await socket.receive())["payload"]["data"]["liveMetrics"]["cursor"]
    # and an event stream, whose events come as they are made
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    request = fleet.client.stream("POST", "/graphql", json={"query": live}, headers=headers)
    async with asyncio.timeout(8), request as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("data:") and "cursor" in line:
                break


@pytest.mark.parametrize("path", ["/metrics"])
async def test_what_is_for_operators_is_not_there(fleet: Fleet, path: str) -> None:
    assert (await fleet.client.get(path)).status_code == 404
