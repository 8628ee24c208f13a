"""Breakers by the front door: held and let go by operators, and watched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models import Role
from resolvers.context import Runtime
from tests.support.api_client import build_silent_app, serve_app, token_for
from tests.support.fake_provider import FakeProvider
from tests.support.titles import film, film_id, store
from tests.support.with_providers import Ask, build_asker

SET_BREAKER = """mutation ($input: SetBreakerInput!) { setBreaker(input: $input) {
  breaker { id name state forced } errors { code path } } }"""
BREAKER = "breaker_provider-vidking"


async def test_an_operator_holds_a_breaker_and_lets_it_go(
    ask: Ask, own: Runtime, provider_server: FakeProvider
) -> None:
    await store([film(1, tmdb_id=603)])
    sources = """query ($id: ID!) { movie(by: {id: $id}) { streamingSources(input: {types: [HLS]}) {
      attempts { provider { key } outcome } } } }"""
    hold = {"id": BREAKER, "state": "OPEN", "reason": "  they asked\nus to  "}
    answer = await ask(SET_BREAKER, Role.OPERATOR, input=hold)
    forced = {"id": BREAKER, "name": "provider-vidking", "state": "OPEN", "forced": True}
    assert answer["data"]["setBreaker"] == {"breaker": forced, "errors": []}
    # then the provider is not called, and that is told
    answer = await ask(sources, id=film_id(1))
    attempts = answer["data"]["movie"]["streamingSources"]["attempts"]
    assert {"provider": {"key": "vidking"}, "outcome": "BREAKER_OPEN"} in attempts
    assert provider_server.seen == []
    assert (await own.sources.breakers.snapshots())[0].reason == "they asked us to"
    # and a node and the list tell the same
    answer = await ask(
        "query ($id: ID!) { node(id: $id) { id ... on CircuitBreaker { state forced } } "
        "circuitBreakers { id state forced } }",
        Role.OPERATOR,
        id=BREAKER,
    )
    one = {"id": BREAKER, "state": "OPEN", "forced": True}
    assert answer["data"] == {"node": one, "circuitBreakers": [one]}
    # when it is lifted, it begins closed
    lift = {"id": BREAKER, "reason": "done"}
    answer = await ask(SET_BREAKER, Role.OPERATOR, input=lift)
    assert answer["data"]["setBreaker"]["breaker"]["state"] == "CLOSED"
    assert not answer["data"]["setBreaker"]["breaker"]["forced"]


@pytest.mark.parametrize(
    ("hold", "code", "path"),
    [
        ({"state": "OPEN", "reason": " \n"}, "VALIDATION_FAILED", ["input", "reason"]),
        ({"state": "OPEN", "reason": "x" * 201}, "VALIDATION_FAILED", ["input", "reason"]),
        (
            {"id": "breaker_other", "state": "OPEN", "reason": "x"},
            "NOT_FOUND",
            ["input", "id"],
        ),
        (
            {"id": "provider_vidking", "state": "OPEN", "reason": "x"},
            "NOT_FOUND",
            ["input", "id"],
        ),
        ({"id": "x", "state": "OPEN", "reason": "x"}, "VALIDATION_FAILED", ["input", "id"]),
    ],
)
async def test_a_breaker_is_not_held_without_a_reason_or_in_a_wrong_way(
    ask: Ask, own: Runtime, hold: dict[str, Any], code: str, path: list[str]
) -> None:
    answer = await ask(SET_BREAKER, Role.OPERATOR, input={"id": BREAKER} | hold)
    payload = answer["data"]["setBreaker"]
    assert payload["breaker"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, path)]
    assert [one.forced for one in await own.sources.breakers.snapshots()] == [False]


async def test_a_breaker_is_no_node_for_others(ask: Ask) -> None:
    query = "query ($id: ID!) { node(id: $id) { id } }"
    for role in (None, Role.USER, Role.EDITOR):
        assert await ask(query, role, id=BREAKER) == {"data": {"node": None}}
    assert (await ask(query, id="provider_vidking"))["data"]["node"]["id"] == "provider_vidking"


async def test_operators_receive_every_breaker_that_changes(own: Runtime) -> None:
    app = build_silent_app(own)
    ask = build_asker(own)
    watching = "subscription { breakerChanged { name state forced } }"

    async def hold(state: str | None) -> None:
        fields = {"id": BREAKER, "state": state, "reason": "test"}
        answer = await ask(SET_BREAKER, Role.OPERATOR, input=fields)
        assert answer["data"]["setBreaker"]["errors"] == []

    async with serve_app(app, own.settings) as server:
        async with server.socket() as socket:
            # given a breaker that is held already: it is told at once
            await hold("OPEN")
            await socket.initialised(token_for(own, Role.OPERATOR))
            await socket.subscribe("b", watching)
            changes = [(await socket.receive())["payload"]["data"]["breakerChanged"]]
            # when it changes, each change is told
            for state in ("CLOSED", "OPEN", None):
                await hold(state)
                changes.append((await socket.receive())["payload"]["data"]["breakerChanged"])
        assert [(one["name"], one["state"], one["forced"]) for one in changes] == [
            ("provider-vidking", "OPEN", True),
            ("provider-vidking", "CLOSED", True),
            ("provider-vidking", "OPEN", True),
            ("provider-vidking", "CLOSED", False),
        ]
        # and nobody else may watch
        async with server.socket() as socket:
            await socket.initialised(token_for(own, Role.EDITOR))
            await socket.subscribe("b", watching)
            refused = json.dumps(await socket.receive())
    assert "FORBIDDEN" in refused
