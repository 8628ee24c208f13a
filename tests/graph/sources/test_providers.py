"""Providers by the front door: who sees what, and what operators change."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import models
from models import Role
from resolvers.context import Context, Runtime
from resolvers.sources import providers
from services.cache.cache import Cache
from tests.conftest import CountCommands
from tests.support.caching import track_cache
from tests.support.clock import Clock
from tests.support.fake_provider import FakeProvider
from tests.support.with_providers import (
    Ask,
    build_asker,
    build_viewer_context,
    json_provider,
    open_providers,
    read_codes,
    vidking,
)

PUBLIC = "{ providers { id key name priority enabled rolloutPercent } }"
PRIVATE = """{ providers { key
  status { available message rateLimitRemaining checkedAt }
  breaker { id name state calls failures slowCalls failureRate openedAt retryAt forced }
  healthScore p95LatencyMs } }"""
SET_PROVIDER = """mutation ($input: SetProviderInput!) { setProvider(input: $input) {
  provider { key priority enabled rolloutPercent } errors { code path message } } }"""
SET_BREAKER = """mutation ($input: SetBreakerInput!) { setBreaker(input: $input) {
  breaker { id name state forced } errors { code path } } }"""
BREAKER = "breaker_provider-vidking"


async def test_everybody_sees_which_providers_are_used(ask: Ask) -> None:
    answer = await ask(PUBLIC)
    assert answer == {
        "data": {
            "providers": [
                {
                    "id": f"provider_{key}",
                    "key": key,
                    "name": name,
                    "priority": priority,
                    "enabled": True,
                    "rolloutPercent": 100,
                }
                for priority, (key, name) in enumerate(
                    [("library", "Library"), ("vidking", "VidKing"), ("vidsrc", "VidSrc")], 1
                )
            ]
        }
    }


@pytest.mark.parametrize(
    ("role", "code"),
    [(None, "UNAUTHENTICATED"), (Role.USER, "FORBIDDEN"), (Role.EDITOR, "FORBIDDEN")],
)
async def test_how_they_do_is_for_operators(
    ask: Ask, provider_server: FakeProvider, role: Role | None, code: str
) -> None:
    answer = await ask(PRIVATE, role)
    assert read_codes(answer) == {code}
    nothing = {"status": None, "breaker": None, "healthScore": None, "p95LatencyMs": None}
    assert [one | nothing == one for one in answer["data"]["providers"]] == [True] * 3
    # and nobody was called for it
    assert provider_server.seen == []
    assert read_codes(await ask("{ circuitBreakers { name } }", role)) == {code}


async def test_operators_see_how_they_do(ask: Ask) -> None:
    answer = await ask(PRIVATE, Role.OPERATOR)
    assert "errors" not in answer
    library, king, templated = answer["data"]["providers"]
    status = king.pop("status")
    assert status.pop("checkedAt") is not None
    assert status == {"available": True, "message": "all is well", "rateLimitRemaining": 42}
    assert king["breaker"] == {
        "id": BREAKER,
        "name": "provider-vidking",
        "state": "CLOSED",
        "calls": 0,
        "failures": 0,
        "slowCalls": 0,
        "failureRate": 0.0,
        "openedAt": None,
        "retryAt": None,
        "forced": False,
    }
    assert 0 <= king["healthScore"] <= 1
    assert king["p95LatencyMs"] is None
    assert [(one["status"], one["breaker"]) for one in (library, templated)] == [(None, None)] * 2


async def test_a_status_is_requested_once_in_half_a_minute(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    clock = Clock()
    cache = Cache(runtime.redis, clock=clock)
    async with open_providers(runtime, cache=cache, **vidking(provider_server)) as own:
        ask = build_asker(own)
        first = await ask(PRIVATE, Role.OPERATOR)
        clock.now += 20
        assert await ask(PRIVATE, Role.OPERATOR) == first
        assert len(provider_server.seen) == 1
        clock.now += 11
        assert await ask(PRIVATE, Role.OPERATOR) != first
        assert len(provider_server.seen) == 2
        # and of a provider that is off it is not asked for at all
        await ask(SET_PROVIDER, Role.OPERATOR, input={"id": "provider_vidking", "enabled": False})
        off = await ask(PRIVATE, Role.OPERATOR)
        assert len(provider_server.seen) == 2
    status_by_key = {one["key"]: one["status"] for one in off["data"]["providers"]}
    assert status_by_key == {"library": None, "vidking": None}


@pytest.mark.parametrize(
    ("switch", "message"),
    [("500", "HTTP_500"), ("hang", "TIMEOUT"), ("refused", "CONNECTION_FAILED"),
     ("malformed", "MALFORMED_JSON"), ("array", "WRONG_SHAPE")],
)  # fmt: skip
async def test_a_provider_that_cannot_say_how_it_is_is_not_available(
    runtime: Runtime, provider_server: FakeProvider, switch: str, message: str
) -> None:
    settings = vidking(provider_server, switch) | {"provider_timeout_seconds": 0.5}
    async with open_providers(runtime, **settings) as own:
        answer = await build_asker(own)(PRIVATE, Role.OPERATOR)
    status = answer["data"]["providers"][1]["status"]
    assert (status["available"], status["message"]) == (False, message)
    assert "s3cret" not in json.dumps(answer)


async def test_an_operator_changes_a_provider_for_good(ask: Ask, own: Runtime) -> None:
    change = {"id": "provider_vidsrc", "priority": 1, "rolloutPercent": 30}
    answer = await ask(SET_PROVIDER, Role.OPERATOR, input=change)
    expected = {"key": "vidsrc", "priority": 1, "enabled": True, "rolloutPercent": 30}
    assert answer["data"]["setProvider"] == {"provider": expected, "errors": []}
    # then the list is in the new order, after the library, which is asked first among equals
    answer = await ask(PUBLIC)
    order = [(one["key"], one["priority"]) for one in answer["data"]["providers"]]
    assert order == [("library", 1), ("vidsrc", 1), ("vidking", 2)]
    # and a second change leaves the first as it is
    await ask(SET_PROVIDER, Role.OPERATOR, input={"id": "provider_vidsrc", "enabled": False})
    (stored,) = await models.all_provider_settings()
    assert (stored.enabled, stored.priority, stored.rollout_percent, stored.version) == (
        False, 1, 30, 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"id": "provider_vidking"}, "VALIDATION_FAILED", ["input", "enabled"]),
        ({"id": "provider_vidking", "priority": 0}, "VALIDATION_FAILED", ["input", "priority"]),
        ({"id": "provider_vidking", "priority": 1001}, "VALIDATION_FAILED", ["input", "priority"]),
        (
            {"id": "provider_vidking", "rolloutPercent": 101},
            "VALIDATION_FAILED",
            ["input", "rolloutPercent"],
        ),
        (
            {"id": "provider_vidking", "rolloutPercent": -1},
            "VALIDATION_FAILED",
            ["input", "rolloutPercent"],
        ),
        ({"id": "provider_nobody", "enabled": False}, "NOT_FOUND", ["input", "id"]),
        ({"id": "movie_vidking", "enabled": False}, "NOT_FOUND", ["input", "id"]),
        ({"id": "vidking", "enabled": False}, "VALIDATION_FAILED", ["input", "id"]),
    ],
)
async def test_a_change_that_is_wrong_changes_nothing(
    ask: Ask, change: dict[str, Any], code: str, path: list[str]
) -> None:
    payload = (await ask(SET_PROVIDER, Role.OPERATOR, input=change))["data"]["setProvider"]
    assert payload["provider"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, path)]
    assert await models.all_provider_settings() == []


@pytest.mark.parametrize(
    ("role", "code"),
    [(None, "UNAUTHENTICATED"), (Role.USER, "FORBIDDEN"), (Role.EDITOR, "FORBIDDEN")],
)
async def test_only_operators_change_anything(
    ask: Ask, own: Runtime, role: Role | None, code: str
) -> None:
    change = {"id": "provider_vidking", "enabled": False}
    assert read_codes(await ask(SET_PROVIDER, role, input=change)) == {code}
    hold = {"id": BREAKER, "state": "OPEN", "reason": "mine"}
    assert read_codes(await ask(SET_BREAKER, role, input=hold)) == {code}
    assert await models.all_provider_settings() == []
    assert [one.forced for one in await own.sources.breakers.snapshots()] == [False]


async def test_another_process_hears_of_a_change_within_a_second(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    entry = json_provider("acme", provider_server.url("ok"))
    cache = Cache(runtime.redis)
    async with (
        track_cache(cache, runtime.settings),
        open_providers(runtime, entry) as here,
        open_providers(runtime, entry, cache=cache) as there,
    ):
        # given two processes that have both read that nothing is changed
        for one in (here, there):
            assert [info.enabled for info in await providers.providers(Context(one))] == [True] * 2
        # when an operator asks one of them to switch a provider off
        operator = build_viewer_context(here, Role.OPERATOR)
        await providers.set_provider(operator, "provider_acme", enabled=False)
        # then the other one knows within a second, or a little more on a busy machine
        async with asyncio.timeout(5):
            while (await providers.providers(Context(there)))[1].enabled:
                await asyncio.sleep(0.01)


async def test_the_list_costs_the_same_for_any_number_of_providers(
    runtime: Runtime, provider_server: FakeProvider, count_commands: CountCommands
) -> None:
    costs = []
    for number in (1, 10):
        entries = [json_provider(f"p{n}", provider_server.url("ok")) for n in range(number)]
        await runtime.redis.flushdb()
        runtime.cache.clear_memory()
        async with open_providers(runtime, *entries) as own:
            await count_commands.reset()
            await build_asker(own)(PRIVATE, Role.OPERATOR)
            costs.append(count_commands.mongo)
    assert costs == [["provider_settings.find"]] * 2
