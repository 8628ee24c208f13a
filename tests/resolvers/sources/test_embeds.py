from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

import pytest
from pydantic import SecretStr

import models
from resolvers.context import Context, Runtime
from resolvers.sources.cached_answers import DataOrigin
from resolvers.sources.embeds import Embed, embeds_of_titles
from resolvers.sources.providers import set_provider
from services.breaker.breaker import BreakerSnapshot, BreakerState
from services.cache.cache import Cache
from services.errors import ValidationFailed
from services.providers.base import TitleRef
from services.providers.chain import breaker_name
from tests.support.clock import Clock
from tests.support.fake_provider import FakeProvider
from tests.support.titles import store, whole_show
from tests.support.with_providers import build_viewer_context, open_providers

FILM = TitleRef("movie_1", tmdb_id=603)
PAGE = "https://v.example/embed/603"
KEY = "streaming:embed:movie_1"


async def embed(
    context: Context, title: TitleRef | models.EpisodeRecord, **wish: Any
) -> Embed | None:
    (page,) = await embeds_of_titles(context, [title], **wish)
    return page


@pytest.fixture(autouse=True)
def unseen(provider_server: FakeProvider) -> None:
    provider_server.seen.clear()


def vidking(provider_server: FakeProvider, switch: str = "ok") -> dict[str, Any]:
    return {
        "vidking_base_url": provider_server.url(switch),
        "vidking_enabled": True,
        "vidking_api_key": SecretStr("s3cret"),
    }


async def test_without_providers_there_is_none(context: Context) -> None:
    assert await embed(context, FILM) is None


async def test_the_first_page_is_cached(runtime: Runtime, provider_server: FakeProvider) -> None:
    async with open_providers(runtime, **vidking(provider_server)) as own:
        first, second = await embed(Context(own), FILM), await embed(Context(own), FILM)
        other = await embed(Context(own), FILM, start_at_seconds=90, language="de")
    assert first is not None
    assert second is not None
    assert (first.url, first.provider_key, first.origin) == (
        PAGE,
        "vidking",
        DataOrigin.PRIMARY_PROVIDER,
    )
    assert second.origin in (DataOrigin.MEMORY, DataOrigin.CACHE)
    # and a wish that this provider does not take makes no second question
    assert other is not None
    assert other.url == PAGE
    assert [path for path, _, _ in provider_server.seen] == ["/ok/embed"]
    assert 6480 <= await runtime.redis.ttl(KEY) <= 7200
    assert b"s3cret" not in await runtime.redis.get(KEY)


async def test_a_template_helps_when_the_first_fails_and_begins_at_the_requested_second(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    template = "https://t.example/{tmdb_id}?t={start}&l={language}"
    settings = vidking(provider_server, "500") | {"vidsrc_template": template}
    async with open_providers(runtime, **settings) as own:
        page = await embed(Context(own), FILM, start_at_seconds=90, language="de")
        cached = await embed(Context(own), FILM, language="de")
        third = await embed(Context(own), FILM, language="fr")
    assert page is not None
    assert page.url == "https://t.example/603?t=90&l=de"
    assert page.origin is DataOrigin.FALLBACK_PROVIDER
    assert cached is not None
    assert cached.url == "https://t.example/603?t=0&l=de"
    assert third is not None
    assert third.url == "https://t.example/603?t=0&l=fr"
    # and a page of a fallback is kept shorter
    (_, ttl) = max([(key, await runtime.redis.ttl(key)) for key in await _keys(runtime)])
    assert 5220 <= ttl <= 5400
    assert len(provider_server.seen) == 2  # one for each language


async def _keys(runtime: Runtime) -> list[bytes]:
    return [key async for key in runtime.redis.scan_iter(match=f"{KEY}*")]


async def test_an_episodes_page_is_requested_by_its_show(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    await store(whole_show(1, [1], tmdb_id=1399))
    (episode,) = await models.find(models.Episode, models.EpisodeRecord, {})
    async with open_providers(runtime, **vidking(provider_server)) as own:
        assert await embed(Context(own), episode) is not None
    query = provider_server.seen[0][1]
    assert {name: query[name] for name in ("tmdb", "type", "season", "episode")} == {
        "tmdb": "1399",
        "type": "tv",
        "season": "1",
        "episode": "1",
    }


async def test_when_all_fail_an_older_page_answers(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    clock = Clock()
    cache = Cache(runtime.redis, clock=clock)
    async with open_providers(runtime, cache=cache, **vidking(provider_server)) as own:
        await embed(Context(own), FILM)
    clock.now += 3700
    async with open_providers(runtime, cache=cache, **vidking(provider_server, "500")) as own:
        page = await embed(Context(own), FILM)
        nothing = await embed(Context(own), TitleRef("movie_2", tmdb_id=604))
    assert page is not None
    assert (page.url, page.origin) == (PAGE, DataOrigin.STALE)
    # and without an older one there is none, and that is not kept
    assert nothing is None
    assert await runtime.redis.exists("streaming:embed:movie_2") == 0


async def test_that_nobody_has_one_is_cached_for_half_a_minute(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    provider_server.bodies["none/embed"] = (200, json.dumps({"embed_url": None}).encode())
    provider_server.bodies["none"] = (200, b"{}")
    async with open_providers(runtime, **vidking(provider_server, "none")) as own:
        assert [await embed(Context(own), FILM) for _ in range(3)] == [None] * 3
    assert len(provider_server.seen) == 1
    assert 0 < await runtime.redis.ttl(KEY) <= 30


async def test_an_open_breaker_spares_a_provider_that_fails(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    # given a provider that fails every time
    async with open_providers(
        runtime, **vidking(provider_server, "500"), breaker_minimum_calls=5
    ) as own:
        numbers = count()
        async with asyncio.timeout(30):
            while (await _breaker(own)).state is not BreakerState.OPEN:
                await embed(Context(own), TitleRef(f"movie_{next(numbers)}", tmdb_id=1))
        # when pages are asked for after it was told so
        provider_server.seen.clear()
        assert await embed(Context(own), FILM) is None
    # then it is left alone
    assert provider_server.seen == []


async def _breaker(runtime: Runtime) -> BreakerSnapshot:
    snapshot = await runtime.sources.breakers.snapshot(breaker_name("vidking"))
    assert snapshot is not None
    return snapshot


async def test_a_provider_that_is_off_is_not_called(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    async with open_providers(runtime, **vidking(provider_server)) as own:
        await set_provider(
            build_viewer_context(own, models.Role.OPERATOR), "provider_vidking", enabled=False
        )
        assert await embed(Context(own), FILM) is None
    assert provider_server.seen == []


@pytest.mark.parametrize("seconds", [-1, 7 * 86400 + 1])
async def test_where_to_begin_is_bounded(
    runtime: Runtime, provider_server: FakeProvider, seconds: int
) -> None:
    async with open_providers(runtime, **vidking(provider_server)) as own:
        with pytest.raises(ValidationFailed) as raised:
            await embed(Context(own), FILM, start_at_seconds=seconds)
    assert raised.value.path == ["input", "startAtSeconds"]
    assert provider_server.seen == []
