"""Which providers there are, and in what order, by the settings; and what they are asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services import http_client
from services.errors import StartupError
from services.http_client import HttpClient
from services.providers import build_providers
from services.providers.attempts import Override
from services.providers.base import (
    ProviderInfo,
    SourceType,
    SupportedHint,
    TitleKind,
    TitleRef,
)
from services.providers.embed_template import EmbedTemplate
from services.providers.json_api import JsonApi
from services.providers.overrides import apply_overrides
from services.providers.rollout import is_in_rollout
from services.quality import Quality
from services.settings.settings import Settings
from tests.support.fake_provider import FakeProvider

FILM = TitleRef("movie_1", tmdb_id=603, imdb_id="tt0133093")
EPISODE = TitleRef("episode_1", 1399, "tt0944947", TitleKind.TV, season=1, episode=2)
ACME = json.dumps(
    [{"key": "acme", "kind": "json", "name": "Acme", "base_url": "https://a.example"}]
)
VIDKING = {"vidking_base_url": "https://v.example/api/v1", "vidking_enabled": True}
TEMPLATES = {
    "vidsrc_template": "https://one.example/movie/{tmdb_id}",
    "embed_su_tv_template": "https://two.example/tv/{tmdb_id}/{season}/{episode}",
    "super_embed_template": "https://three.example/?video_id={imdb_id}",
}


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with http_client.connect(2.0) as client:
        yield client


def infos(client: HttpClient, **changes: Any) -> list[ProviderInfo]:
    settings = Settings(_env_file=None, **changes)
    return [provider.info for provider in build_providers(settings, client)]


def test_without_settings_there_is_our_library_alone(client: HttpClient) -> None:
    assert infos(client) == [ProviderInfo("library", "Library", 1)]


def test_vidking_is_there_with_an_address_and_called_when_enabled(client: HttpClient) -> None:
    _, off = infos(client, vidking_base_url="https://v.example")
    _, on = infos(client, **VIDKING, vidking_api_key="s3cret")
    assert off == ProviderInfo("vidking", "VidKing", 2, enabled=False)
    assert on == ProviderInfo("vidking", "VidKing", 2)


def test_the_first_priority_of_vidking_is_before_the_others_and_the_second_behind(
    client: HttpClient,
) -> None:
    def order(priority: int) -> list[tuple[str, int, bool]]:
        listed = infos(client, **VIDKING, **TEMPLATES, providers=ACME, vidking_priority=priority)
        return [(info.key, info.priority, info.is_fallback) for info in listed]

    assert order(1) == [
        ("library", 1, False),
        ("vidking", 2, False),
        ("acme", 3, True),
        ("vidsrc", 4, True),
        ("embed_su", 5, True),
        ("super_embed", 6, True),
    ]
    assert [(key, is_fallback) for key, _, is_fallback in order(2)][:3] == [
        ("library", False),
        ("acme", False),
        ("vidking", True),
    ]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"vidking_enabled": True}, "VIDKING_ENABLED needs VIDKING_BASE_URL"),
        ({"vidking_base_url": "vidking.example"}, "VIDKING_BASE_URL"),
        ({"vidking_base_url": "https://me:pw@v.example"}, "VIDKING_BASE_URL"),
        ({"vidking_base_url": "https://v.example?api_key=1"}, "VIDKING_BASE_URL"),
        ({"vidking_base_url": "https://v.example:99999"}, "VIDKING_BASE_URL"),
        ({**VIDKING, "vidking_api_key": "two\nlines"}, "VIDKING_API_KEY"),
        ({"vidsrc_template": "javascript:{tmdb_id}"}, "VIDSRC_TEMPLATE"),
        ({"vidsrc_template": "https://e.example/film"}, "VIDSRC_TEMPLATE"),
        ({"vidsrc_template": "https://e.example/{season}/{tmdb_id}"}, "VIDSRC_TEMPLATE"),
        ({"embed_su_tv_template": "https://e.example/{tmdb_id}"}, "EMBED_SU_TV_TEMPLATE"),
        ({"super_embed_template": "https://{tmdb_id}.example/x"}, "SUPER_EMBED_TEMPLATE"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(
    client: HttpClient, changes: dict[str, Any], names: str
) -> None:
    with pytest.raises(StartupError) as raised:
        infos(client, **changes)
    assert names in str(raised.value)
    assert "two" not in str(raised.value)


async def test_a_template_for_films_says_nothing_of_episodes_and_the_other_way_round() -> None:
    info = ProviderInfo("emb", "Emb")
    films = EmbedTemplate(info, "https://e.example/{tmdb_id}")
    episodes = EmbedTemplate(info, None, "https://e.example/{imdb_id}/{season}-{episode}")
    assert await films.embed(FILM) == "https://e.example/603"
    assert await films.embed(EPISODE) is None
    assert await episodes.embed(FILM) is None
    assert await episodes.embed(EPISODE) == "https://e.example/tt0944947/1-2"
    (source,) = await episodes.sources(EPISODE)
    assert (source.type, source.priority) == (SourceType.EMBED, 10)


async def test_where_to_begin_and_the_language_go_where_a_template_has_a_place_for_them() -> None:
    template = "https://e.example/{tmdb_id}?t={start}&lang={language}"
    with_places = EmbedTemplate(ProviderInfo("emb", "Emb"), template)
    assert with_places.supported_hints == {SupportedHint.LANGUAGE}
    address = await with_places.embed(TitleRef("m", 603, language="de{start}"))
    assert address is not None
    assert with_places.start_at(address, 90) == "https://e.example/603?t=90&lang=de%7Bstart%7D"
    # and what has no place for them is left as it is
    without_places = EmbedTemplate(ProviderInfo("emb", "Emb"), "https://e.example/{tmdb_id}")
    assert without_places.supported_hints == frozenset()
    assert without_places.start_at("https://e.example/603", 90) == "https://e.example/603"
    (source,) = await with_places.sources(FILM)
    assert source.url == "https://e.example/603?t=0&lang="


async def test_a_json_provider_gets_the_episode_and_only_supported_hints(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    wish = TitleRef(
        "episode_1", 1399, None, TitleKind.TV, 1, 2, language="de", max_quality=Quality.P720
    )
    info = ProviderInfo("acme", "Acme")
    plain = {"title_id": "episode_1", "tmdb": "1399", "type": "tv", "season": "1", "episode": "2"}
    await JsonApi(info, client, provider_server.url("ok")).sources(wish)
    assert provider_server.seen[-1][1] == plain
    await JsonApi(
        info, client, provider_server.url("ok"), supported_hints=list(SupportedHint)
    ).sources(wish)
    assert provider_server.seen[-1][1] == plain | {"language": "de", "max_quality": "720p"}


def test_operators_change_the_order_and_with_it_who_is_first() -> None:
    configured = [
        ProviderInfo("library", "Library", 1),
        ProviderInfo("one", "One", 2),
        ProviderInfo("two", "Two", 3, is_fallback=True),
        ProviderInfo("three", "Three", 4, enabled=False, is_fallback=True),
    ]
    overrides = {
        "one": Override(enabled=False),
        "three": Override(enabled=True, priority=2, rollout_percent=10),
        "gone": Override(priority=1),
    }
    assert apply_overrides(configured, {}) == configured
    assert apply_overrides(configured, overrides) == [
        ProviderInfo("library", "Library", 1),
        ProviderInfo("one", "One", 2, enabled=False, is_fallback=True),
        ProviderInfo("three", "Three", 2, rollout_percent=10),
        ProviderInfo("two", "Two", 3, is_fallback=True),
    ]


def test_a_rollout_is_sticky_grows_and_is_near_its_percentage() -> None:
    viewers = [f"user_{number}" for number in range(2000)]
    inside = {
        percent: {viewer for viewer in viewers if is_in_rollout("acme", percent, viewer)}
        for percent in (0, 10, 50, 100)
    }
    assert inside[0] == set()
    assert inside[100] == set(viewers)
    assert inside[10] < inside[50] < inside[100]
    assert 140 <= len(inside[10]) <= 260
    assert 880 <= len(inside[50]) <= 1120
    # and another provider's tenth are others
    assert inside[10] != {viewer for viewer in viewers if is_in_rollout("other", 10, viewer)}
    assert not is_in_rollout("acme", 99, None)
    assert is_in_rollout("acme", 100, None)
