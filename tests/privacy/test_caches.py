"""An answer made for Ada is never given to anybody else, by whichever cache."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.privacy.operations import personal_fields, root_fields, variants
from tests.privacy.world import FILM, World

# Public and personal in one document: all of it is as private as its most private field.
MIXED = {
    "a field of a film": "{ movie(by: {id: %s}) { title progress { positionSeconds } } }",
    "in a list": "{ movies(first: 3) { nodes { title onWatchlist progress { version } } } }",
    "in a fragment": "{ movies(first: 3) { nodes { ...F } } } fragment F on Movie { title hls "
    "{ masterPlaylistUrl } }",
    "in an inline fragment": "{ node(id: %s) { id ... on Playable { progress { id } } } }",
    "beside": "{ genres { name } viewer { email displayName } }",
    "by an alias": "{ movies(first: 3) { nodes { title: id mine: onWatchlist } } }",
    "where a condition holds": "query ($yes: Boolean = true) { movies(first: 3) { nodes { id "
    "onWatchlist @include(if: $yes) } } }",
    "by search": '{ search(query: "film") { nodes { ... on Movie { id progress { id } } } } }',
    "of an episode": '{ node(id: "episode_1.1.1") { ... on Episode { progress { positionSeconds '
    "lastDevice { name } } } } }",
    "the next episode": '{ tvShow(by: {id: "show_00001"}) { nextUp { progress { id } } } }',
}


@pytest.fixture
def world(shared_world: World) -> World:
    """Nothing here changes it."""
    return shared_world


async def _gotten(world: World, query: str, token: str | None, **headers: str) -> httpx.Response:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return await world.client.get("/graphql", params={"query": query}, headers=headers)


@pytest.mark.parametrize("name", MIXED)
async def test_an_answer_with_anything_personal_is_cached_nowhere(world: World, name: str) -> None:
    query = MIXED[name].replace("%s", f'"{FILM}"')
    # given Ada asks three times, so that any cache would have it
    for _ in range(3):
        own = await _gotten(world, query, world.ada.token)
        assert own.headers["cache-control"] == "no-store"
        assert "errors" not in own.json()
    # when others ask the same
    for token in (world.bob.token, None):
        adas = own.headers["etag"]
        for headers in ({}, {"if-none-match": "*"}, {"if-none-match": f"{adas}, *"}):
            response = await _gotten(world, query, token, **headers)
            # then they get an answer of their own, which nobody keeps
            assert response.status_code == 200
            assert response.headers["cache-control"] == "no-store"
            assert response.content != own.content
            assert response.headers["etag"] != adas
            assert world.seen(response) == set()


async def test_a_public_answer_is_the_same_for_all_and_tells_nothing(world: World) -> None:
    query = "{ movies(first: 3) { nodes { id title views } } }"
    answers = [
        await _gotten(world, query, token)
        for token in (world.ada.token, world.bob.token, None, world.ada.token)
    ]
    assert len({response.content for response in answers}) == 1
    assert world.seen(answers[0]) == set()
    # and kept by shared caches, whoever asked: it depends on nobody
    (cache_header,) = {response.headers["cache-control"] for response in answers}
    assert cache_header.startswith("public")
    assert not any("set-cookie" in response.headers for response in answers)
    etag = answers[2].headers["etag"]
    again = await _gotten(world, query, world.bob.token, **{"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


async def _same(world: World, made: Any, token: str | None, etag: str | None) -> httpx.Response:
    headers = {"if-none-match": etag} if etag else {}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    body = {"query": made.text, "variables": json.dumps(made.variables)}
    return await world.client.get("/graphql", params=body, headers=headers)


@pytest.mark.parametrize("name", root_fields("query"))
async def test_adas_etag_brings_bob_nothing(world: World, name: str) -> None:
    made = next(variants("query", name, list(world.candidates), world.candidates))
    own = await _same(world, made, world.ada.token, None)
    etag = own.headers.get("etag")
    if made.asks & personal_fields():
        assert own.headers["cache-control"] == "no-store"
    for token in (world.bob.token, None):
        response = await _same(world, made, token, etag or '"of-adas-answer"')
        assert response.status_code in (200, 304)
        if response.status_code == 304:
            plain = await _same(world, made, token, None)
            assert plain.content == own.content
        assert world.seen(response, made.variables) == set()
