"""What viewers get of a provider that nobody checks, while one that is checked fails."""

from __future__ import annotations

from resolvers.context import Context, Runtime
from resolvers.sources.sources import SourceFilter, streaming_sources
from services.cache.cache import Cache
from services.providers.base import TitleRef
from tests.support.clock import Clock
from tests.support.fake_provider import FakeProvider
from tests.support.with_providers import json_provider, open_providers

FILM = TitleRef("movie_1", tmdb_id=603, imdb_id="tt0133093")
PAGES = {"vidsrc_template": "https://pages.example/movie/{tmdb_id}"}


async def test_a_page_nobody_checked_is_kept_half_a_minute_where_a_checked_provider_failed(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    clock = Clock()
    cache = Cache(runtime.redis, clock=clock)
    # given a provider that fails, and behind it pages that nobody checks
    entry = json_provider("acme", provider_server.url("500"))
    async with open_providers(runtime, entry, cache=cache, **PAGES) as own:
        stopgap = await streaming_sources(Context(own), FILM)
        assert stopgap.provider_key == "vidsrc"
        assert (stopgap.expires_at - stopgap.fetched_at).total_seconds() <= 30
    # when it works again
    clock.now += 31
    entry = json_provider("acme", provider_server.url("ok"))
    async with open_providers(runtime, entry, cache=cache, **PAGES) as own:
        better = await streaming_sources(Context(own), FILM)
        assert better.provider_key == "acme"
    # then its answer is not given up for a page, though a refresh finds it failing
    clock.now += 31
    entry = json_provider("acme", provider_server.url("500"))
    async with open_providers(runtime, entry, cache=cache, **PAGES) as own:
        kept = await streaming_sources(Context(own), FILM, SourceFilter(refresh=True))
        assert kept.sources == better.sources


async def test_a_page_is_kept_half_an_hour_where_the_checked_provider_has_nothing(
    runtime: Runtime, provider_server: FakeProvider
) -> None:
    entry = json_provider("acme", provider_server.url("empty"))
    async with open_providers(runtime, entry, **PAGES) as own:
        page = await streaming_sources(Context(own), FILM)
    assert page.provider_key == "vidsrc"
    assert (page.expires_at - page.fetched_at).total_seconds() > 1600
