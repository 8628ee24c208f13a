"""VidKing's interface as it was described, played by a server on loopback."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services import http_client
from services.errors import ProviderFailed
from services.http_client import HttpClient
from services.providers.base import (
    Availability,
    ProviderInfo,
    Source,
    SourceType,
    Subtitle,
    TitleKind,
    TitleRef,
)
from services.providers.chain import Chain
from services.providers.vidking import VidKing
from services.quality import Quality
from tests.support.fake_provider import FakeProvider

FILM = TitleRef("movie_1", tmdb_id=603, imdb_id="tt0133093")
EPISODE = TitleRef("episode_1", tmdb_id=1399, kind=TitleKind.TV, season=0, episode=2)
KEY = "s3cret/k+y"
INFO = ProviderInfo("vidking", "VidKing")


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with http_client.connect(2.0) as client:
        yield client


@pytest.fixture
def vidking(provider_server: FakeProvider, client: HttpClient) -> VidKing:
    provider_server.seen.clear()
    return VidKing(INFO, client, provider_server.url("ok"), KEY)


def answering_with(
    provider_server: FakeProvider, client: HttpClient, path: str, body: Any
) -> VidKing:
    """A VidKing that answers `path` with this."""
    provider_server.bodies["given"] = (200, b"{}")
    provider_server.bodies[f"given/{path}"] = (200, json.dumps(body).encode())
    return VidKing(INFO, client, provider_server.url("given"), KEY)


async def test_a_film_is_requested_as_described(
    vidking: VidKing, provider_server: FakeProvider
) -> None:
    await vidking.sources(FILM)
    path, query, headers = provider_server.seen[-1]
    assert path == "/ok/source"
    assert query == {"tmdb": "603", "type": "movie", "api_key": KEY}
    assert headers["user-agent"].startswith("Marquee/")


async def test_an_episode_is_requested_by_its_shows_number(
    vidking: VidKing, provider_server: FakeProvider
) -> None:
    await vidking.sources(EPISODE)
    await vidking.embed(EPISODE)
    expected_query = {"tmdb": "1399", "type": "tv", "season": "0", "episode": "2", "api_key": KEY}
    assert [(path, query) for path, query, _ in provider_server.seen] == [
        ("/ok/source", expected_query),
        ("/ok/embed", expected_query),
    ]


async def test_its_sources_are_ranked_by_the_documented_weights(vidking: VidKing) -> None:
    result = await Chain([vidking], deadline_seconds=5, timeout_seconds=5).find(FILM)
    assert [(one.url[18:], one.priority, one.is_working) for one in result.sources] == [
        ("gone", 70, False),
        ("a.m3u8", 60, True),
        ("low", 20, True),
    ]
    assert result.sources[1] == Source(
        "https://v.example/a.m3u8",
        SourceType.HLS,
        Quality.P720,
        60,
        "vidking",
        "en",
        (Subtitle("fr", "https://s.example/fr.vtt"),),
    )


async def test_only_an_active_source_works(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    items = [{"url": f"https://v.example/{n}", "status": s} for n, s in enumerate(("", None))]
    provider = answering_with(
        provider_server, client, "source", {"sources": [{"url": "https://v.example/"}, *items]}
    )
    assert [one.is_working for one in await provider.sources(FILM)] == [False] * 3


async def test_a_title_without_tmdbs_number_is_not_requested(
    vidking: VidKing, provider_server: FakeProvider
) -> None:
    unknown = TitleRef("movie_1", imdb_id="tt0133093")
    assert await vidking.sources(unknown) == []
    assert await vidking.embed(unknown) is None
    assert provider_server.seen == []


async def test_it_has_a_player_page(vidking: VidKing) -> None:
    assert await vidking.embed(FILM) == "https://v.example/embed/603"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"embed_url": "javascript:alert(1)"}, "WRONG_SHAPE"),
        ({"embed_url": "https://me:pw@v.example/"}, "WRONG_SHAPE"),
        ({"embed_url": 7}, "WRONG_SHAPE"),
        ({"embed_url": f"https://v.example/?k={KEY}"}, "NO_USABLE_SOURCE"),
        ({"embed_url": "https://v.example/?k=s3cret%2Fk%2By"}, "NO_USABLE_SOURCE"),
    ],
)
async def test_a_player_page_that_must_not_be_shown_is_a_failure(
    provider_server: FakeProvider, client: HttpClient, body: Any, reason: str
) -> None:
    with pytest.raises(ProviderFailed, match=reason):
        await answering_with(provider_server, client, "embed", body).embed(FILM)


async def test_a_search_answers_tmdbs_numbers_each_once(
    vidking: VidKing, provider_server: FakeProvider
) -> None:
    assert await vidking.search("the matrix & co", TitleKind.MOVIE) == [603, 604]
    path, query, _ = provider_server.seen[-1]
    assert path == "/ok/search"
    assert query == {"query": "the matrix & co", "type": "movie", "api_key": KEY}


async def test_its_status_is_reported(vidking: VidKing) -> None:
    assert await vidking.status() == Availability(True, "all is well", 42)


@pytest.mark.parametrize(
    ("body", "availability"),
    [
        ({"status": "ONLINE", "rate_limit": 9}, Availability(True, None, 9)),
        ({"status": "maintenance", "message": "a\nb\x00"}, Availability(False, "a b")),
        ({"status": "online", "rate_limit": "many"}, Availability(True)),
        ({"status": "online", "rate_limit": {"remaining": -1}}, Availability(True)),
        ({"status": "online", "message": "x" * 900}, Availability(True, "x" * 200)),
        ({"status": "online", "message": f"your key {KEY}"}, Availability(True)),
    ],
)
async def test_what_a_status_says_is_not_trusted(
    provider_server: FakeProvider, client: HttpClient, body: Any, availability: Availability
) -> None:
    assert await answering_with(provider_server, client, "status", body).status() == availability


async def test_a_source_that_tells_the_key_back_is_not_used(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    good = {"url": "https://v.example/good", "status": "active"}
    bad = [
        {"url": f"https://v.example/?api_key={KEY}"},
        {"url": "https://v.example/?api_key=s3cret%2Fk%2By"},
    ]
    usable = await answering_with(
        provider_server, client, "source", {"sources": [*bad, good]}
    ).sources(FILM)
    assert [one.url for one in usable] == [good["url"]]


@pytest.mark.parametrize("switch", ["ok", "500", "malformed", "huge", "redirect", "refused"])
async def test_its_key_is_in_no_log_and_no_error(
    provider_server: FakeProvider, client: HttpClient, caplog: pytest.LogCaptureFixture, switch: str
) -> None:
    # given a log of everything, the HTTP library's own lines among it
    caplog.set_level(logging.DEBUG)
    provider = VidKing(INFO, client, provider_server.url(switch), KEY)
    # when each way of asking is tried
    for ask in (provider.sources(FILM), provider.embed(FILM), provider.status()):
        try:
            shown = repr(await ask)
        except ProviderFailed as failure:
            shown = repr(failure)
        assert "s3cret" not in shown
    # then the key was sent, and is in no line
    assert switch == "refused" or provider_server.seen[-1][1]["api_key"] == KEY
    assert "s3cret" not in caplog.text
    assert switch == "refused" or f"/{switch}/source" in caplog.text


async def test_a_redirect_is_not_followed(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    provider_server.seen.clear()
    with pytest.raises(ProviderFailed, match="HTTP_302"):
        await VidKing(INFO, client, provider_server.url("redirect"), KEY).sources(FILM)
    assert [path for path, _, _ in provider_server.seen] == ["/redirect/source"]


async def test_silence_ends(provider_server: FakeProvider) -> None:
    async with http_client.connect(0.2) as client:
        with pytest.raises(TimeoutError) as raised:
            await VidKing(INFO, client, provider_server.url("hang"), KEY).sources(FILM)
    assert not isinstance(raised.value, httpx.HTTPError)
    assert raised.value.__cause__ is None
