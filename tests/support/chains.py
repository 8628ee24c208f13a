"""Chains of providers that do as they are told, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from services.errors import ProviderFailed
from services.providers.attempts import ChainResult
from services.providers.base import Provider, ProviderInfo, Source, SourceType, TitleRef
from services.providers.chain import Chain

TITLE = TitleRef("movie_1", tmdb_id=603)
Deed = Callable[["StubProvider"], Awaitable[list[Source]]]


class StubProvider(Provider):
    """Does its deeds one after the other, then the last one again and again."""

    def __init__(self, key: str, *deeds: Deed, priority: int = 1, **more: Any) -> None:
        super().__init__(ProviderInfo(key, key.title(), priority=priority, **more))
        self._deeds = list(deeds)
        self.calls = 0
        self.cancelled_calls = 0

    def does(self, *deeds: Deed) -> None:
        self._deeds = list(deeds)

    async def sources(self, title: TitleRef) -> list[Source]:
        self.calls += 1
        deed = self._deeds.pop(0) if len(self._deeds) > 1 else self._deeds[0]
        try:
            return await deed(self)
        except asyncio.CancelledError:
            self.cancelled_calls += 1
            raise


async def has_it(provider: StubProvider) -> list[Source]:
    return [provider.source(f"https://{provider.info.key}.example/a", SourceType.HLS)]


async def has_a_dead_one(provider: StubProvider) -> list[Source]:
    return [provider.source("https://dead.example", SourceType.HLS, is_working=False)]


async def has_not(_: StubProvider) -> list[Source]:
    return []


async def hangs(_: StubProvider) -> list[Source]:
    await asyncio.sleep(3600)
    return []


def after(seconds: float, deed: Deed = has_it) -> Deed:
    async def later(provider: StubProvider) -> list[Source]:
        await asyncio.sleep(seconds)
        return await deed(provider)

    return later


def fails(reason: str, retry_after_seconds: float | None = None) -> Deed:
    async def fail(_: StubProvider) -> list[Source]:
        raise ProviderFailed(reason, retry_after_seconds=retry_after_seconds)

    return fail


def chain_of(*providers: Provider, **more: Any) -> Chain:
    """So patient, unless told otherwise, that a test fails before a time runs out."""
    options = {"deadline_seconds": 120, "timeout_seconds": 60, "hedge_seconds": 60} | more
    return Chain(providers, **options)


def summarize_attempts(result: ChainResult) -> list[tuple[str, str, str | None, bool]]:
    return [(a.provider_key, a.outcome.value, a.reason, a.hedged) for a in result.attempts]
