"""The fields of sources on both executors; what they do is tested in tests/resolvers."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry

import models
from graph.base.fields import resolver
from graph.base.info import Info
from graph.schema import CONFIG
from graph.sources.providers import ProvidersQuery
from graph.sources.sources import TitleSources
from resolvers.context import Context
from resolvers.sources.providers import find_providers
from services.errors import ProviderFailed
from services.providers.base import (
    Provider,
    ProviderInfo,
    Source,
    SourceType,
    Subtitle,
    TitleRef,
)
from services.providers.chain import Chain
from services.quality import Quality
from tests.support.operations import Send, open_operations, run_operation
from tests.support.runtimes import with_changes


@strawberry.type(description="A film.")
class Film(TitleSources):
    pass


async def _film(info: Info) -> models.MovieRecord:
    return models.MovieRecord(id="movie_1", tmdb_id=603)


@strawberry.type
class Query(ProvidersQuery):
    film: Film = resolver(_film, "The film.")


class Broken(Provider):
    async def sources(self, title: TitleRef) -> list[Source]:
        raise ProviderFailed("HTTP_500")


class Good(Provider):
    embeds = True

    async def embed(self, title: TitleRef) -> str | None:
        return f"https://e.example/{title.tmdb_id}"

    def start_at(self, address: str, seconds: int) -> str:
        return f"{address}?t={seconds}"

    async def sources(self, title: TitleRef) -> list[Source]:
        subtitles = (Subtitle("de", "https://s.example/de.vtt"),)
        return [
            self.source(f"https://e.example/{title.tmdb_id}", SourceType.EMBED),
            self.source(
                "https://c.example/a.m3u8",
                SourceType.HLS,
                Quality.P1080,
                language="en",
                subtitles=subtitles,
            ),
        ]


SCHEMA = strawberry.Schema(query=Query, config=CONFIG)


@pytest.fixture
def sources_context(context: Context) -> Context:
    providers = [
        Broken(ProviderInfo("broken", "Broken", 1)),
        Good(ProviderInfo("good", "Good", 2, is_fallback=True)),
    ]
    chain = Chain(providers, deadline_seconds=1, timeout_seconds=1)
    return Context(with_changes(context.runtime, sources={"providers": chain}))


@pytest.fixture(params=["plan", "core"])
def send(request: pytest.FixtureRequest, sources_context: Context) -> Send:
    operations = open_operations(SCHEMA, request.param)

    async def run(query: str, **variables: Any) -> dict[str, Any]:
        return await run_operation(operations, sources_context, query, variables)

    return run


async def test_sources_say_where_they_come_from(send: Send) -> None:
    answer = await send(
        """{ film { streamingSources {
          sources { url type quality language isWorking priority provider { key }
                    subtitles { language label url } }
          primary { url } fallback { url } links origin provider { id key name priority enabled }
          best { url } embed: best(types: [EMBED]) { url } none: best(types: [DIRECT]) { url }
          attempts { provider { key } outcome hedged reason }
          fetchedAt expiresAt
        } } }"""
    )
    assert "errors" not in answer
    sources = answer["data"]["film"]["streamingSources"]
    hls, embed = "https://c.example/a.m3u8", "https://e.example/603"
    assert sources.pop("fetchedAt") < sources.pop("expiresAt")
    assert sources == {
        "sources": [
            {
                "url": hls,
                "type": "HLS",
                "quality": "P1080",
                "language": "en",
                "isWorking": True,
                "priority": 70,
                "provider": {"key": "good"},
                "subtitles": [{"language": "de", "label": None, "url": "https://s.example/de.vtt"}],
            },
            {
                "url": embed,
                "type": "EMBED",
                "quality": "UNKNOWN",
                "language": None,
                "isWorking": True,
                "priority": 10,
                "provider": {"key": "good"},
                "subtitles": [],
            },
        ],
        "primary": [],
        "fallback": [{"url": hls}, {"url": embed}],
        "links": [hls, embed],
        "origin": "FALLBACK_PROVIDER",
        "provider": {
            "id": "provider_good",
            "key": "good",
            "name": "Good",
            "priority": 2,
            "enabled": True,
        },
        "best": {"url": hls},
        "embed": {"url": embed},
        "none": None,
        "attempts": [
            {
                "provider": {"key": "broken"},
                "outcome": "ERROR",
                "hedged": False,
                "reason": "HTTP_500",
            },
            {"provider": {"key": "good"}, "outcome": "HIT", "hedged": False, "reason": None},
        ],
    }


async def test_sources_are_filtered_by_the_input(send: Send) -> None:
    query = """query($input: StreamingSourcesInput) {
      film { streamingSources(input: $input) { origin sources { type } } } }"""
    answers = [
        await send(query, input=source_filter)
        for source_filter in (
            {"types": ["HLS"]},
            {"maxQuality": "P720"},
            {"language": "fr"},
            {"types": []},
            None,
        )
    ]
    results = [answer["data"]["film"]["streamingSources"] for answer in answers]
    assert [[source["type"] for source in one["sources"]] for one in results] == [
        ["HLS"],
        ["EMBED"],
        ["EMBED"],
        [],
        ["HLS", "EMBED"],
    ]
    # and only the first asked a provider; where the others found it depends on when Redis's word of
    # its coming empties memory of it
    assert results[0]["origin"] == "FALLBACK_PROVIDER"
    assert {one["origin"] for one in results[1:]} <= {"CACHE", "MEMORY"}


async def test_providers_are_listed_in_order(send: Send, sources_context: Context) -> None:
    answer = await send("{ providers { __typename id key priority enabled } }")
    assert [(one["id"], one["priority"]) for one in answer["data"]["providers"]] == [
        ("provider_broken", 1),
        ("provider_good", 2),
    ]
    providers = await find_providers(sources_context, ["provider_good", "provider_nobody"])
    assert list(providers) == ["provider_good"]


async def test_a_player_page_says_which_provider_offers_it(send: Send) -> None:
    query = """query($input: EmbedInput) {
      film { embed(input: $input) { url origin provider { key isOn: enabled } } } }"""
    answer = await send(query, input={"startAtSeconds": 90, "language": "de"})
    assert answer["data"]["film"]["embed"] == {
        "url": "https://e.example/603?t=90",
        "origin": "FALLBACK_PROVIDER",
        "provider": {"key": "good", "isOn": True},
    }
    # and where to begin is checked
    refused = await send(query, input={"startAtSeconds": -1})
    assert refused["data"]["film"]["embed"] is None
    assert refused["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"
