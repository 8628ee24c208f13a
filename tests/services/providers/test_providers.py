from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services import http_client
from services.errors import ProviderFailed, StartupError
from services.http_client import HttpClient
from services.providers import build_providers, open_chain
from services.providers.base import Provider, ProviderInfo, Source, SourceType, Subtitle, TitleRef
from services.providers.base import compute_priority as weight
from services.providers.chain import AttemptOutcome, Chain, ChainResult
from services.providers.embed_template import EmbedTemplate
from services.providers.json_api import JsonApi
from services.providers.library import Library
from services.quality import Quality
from services.settings.settings import Settings
from tests.support.fake_provider import FakeProvider

TITLE = TitleRef("movie_1", tmdb_id=603, imdb_id="tt0133093")
TIMEOUT_SECONDS = 0.3


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with http_client.connect(5.0) as client:
        yield client


def configured(*entries: dict[str, Any], **more: Any) -> Settings:
    return Settings(_env_file=None, providers=json.dumps(entries), **more)


def entry(key: str, url: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "kind": "json", "name": key.title(), "base_url": url, **more}


def chain_of(
    provider_server: FakeProvider,
    client: HttpClient,
    tmp_path: Path,
    *switches: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
    deadline_seconds: float = 1.0,
) -> Chain:
    entries = [
        entry(f"p{place}", provider_server.url(name))
        for place, name in enumerate(switches, start=1)
    ]
    settings = configured(
        *entries,
        data_dir=tmp_path,
        provider_timeout_seconds=timeout_seconds,
        provider_deadline_seconds=deadline_seconds,
        provider_hedge_seconds=60,  # one after the other
    )
    return open_chain(settings, client)


FAULTS = [
    ("ok", AttemptOutcome.HIT, None),
    ("slow", AttemptOutcome.HIT, None),
    ("empty", AttemptOutcome.EMPTY, None),
    ("absent", AttemptOutcome.EMPTY, None),
    ("500", AttemptOutcome.ERROR, "HTTP_500"),
    ("429", AttemptOutcome.ERROR, "HTTP_429"),
    ("redirect", AttemptOutcome.ERROR, "HTTP_302"),
    ("malformed", AttemptOutcome.ERROR, "MALFORMED_JSON"),
    ("latin", AttemptOutcome.ERROR, "WRONG_SHAPE"),
    ("wrong_shape", AttemptOutcome.ERROR, "WRONG_SHAPE"),
    ("array", AttemptOutcome.ERROR, "WRONG_SHAPE"),
    ("huge", AttemptOutcome.ERROR, "BODY_TOO_LARGE"),
    ("refused", AttemptOutcome.ERROR, "CONNECTION_FAILED"),
    ("hang", AttemptOutcome.TIMEOUT, None),
]


@pytest.mark.serial
@pytest.mark.parametrize(("switch", "outcome", "reason"), FAULTS)
async def test_a_first_provider_of_every_kind_is_reported_and_a_good_second_one_helps(
    provider_server: FakeProvider,
    client: HttpClient,
    tmp_path: Path,
    switch: str,
    outcome: AttemptOutcome,
    reason: str | None,
) -> None:
    # given a first provider with this behaviour and a good second one
    chain = chain_of(provider_server, client, tmp_path, switch, "ok")
    # when the chain is asked
    started = time.monotonic()
    result = await chain.find(TITLE)
    took = time.monotonic() - started
    # then every try is told, in order, and the first good answer wins
    hit = outcome is AttemptOutcome.HIT
    tries = [(one.provider_key, one.outcome, one.reason, one.hedged) for one in result.attempts]
    assert tries == [
        ("library", AttemptOutcome.EMPTY, None, False),
        ("p1", outcome, reason, False),
        *([] if hit else [("p2", AttemptOutcome.HIT, None, False)]),
    ]
    assert result.provider is not None
    assert result.provider.key == ("p1" if hit else "p2")
    assert [source.url[-4:] for source in result.sources] == ["m3u8", ".mp4"]
    assert took < 0.9


