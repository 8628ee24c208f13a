"""The fields of our own films on both executors; what lies behind is tested in tests/services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import m3u8
import pytest

from resolvers.context import Runtime
from resolvers.runtimes import Media
from services.media.library import MediaLibrary
from services.media.signed_urls import MediaUrlSigner
from tests.conftest import CountCommands
from tests.support import titles
from tests.support.api_client import GraphQL, connect_runtime, token_for
from tests.support.films_on_disk import film, store
from tests.support.runtimes import with_changes

NOW = 1_800_000_000.0
FILMS = """
query ($first: Int) {
  movies(first: $first, orderBy: {field: CREATED_AT, direction: ASC}) {
    nodes { id hls { masterPlaylistUrl expiresAt variants { quality bandwidth } } }
  }
}
"""
EPISODE = """
query ($id: ID!) { node(id: $id) { ... on Playable { hls { masterPlaylistUrl } } } }
"""
PROFILE = "{ quality width height bandwidth videoBitrate audioBitrate frameRate codecs }"
RECOMMENDED = "query ($mbps: Float!) { recommendedQuality(bandwidthMbps: $mbps) { quality } }"


@pytest.fixture(params=["plan", "core"])
async def screened(
    runtime: Runtime, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Runtime]:
    """A library of one film and one episode, on each executor."""
    await titles.store([*(titles.film(n) for n in (1, 2)), *titles.whole_show(1, [2])])
    store(tmp_path, titles.film_id(1), film())
    store(tmp_path, "episode_1.1.2", film())
    library = MediaLibrary(tmp_path)
    addresses = MediaUrlSigner(
        runtime.settings.secret_bytes, lifetime_seconds=3600, binds_address=False
    )
    settings = runtime.settings.model_copy(
        update={"graphql_executor": request.param, "public_url": "https://films.example/api"}
    )
    yield with_changes(
        runtime, settings=settings, sources={"media": Media(library, addresses)}, clock=lambda: NOW
    )
    library.close()


@pytest.fixture
async def client(screened: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    async with connect_runtime(screened) as client:
        yield client


async def data(client: httpx.AsyncClient, query: str, *arguments: Any) -> dict[str, Any]:
    status, body = await GraphQL(client)(query, *arguments)
    assert (status, body.keys()) == (200, {"data"}), body
    answer: dict[str, Any] = body["data"]
    return answer


async def test_a_film_of_ours_has_a_signed_address_and_its_qualities(
    screened: Runtime, client: httpx.AsyncClient
) -> None:
    token = token_for(screened)
    answer = await data(client, FILMS, {"first": 2}, token)
    address = screened.sources.media.addresses.sign(titles.film_id(1), "login_1", None, NOW)
    base = "/api"  # the public address has this path
    assert answer["movies"]["nodes"] == [
        {
            "id": titles.film_id(1),
            "hls": {
                "masterPlaylistUrl": (
                    f"{base}/media/{address.token}/{titles.film_id(1)}/master.m3u8"
                ),
                "expiresAt": "2027-01-15T09:00:00.000Z",
                "variants": [
                    {"quality": "P720", "bandwidth": 18000},
                    {"quality": "P360", "bandwidth": 6000},
                ],
            },
        },
        {"id": titles.film_id(2), "hls": None},
    ]
    # and the address leads to the playlist
    url = answer["movies"]["nodes"][0]["hls"]["masterPlaylistUrl"].removeprefix(base)
    assert m3u8.loads((await client.get(url)).text).is_variant


async def test_an_episode_has_one_too(screened: Runtime, client: httpx.AsyncClient) -> None:
    token = token_for(screened)
    here = await data(client, EPISODE, {"id": "episode_1.1.2"}, token)
    assert "/episode_1.1.2/master.m3u8" in here["node"]["hls"]["masterPlaylistUrl"]
    assert await data(client, EPISODE, {"id": "episode_1.1.1"}, token) == {"node": {"hls": None}}


async def test_who_is_not_signed_in_gets_none_and_no_error(client: httpx.AsyncClient) -> None:
    answer = await data(client, FILMS, {"first": 2})
    assert [node["hls"] for node in answer["movies"]["nodes"]] == [None, None]


async def test_the_answer_is_the_viewers_alone(
    screened: Runtime, client: httpx.AsyncClient
) -> None:
    headers = {"authorization": f"Bearer {token_for(screened)}"}
    response = await client.post(
        "/graphql", json={"query": FILMS, "variables": {"first": 2}}, headers=headers
    )
    assert "public" not in response.headers.get("cache-control", "")


async def test_a_page_costs_the_same_as_one_film(
    screened: Runtime, client: httpx.AsyncClient, count_commands: CountCommands
) -> None:
    await titles.store(titles.film(number) for number in range(10, 60))
    counts = []
    for first in (1, 50):
        screened.cache.clear_memory()
        await screened.redis.flushdb()
        await count_commands.reset()
        await data(client, FILMS, {"first": first}, token_for(screened))
        counts.append(len(count_commands.mongo))
    assert counts[0] == counts[1]


async def test_the_profiles_are_those_of_the_ladder(client: httpx.AsyncClient) -> None:
    answer = await data(client, f"{{ qualityProfiles {PROFILE} }}")
    names = ("width", "height", "bandwidth", "videoBitrate", "audioBitrate", "frameRate")

    rows = [(one["quality"], *(one[name] for name in names)) for one in answer["qualityProfiles"]]
    assert rows == [
        ("P1080", 1920, 1080, 5_000_000, 4_500_000, 128_000, None),
        ("P720", 1280, 720, 2_800_000, 2_500_000, 128_000, None),
        ("P480", 854, 480, 1_400_000, 1_200_000, 96_000, None),
        ("P360", 640, 360, 800_000, 700_000, 64_000, None),
    ]
    assert all(one["codecs"].startswith("avc1.") for one in answer["qualityProfiles"])


@pytest.mark.parametrize(
    ("mbps", "quality"),
    [
        (1000, "P1080"),
        (5, "P1080"),
        (4.999, "P720"),
        (2.5, "P720"),
        (2.499, "P480"),
        (1, "P480"),
        (0.999, "P360"),
        (0, "P360"),
        (1e308, "P1080"),
    ],
)
async def test_a_connection_gets_the_finest_quality_it_carries(
    client: httpx.AsyncClient, mbps: float, quality: str
) -> None:
    answer = await data(client, RECOMMENDED, {"mbps": mbps})
    assert answer == {"recommendedQuality": {"quality": quality}}


@pytest.mark.parametrize("mbps", ["-1", "-0.001", "1e999", "-1e999", "NaN", '"5"', "null"])
async def test_what_is_no_bandwidth_is_refused(client: httpx.AsyncClient, mbps: str) -> None:
    for body in (
        f'{{"query": "{RECOMMENDED}", "variables": {{"mbps": {mbps}}}}}',
        f'{{"query": "{{ recommendedQuality(bandwidthMbps: {mbps}) {{ quality }} }}"}}',
    ):
        response = await client.post(
            "/graphql", content=body, headers={"content-type": "application/json"}
        )
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "VALIDATION_FAILED"
