"""A runtime as if it had been started with these providers, on the worker's stores."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
from pydantic import SecretStr

import models
from models.mongo import ids
from resolvers.context import Context, Runtime, Viewer
from services import http_client
from services.breaker.breaker import BreakerRules, CircuitBreakers
from services.cache.cache import Cache
from services.providers import open_chain
from services.providers.overrides import ProviderSettings
from tests.support.api_client import GraphQL, build_silent_app, token_for
from tests.support.fake_provider import FakeProvider
from tests.support.runtimes import with_changes

Entry = dict[str, Any]
Ask = Callable[..., Awaitable[dict[str, Any]]]


def json_provider(key: str, url: str, **more: Any) -> Entry:
    return {"key": key, "kind": "json", "name": key.title(), "base_url": url, **more}


@asynccontextmanager
async def open_providers(
    runtime: Runtime, *entries: Entry, cache: Cache | None = None, **changes: Any
) -> AsyncIterator[Runtime]:
    """`entries` are PROVIDERS, `given` other settings. Each is a process of its own to the others:
    with its own breakers and, if told so, its own cache."""
    update = {
        "providers": SecretStr(json.dumps(entries)),
        "provider_timeout_seconds": 2.0,
    } | changes
    settings = runtime.settings.model_copy(update=update)
    changed = ProviderSettings()
    breakers = CircuitBreakers(runtime.state_redis, BreakerRules.of(settings))
    async with http_client.connect(settings.provider_timeout_seconds) as client:
        yield with_changes(
            runtime,
            settings=settings,
            sources={
                "providers": open_chain(settings, client, changed, breakers),
                "provider_settings": changed,
                "breakers": breakers,
            },
            cache=cache or runtime.cache,
        )
    await breakers.aclose()


def build_viewer_context(
    runtime: Runtime, role: models.Role = models.Role.USER, name: str = ""
) -> Context:
    """An operation of somebody with this role; `name` tells several of them apart."""
    user_id = ids.derive("user", "test", role.value, name)
    return Context(runtime, Viewer(user_id, role, models.AccountTier.FREE, f"login_{name or '1'}"))


def vidking(fake: FakeProvider, switch: str = "ok") -> dict[str, Any]:
    return {
        "vidking_base_url": fake.url(switch),
        "vidking_enabled": True,
        "vidking_api_key": SecretStr("s3cret"),
    }


def build_asker(runtime: Runtime, executor: str = "plan") -> Ask:
    """Sends an operation by the front door, as somebody of this role; answers with its body."""
    settings = runtime.settings.model_copy(update={"graphql_executor": executor})
    transport = httpx.ASGITransport(build_silent_app(replace(runtime, settings=settings)))

    async def ask(
        query: str, role: models.Role | None = None, /, **variables: Any
    ) -> dict[str, Any]:
        token = token_for(runtime, role) if role is not None else None
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await GraphQL(client)(query, variables, token))[1]

    return ask


def read_codes(answer: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in answer.get("errors", [])}