@pytest.mark.serial
@pytest.mark.parametrize(("switch", "outcome", "reason"), FAULTS)
async def test_a_second_provider_of_every_kind_is_reported_after_an_empty_first_one(
    provider_server: FakeProvider,
    client: HttpClient,
    tmp_path: Path,
    switch: str,
    outcome: AttemptOutcome,
    reason: str | None,
) -> None:
    chain = chain_of(provider_server, client, tmp_path, "empty", switch)
    started = time.monotonic()
    result = await chain.find(TITLE)
    tries = [(one.provider_key, one.outcome, one.reason) for one in result.attempts[1:]]
    assert tries == [("p1", AttemptOutcome.EMPTY, None), ("p2", outcome, reason)]
    assert (result.provider is not None) == (outcome is AttemptOutcome.HIT)
    assert len(result.sources) == (2 if outcome is AttemptOutcome.HIT else 0)
    assert result.is_certain == (outcome in {AttemptOutcome.HIT, AttemptOutcome.EMPTY})
    assert time.monotonic() - started < 0.9


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_providers_of_every_kind_at_every_place_keep_the_deadline(
    provider_server: FakeProvider, client: HttpClient, tmp_path: Path, place: int
) -> None:
    # given every kind of provider in this place among two that hang
    async def find(switch: str) -> tuple[ChainResult, float]:
        switches = ["hang", "hang"]
        switches.insert(place, switch)
        chain = chain_of(
            provider_server, client, tmp_path, *switches, timeout_seconds=1.2, deadline_seconds=4.8
        )
        started = time.monotonic()
        return await chain.find(TITLE), time.monotonic() - started

    # when each chain is asked
    answers = await asyncio.gather(*(find(switch) for switch, _, _ in FAULTS))
    # then the provider was asked in its place, and all of it ended before the deadline
    for (switch, outcome, reason), (result, took) in zip(FAULTS, answers, strict=True):
        attempts = [(one.outcome, one.reason) for one in result.attempts[1 : 2 + place]]
        assert attempts == [(AttemptOutcome.TIMEOUT, None)] * place + [(outcome, reason)], switch
        assert (result.provider is not None) == (outcome is AttemptOutcome.HIT), switch
        assert result.is_certain == (outcome is AttemptOutcome.HIT), switch
        assert took < 6, switch


async def test_a_provider_that_asks_for_rest_is_left_alone(
    provider_server: FakeProvider, client: HttpClient, tmp_path: Path
) -> None:
    # given a provider that answered 429 with Retry-After
    chain = chain_of(provider_server, client, tmp_path, "429", "ok")
    await chain.find(TITLE)
    calls_before = len(provider_server.seen)
    # when another title is wanted
    result = await chain.find(TITLE)
    # then it is not asked, and that is told
    resting = result.attempts[1]
    assert (resting.provider_key, resting.outcome, resting.reason) == (
        "p1",
        AttemptOutcome.BREAKER_OPEN,
        "RETRY_AFTER",
    )
    assert [path for path, _, _ in provider_server.seen[calls_before:]] == ["/ok/sources"]


@pytest.mark.parametrize(
    "text",
    [
        b"soon",
        b"-7",
        b"9" * 40,
        b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        b"Mon, 01 Jan 0001 00:00:00 -0000",
    ],
)
async def test_a_senseless_retry_after_asks_for_nothing(
    provider_server: FakeProvider, client: HttpClient, text: bytes
) -> None:
    provider_server.retry_after = text
    with pytest.raises(ProviderFailed) as raised:
        await JsonApi(ProviderInfo("acme", "Acme"), client, provider_server.url("429")).sources(
            TITLE
        )
    assert raised.value.reason == "HTTP_429"
    assert not raised.value.retry_after_seconds


