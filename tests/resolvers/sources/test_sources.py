from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resolvers.context import Context, Runtime
from resolvers.sources import sources
from resolvers.sources.cached_answers import DataOrigin
from resolvers.sources.sources import SourceFilter, streaming_sources
from services import http_client
from services.cache.cache import Cache
from services.errors import StartupError
from services.providers import open_chain
from services.providers.base import Source, SourceType, TitleRef
from services.providers.chain import Attempt, AttemptOutcome
from services.quality import Quality
from services.settings.settings import Settings
from tests.support.clock import Clock
from tests.support.fake_provider import FakeProvider
from tests.support.runtimes import with_changes

TITLE = TitleRef("movie_1", tmdb_id=603, imdb_id="tt0133093")
KEY = "streaming:sources:movie_1"


class Situation:
    """A runtime with its own cache and clock and these providers."""

    def __init__(
        self, runtime: Runtime, provider_server: FakeProvider, client: Any, folder: Path
    ) -> None:
        self.clock = Clock()
        self._runtime, self.provider_server, self._client, self._folder = (
            runtime,
            provider_server,
            client,
            folder,
        )

    def context(self, *switches: str, api_key: str | None = None) -> Context:
        entries = [
            {
                "key": f"p{n}",
                "kind": "json",
                "name": f"P{n}",
                "base_url": self.provider_server.url(switch),
            }
            | ({"api_key": api_key} if api_key else {})
            for n, switch in enumerate(switches, start=1)
        ]
        settings = Settings(
            _env_file=None,
            data_dir=self._folder,
            providers=json.dumps(entries),
            provider_timeout_seconds=0.3,
        )
        cache = Cache(self._runtime.redis, clock=self.clock)
        chain = open_chain(settings, self._client)
        return Context(
            with_changes(self._runtime, cache=cache, clock=self.clock, sources={"providers": chain})
        )


@pytest.fixture
async def situation(
    runtime: Runtime, provider_server: FakeProvider, tmp_path: Path
) -> AsyncIterator[Situation]:
    provider_server.seen.clear()
    async with http_client.connect(1.0) as client:
        yield Situation(runtime, provider_server, client, tmp_path)


async def test_the_first_providers_answer_is_cached_an_hour(situation: Situation) -> None:
    # given a provider that has the title
    context = situation.context("ok")
    # when it is asked twice
    first = await streaming_sources(context, TITLE)
    again = await streaming_sources(context, TITLE)
    # then one call was made and the second answer says where it came from
    assert len(situation.provider_server.seen) == 1
    assert (first.origin, again.origin) == (DataOrigin.PRIMARY_PROVIDER, DataOrigin.MEMORY)
    assert again == replace(first, origin=DataOrigin.MEMORY)
    assert first.provider_key == "p1"
    assert first.primary == first.sources
    assert first.fallback == []
    assert first.fetched_at == datetime.fromtimestamp(situation.clock.now, UTC)
    assert 3240 <= (first.expires_at - first.fetched_at).total_seconds() <= 3600
    # and another process finds it in Redis
    other = await streaming_sources(situation.context("ok"), TITLE)
    assert other.origin is DataOrigin.CACHE
    assert len(situation.provider_server.seen) == 1


async def test_a_fallbacks_answer_is_cached_half_an_hour(situation: Situation) -> None:
    context = situation.context("500", "ok")
    answer_ = await streaming_sources(context, TITLE)
    assert answer_.origin is DataOrigin.FALLBACK_PROVIDER
    assert answer_.provider_key == "p2"
    assert answer_.primary == []
    assert len(answer_.fallback) == 2
    assert 1620 <= (answer_.expires_at - answer_.fetched_at).total_seconds() <= 1800
    situation.clock.now += 1801
    await streaming_sources(situation.context("500", "ok"), TITLE)
    assert len(situation.provider_server.seen) == 4


async def test_an_answer_of_failures_is_not_cached(situation: Situation, runtime: Runtime) -> None:
    context = situation.context("500", "hang")
    answer_ = await streaming_sources(context, TITLE)
    assert answer_.sources == []
    assert answer_.provider_key is None
    assert answer_.origin is DataOrigin.DEFAULT
    assert answer_.expires_at == answer_.fetched_at
    assert [(one.provider_key, one.outcome, one.reason) for one in answer_.attempts] == [
        ("library", AttemptOutcome.EMPTY, None),
        ("p1", AttemptOutcome.ERROR, "HTTP_500"),
        ("p2", AttemptOutcome.TIMEOUT, None),
    ]
    assert await runtime.redis.exists(KEY) == 0


async def test_that_nobody_has_the_title_is_cached_for_half_a_minute(
    situation: Situation, runtime: Runtime
) -> None:
    context = situation.context("empty")
    for _ in range(3):
        answer_ = await streaming_sources(context, TITLE)
        assert (answer_.sources, answer_.provider_key) == ([], None)
    assert len(situation.provider_server.seen) == 1
    assert 0 < await runtime.redis.ttl(KEY) <= 30


