"""Sources, end to end: our server asks providers on loopback that fail, hang or talk nonsense."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

import models
from resolvers.context import Runtime
from services import http_client
from services.providers import open_chain
from services.settings.settings import Settings
from tests.support.api_client import GraphQL, connect_runtime, token_for
from tests.support.fake_provider import FakeProvider
from tests.support.films_on_disk import film as film_on_disk
from tests.support.films_on_disk import store as put_on_disk
from tests.support.runtimes import with_changes

QUERY = """query ($id: ID!, $fresh: Boolean) { movie(by: {id: $id}) {
  title
  streamingSources(input: {refresh: $fresh}) {
    origin links provider { key }
    sources { url type quality provider { key } }
    best(types: [HLS]) { url }
    attempts { provider { key } outcome reason durationMs }
  }
} }"""
DEADLINE_SECONDS = 1.0
AskSources = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def film(runtime: Runtime) -> str:
    """A film that our own library does not have."""
    await models.upsert(
        models.Movie,
        [models.Movie(id="movie_1", title="Nosferatu", sort_title="nosferatu", tmdb_id=653)],
    )
    return "movie_1"


@pytest.fixture
def ask_sources(runtime: Runtime, provider_server: FakeProvider, film: str) -> AskSources:
    """The answers to the query above, asked one after the other of a process with one JSON
    provider per switch."""

    async def ask(*switches: str, times: int = 1, token: str | None = None) -> list[dict[str, Any]]:
        entries = [
            {
                "key": f"p{n}",
                "kind": "json",
                "name": f"P{n}",
                "base_url": provider_server.url(switch),
            }
            for n, switch in enumerate(switches)
        ]
        settings = runtime.settings.model_copy(
            update={
                "providers": SecretStr(json.dumps(entries)),
                "provider_timeout_seconds": 0.3,
                "provider_deadline_seconds": DEADLINE_SECONDS,
            }
        )
        async with http_client.connect(0.3) as outside:
            own = with_changes(
                runtime, settings=settings, sources={"providers": open_chain(settings, outside)}
            )
            async with connect_runtime(own) as client:
                bodies = [await GraphQL(client)(QUERY, {"id": film}, token) for _ in range(times)]
        assert all((status, body.keys()) == (200, {"data"}) for status, body in bodies)
        return [body["data"]["movie"]["streamingSources"] for _, body in bodies]

    return ask


def attempts_of(answer: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [
        (attempt["provider"]["key"], attempt["outcome"], attempt["reason"])
        for attempt in answer["attempts"]
    ]


@pytest.mark.parametrize(
    ("switch", "outcome", "reason"),
    [
        ("500", "ERROR", "HTTP_500"),
        ("429", "ERROR", "HTTP_429"),
        ("refused", "ERROR", "CONNECTION_FAILED"),
        ("hang", "TIMEOUT", None),
        ("malformed", "ERROR", "MALFORMED_JSON"),
        ("wrong_shape", "ERROR", "WRONG_SHAPE"),
        ("huge", "ERROR", "BODY_TOO_LARGE"),
        ("redirect", "ERROR", "HTTP_302"),
        ("empty", "EMPTY", None),
    ],
)
async def test_the_next_provider_answers_and_attempts_say_why(
    ask_sources: AskSources,
    switch: str,
    outcome: str,
    reason: str | None,
) -> None:
    started = time.monotonic()
    (answer,) = await ask_sources(switch, "ok")
    # then it is told within the deadline who answered, and what the one before did
    assert time.monotonic() - started < DEADLINE_SECONDS + 1
    library, first, second = attempts_of(answer)
    assert library[:2] == ("library", "EMPTY")
    assert first == ("p0", outcome, reason)
    assert second == ("p1", "HIT", None)
    assert answer["provider"] == {"key": "p1"}
    assert answer["origin"] == "FALLBACK_PROVIDER"
    assert answer["best"] == {"url": "https://cdn.example/a.m3u8"}
    assert "secret" not in str(answer)


async def test_the_first_provider_that_answers_is_cached(
    ask_sources: AskSources, provider_server: FakeProvider
) -> None:
    first, second = await ask_sources("ok", "500", times=2)
    assert (first["origin"], second["origin"]) == ("PRIMARY_PROVIDER", "CACHE")
    assert second["sources"] == first["sources"]
    assert len(provider_server.seen) == 1


async def test_nobody_having_it_is_an_empty_list_with_reasons(ask_sources: AskSources) -> None:
    (answer,) = await ask_sources("500", "empty", "hang", "malformed")
    assert (answer["sources"], answer["links"], answer["best"]) == ([], [], None)
    assert len(answer["attempts"]) == 5
    assert "HIT" not in {outcome for _, outcome, _ in attempts_of(answer)}


async def test_our_own_library_comes_first(
    ask_sources: AskSources,
    runtime: Runtime,
    settings: Settings,
    film: str,
    provider_server: FakeProvider,
) -> None:
    # given a film of ours on the disk
    folder = settings.data_dir / "media"
    put_on_disk(folder, film, film_on_disk())
    try:
        (answer,) = await ask_sources("ok", token=token_for(runtime))
        # then who is signed in is sent to it, and nobody else is asked
        assert answer["provider"] == {"key": "library"}
        (address,) = answer["links"]
        assert address.endswith(f"/{film}/master.m3u8")
        assert provider_server.seen == []
        # and others, who may not fetch it, to the next provider
        (answer,) = await ask_sources("ok")
        assert answer["provider"] == {"key": "p0"}
    finally:
        shutil.rmtree(folder / film)