async def test_a_providers_cookies_are_not_stored(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    provider = JsonApi(ProviderInfo("acme", "Acme"), client, provider_server.url("ok"))
    for _ in range(2):
        await provider.sources(TITLE)
    assert "cookie" not in provider_server.seen[-1][2]
    assert list(client.cookies.jar) == []


@pytest.mark.serial
async def test_the_whole_chain_has_one_deadline(
    provider_server: FakeProvider, client: HttpClient, tmp_path: Path
) -> None:
    # given five providers that hang and 1 s for all
    chain = chain_of(provider_server, client, tmp_path, *["hang"] * 5)
    started = time.monotonic()
    result = await chain.find(TITLE)
    # then it is back in time, and the tries that could not be made are told too
    assert 0.95 < time.monotonic() - started < 1.5
    outcomes = [one.outcome for one in result.attempts[1:]]
    assert outcomes == [AttemptOutcome.TIMEOUT] * 4 + [AttemptOutcome.CANCELLED]
    assert result.attempts[-1].reason == "DEADLINE"
    assert result.sources == []


async def test_a_disabled_provider_is_reported_but_not_called(
    provider_server: FakeProvider, client: HttpClient, tmp_path: Path
) -> None:
    settings = configured(
        entry("off", provider_server.url("ok"), enabled=False),
        entry("on", provider_server.url("ok")),
        data_dir=tmp_path,
    )
    calls_before = len(provider_server.seen)
    result = await open_chain(settings, client).find(TITLE)
    assert [(one.provider_key, one.outcome) for one in result.attempts] == [
        ("library", AttemptOutcome.EMPTY),
        ("off", AttemptOutcome.DISABLED),
        ("on", AttemptOutcome.HIT),
    ]
    assert len(provider_server.seen) == calls_before + 1
    assert result.provider is not None
    assert not result.provider.is_fallback  # the first one that is enabled


async def test_a_provider_with_a_bug_is_an_error_and_the_next_one_is_called() -> None:
    class Broken(Provider):
        async def sources(self, title: TitleRef) -> list[Source]:
            raise KeyError("secret")

    class Fine(Provider):
        async def sources(self, title: TitleRef) -> list[Source]:
            return [self.source("https://fine.example", SourceType.EMBED)]

    providers = [Broken(ProviderInfo("broken", "B")), Fine(ProviderInfo("fine", "F"))]
    result = await Chain(providers, deadline_seconds=1, timeout_seconds=1).find(TITLE)
    assert [(one.outcome, one.reason) for one in result.attempts] == [
        (AttemptOutcome.ERROR, "INTERNAL"),
        (AttemptOutcome.HIT, None),
    ]


async def test_the_json_provider_asks_honestly_and_keeps_its_key_out_of_the_address(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    provider = JsonApi(
        ProviderInfo("acme", "Acme"), client, provider_server.url("ok") + "/", "s3cret"
    )
    await provider.sources(TITLE)
    path, query, headers = provider_server.seen[-1]
    assert path == "/ok/sources"
    assert query == {"tmdb": "603", "imdb": "tt0133093", "title_id": "movie_1"}
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["user-agent"] == "Marquee/0.1.0"
    assert headers["accept-encoding"] == "identity"


async def test_a_good_answer_is_read_completely(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    provider = JsonApi(ProviderInfo("acme", "Acme"), client, provider_server.url("ok"))
    direct, hls = await provider.sources(TITLE)
    assert hls == Source(
        url="https://cdn.example/a.m3u8",
        type=SourceType.HLS,
        quality=Quality.P1080,
        priority=70,
        provider_key="acme",
        language="en",
        subtitles=(Subtitle("de", "https://s.example/de.vtt", "Deutsch"),),
    )
    assert (direct.type, direct.quality, direct.priority) == (SourceType.DIRECT, Quality.P720, 50)


BAD_URLS = [
    "javascript:alert(1)",
    "file:///etc/passwd",
    "ftp://host/a",
    "//cdn.example/a",
    "https://user:secret@cdn.example/a",
    "https://cdn.example/a b",
    "https://cdn.example/a\n",
    "https://",
    "https://cdn.example/" + "a" * 2048,
    7,
    None,
]


@pytest.mark.parametrize("url", BAD_URLS)
async def test_an_unusable_address_loses_only_itself(
    provider_server: FakeProvider, client: HttpClient, url: object
) -> None:
    good = {"url": "https://cdn.example/good", "type": "hls"}
    provider_server.bodies["given"] = (200, json.dumps({"sources": [{"url": url}, good]}).encode())
    provider = JsonApi(ProviderInfo("acme", "Acme"), client, provider_server.url("given"))
    assert [source.url for source in await provider.sources(TITLE)] == [good["url"]]
    # and alone it is no answer at all
    provider_server.bodies["given"] = (200, json.dumps({"sources": [{"url": url}]}).encode())
    with pytest.raises(ProviderFailed, match="NO_USABLE_SOURCE"):
        await provider.sources(TITLE)


async def test_odd_values_are_unknown_not_wrong(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    items = [
        {"url": "https://a.example", "quality": "4K", "type": "HLS", "status": "down"},
        {"url": "https://b.example", "quality": "best", "language": "<script>"},
        {"url": "https://c.example", "type": "torrent"},
        {
            "url": "https://d.example",
            "subtitles": [
                {"language": "en", "url": "javascript:x"},
                {"language": "fr", "url": "https://d.example/fr"},
            ],
        },
    ]
    provider_server.bodies["given"] = (200, json.dumps({"sources": items}).encode())
    parsed = await JsonApi(ProviderInfo("x", "X"), client, provider_server.url("given")).sources(
        TITLE
    )
    assert [(s.url[8], s.type, s.quality, s.language, s.is_working) for s in parsed] == [
        ("a", SourceType.HLS, Quality.P2160, None, False),
        ("b", SourceType.EMBED, Quality.UNKNOWN, None, True),
        ("d", SourceType.EMBED, Quality.UNKNOWN, None, True),
    ]
    assert parsed[2].subtitles == (Subtitle("fr", "https://d.example/fr"),)


async def test_languages_are_in_one_case_whatever_a_provider_writes(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    track = {"language": "ZH-hant", "url": "https://a.example/zh"}
    items = [{"url": "https://a.example", "language": "PT-br", "subtitles": [track]}]
    provider_server.bodies["given"] = (200, json.dumps({"sources": items}).encode())
    provider = JsonApi(ProviderInfo("x", "X"), client, provider_server.url("given"))
    (source,) = await provider.sources(TITLE)
    assert (source.language, [one.language for one in source.subtitles]) == ("pt-BR", ["zh-Hant"])


@pytest.mark.parametrize(
    ("more", "quality", "subtitles"),
    [
        ({"quality": 1080}, Quality.P1080, ()),
        ({"quality": 720.0}, Quality.P720, ()),
        ({"quality": " 1080P "}, Quality.P1080, ()),
        ({"quality": True}, Quality.UNKNOWN, ()),
        ({"quality": {"height": 720}}, Quality.UNKNOWN, ()),
        ({"subtitles": None}, Quality.UNKNOWN, ()),
        ({"subtitles": {"en": "https://s.example/en"}}, Quality.UNKNOWN, ()),
        ({"language": 7, "status": None, "type": None}, Quality.UNKNOWN, ()),
        (
            {"subtitles": [None, 3, {"language": "en", "url": "https://s.example/en", "label": 5}]},
            Quality.UNKNOWN,
            (Subtitle("en", "https://s.example/en"),),
        ),
    ],
)
async def test_an_optional_value_of_another_type_loses_only_itself(
    provider_server: FakeProvider,
    client: HttpClient,
    more: dict[str, Any],
    quality: Quality,
    subtitles: tuple[Subtitle, ...],
) -> None:
    items = [{"url": "https://cdn.example/a"} | more]
    provider_server.bodies["given"] = (200, json.dumps({"sources": items}).encode())
    provider = JsonApi(ProviderInfo("acme", "Acme"), client, provider_server.url("given"))
    (source,) = await provider.sources(TITLE)
    assert (source.url, source.is_working) == ("https://cdn.example/a", True)
    assert (source.quality, source.subtitles) == (quality, subtitles)


async def test_a_byte_order_mark_no_list_and_a_long_one_lose_nothing(
    provider_server: FakeProvider, client: HttpClient
) -> None:
    async def urls(body: bytes) -> list[str]:
        provider_server.bodies["given"] = (200, body)
        provider = JsonApi(ProviderInfo("acme", "Acme"), client, provider_server.url("given"))
        return [source.url for source in await provider.sources(TITLE)]

    items = [{"url": f"https://cdn.example/{number}"} for number in range(130)]
    marked = b"\xef\xbb\xbf" + json.dumps({"sources": items[:1]}).encode()
    assert await urls(marked) == ["https://cdn.example/0"]
    assert await urls(b'{"sources": null}') == []
    assert len(await urls(json.dumps({"sources": items}).encode())) == 100


def test_the_ranking_weights_are_the_original_designs() -> None:
    assert weight(SourceType.HLS, Quality.P1080) == 70
    assert weight(SourceType.DIRECT, Quality.P720) == 50
    assert weight(SourceType.EMBED, Quality.P360) == 20
    assert weight(SourceType.EMBED, Quality.UNKNOWN) == 10


async def test_the_library_has_what_its_asker_found_there() -> None:
    library = Library()
    assert await library.sources(TITLE) == []
    (source,) = await library.sources(TitleRef("movie_1", in_library=True))
    assert (source.type, source.quality, source.priority) == (SourceType.HLS, Quality.UNKNOWN, 30)


async def test_an_embed_template_makes_an_address_and_no_call() -> None:
    info = ProviderInfo("emb", "Emb")
    by_tmdb = EmbedTemplate(info, "https://e.example/film/{tmdb_id}?x={imdb_id}")
    (source,) = await by_tmdb.sources(TitleRef("movie_1", 7, "tt1/../2"))
    assert source.url == "https://e.example/film/7?x=tt1%2F..%2F2"
    assert (source.type, source.priority) == (SourceType.EMBED, 10)
    assert await by_tmdb.sources(TitleRef("movie_1", tmdb_id=7)) == []


BAD_ENTRIES = [
    ({"key": "acme"}, "entry 1 ('acme')"),
    ({"key": "acme", "kind": "magic", "name": "A"}, "entry 1 ('acme')"),
    (entry("Bad Key", "https://a.example"), "entry 1 ('Bad Key')"),
    (entry("acme", "ftp://a.example"), "entry 1 ('acme')"),
    (entry("acme", "https://me:pw@a.example"), "entry 1 ('acme')"),
    (entry("acme", "https://a.example?api_key=1"), "entry 1 ('acme')"),
    (entry("acme", "https://a.example:99999"), "entry 1 ('acme')"),
    (entry("acme", "https://a.example", api_key="two\r\nlines"), "entry 1 ('acme')"),
    (entry("acme", "https://a.example", surprise=1), "entry 1 ('acme')"),
    (entry("library", "https://a.example"), "the key library is taken"),
    (
        {"key": "e", "kind": "embed", "name": "E", "url_template": "https://e.example/{title}"},
        "entry 1 ('e'): url_template needs {tmdb_id} or {imdb_id}",
    ),
    (
        {"key": "e", "kind": "embed", "name": "E", "url_template": "https://e.example/{tmdb_id.x}"},
        "entry 1 ('e')",
    ),
    ("text", "entry 1:"),
]


@pytest.mark.parametrize(("bad", "names"), BAD_ENTRIES)
async def test_a_bad_entry_stops_the_start_and_is_named(
    client: HttpClient, bad: Any, names: str
) -> None:
    with pytest.raises(StartupError) as raised:
        build_providers(configured(bad), client)
    assert names in str(raised.value)
    assert "two" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "{}", "[", '"x"'])
async def test_providers_must_be_a_list(client: HttpClient, text: str) -> None:
    with pytest.raises(StartupError, match="PROVIDERS is not a JSON list"):
        build_providers(Settings(_env_file=None, providers=text), client)


async def test_the_order_is_the_library_then_the_configured_ones(client: HttpClient) -> None:
    settings = configured(
        entry("one", "https://one.example", api_key="s3cret"),
        {
            "key": "two",
            "kind": "embed",
            "name": "Two",
            "url_template": "https://t.example/{tmdb_id}",
        },
    )
    infos = [provider.info for provider in build_providers(settings, client)]
    assert infos == [
        ProviderInfo("library", "Library", 1),
        ProviderInfo("one", "One", 2),
        ProviderInfo("two", "Two", 3, is_fallback=True),
    ]
    assert "s3cret" not in repr(settings)