async def test_when_all_fail_the_older_copy_answers(situation: Situation) -> None:
    # given an answer that has expired
    before = await streaming_sources(situation.context("ok"), TITLE)
    situation.clock.now += 3700
    # when every provider fails
    older = await streaming_sources(situation.context("500"), TITLE)
    # then it is served, and says so
    assert older.origin is DataOrigin.STALE
    assert older.sources == before.sources
    assert older.attempts[-1].reason == "HTTP_500"
    # but a provider that has it no more is believed
    empty = await streaming_sources(situation.context("empty"), TITLE)
    assert empty.sources == []


async def test_many_at_once_cost_one_call(situation: Situation) -> None:
    context = situation.context("slow")
    results = await asyncio.gather(*(streaming_sources(context, TITLE) for _ in range(50)))
    assert len(situation.provider_server.seen) == 1
    assert {len(one.sources) for one in results} == {2}


async def test_a_caller_who_leaves_does_not_take_the_others_answer_along(
    situation: Situation,
) -> None:
    context = situation.context("slow")
    leaving = asyncio.create_task(streaming_sources(context, TITLE))
    staying = asyncio.create_task(streaming_sources(context, TITLE))
    await asyncio.sleep(0.03)
    leaving.cancel()
    assert len((await staying).sources) == 2
    assert len(situation.provider_server.seen) == 1


async def test_a_refresh_asks_again_but_not_within_half_a_minute(situation: Situation) -> None:
    context, refresh = situation.context("ok"), SourceFilter(refresh=True)
    await streaming_sources(context, TITLE)
    assert (await streaming_sources(context, TITLE, refresh)).origin is DataOrigin.MEMORY
    situation.clock.now += 31
    again = await streaming_sources(context, TITLE, refresh)
    assert again.origin is DataOrigin.PRIMARY_PROVIDER
    assert len(situation.provider_server.seen) == 2
    # and a refresh that fails leaves what was there
    situation.clock.now += 31
    older = await streaming_sources(situation.context("500"), TITLE, refresh)
    assert (older.origin, len(older.sources)) == (DataOrigin.CACHE, 2)


async def test_redis_away_costs_nothing_but_the_call(
    situation: Situation, runtime: Runtime
) -> None:
    context = situation.context("ok")
    away = Cache(runtime.redis, tiers="none")
    result = await streaming_sources(Context(replace(context.runtime, cache=away)), TITLE)
    assert len(result.sources) == 2


async def test_no_key_of_a_provider_is_cached_or_shown(
    situation: Situation, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for switch in ("ok", "500", "malformed", "refused", "hang"):
        await runtime.redis.flushdb()
        result = await streaming_sources(situation.context(switch, api_key="s3cret"), TITLE)
        assert "s3cret" not in repr(result)
        assert b"s3cret" not in (await runtime.redis.get(KEY) or b"")
    assert "s3cret" not in caplog.text


def source(url: str, **more: Any) -> Source:
    fields: dict[str, Any] = {"type": SourceType.HLS, "quality": Quality.P1080, "priority": 1}
    return Source(url=url, provider_key="p", **(fields | more))


def answer(*listed: Source) -> sources.StreamingSources:
    now = datetime.now(UTC)
    return sources.StreamingSources(
        list(listed), "p", False, DataOrigin.CACHE, now, now, [Attempt("p", AttemptOutcome.HIT)]
    )


def test_the_best_is_the_first_that_works_and_fits() -> None:
    result = answer(
        source("broken", is_working=False),
        source("large", quality=Quality.P2160),
        source("embed", type=SourceType.EMBED, quality=Quality.P720),
        source("unknown", quality=Quality.UNKNOWN),
    )
    best = {
        "any": result.best(),
        "embed": result.best([SourceType.EMBED]),
        "720": result.best(max_quality=Quality.P720),
        "360": result.best(max_quality=Quality.P360),
        "none": result.best([SourceType.DIRECT]),
    }
    assert {name: one.url if one else None for name, one in best.items()} == {
        "any": "large",
        "embed": "embed",
        "720": "embed",
        "360": "unknown",
        "none": None,
    }
    assert result.links == ["large", "embed", "unknown"]


@pytest.mark.parametrize(
    ("has", "requested", "fits"),
    [
        ("en", "en", True),
        ("en-US", "en", True),
        ("EN", "en-GB", True),
        ("de", "en", False),
        ("eng", "en", False),
        (None, "en", True),
        ("en", None, True),
    ],
)
def test_languages_match_by_their_tags(has: str | None, requested: str | None, fits: bool) -> None:
    assert SourceFilter(language=requested).accepts(source("x", language=has)) is fits


async def test_requested_sources_are_cut_out_of_the_whole_answer(situation: Situation) -> None:
    context = situation.context("ok")
    hls = await streaming_sources(context, TITLE, SourceFilter(types=frozenset({SourceType.HLS})))
    small = await streaming_sources(context, TITLE, SourceFilter(max_quality=Quality.P720))
    assert [one.type for one in hls.sources] == [SourceType.HLS]
    assert [one.quality for one in small.sources] == [Quality.P720]
    assert len(situation.provider_server.seen) == 1


async def test_a_bad_configuration_stops_the_start(runtime: Runtime) -> None:
    settings = runtime.settings.model_copy(
        update={"providers": Settings(_env_file=None, providers='[{"key": "acme"}]').providers}
    )
    async with http_client.connect(1.0) as client:
        with pytest.raises(StartupError, match="acme"):
            open_chain(settings, client)
