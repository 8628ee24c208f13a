"""What shared caches may keep follows from the document, not from what our own caches hold."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from graph.base.freshness import Freshness, least
from models import Role
from resolvers.context import Runtime
from services.cache.cache import Cache
from services.settings.settings import Settings
from tests.support.api_client import connect_runtime, token_for
from tests.support.titles import film, film_id, genre, person, show, store

PUBLIC = {
    "a list": ("{ movies(first: 2) { edges { cursor node { title genres { name } } } } }", 60),
    "the end of a list": ("{ movies(last: 2) { nodes { title } totalCount { value } } }", 60),
    "a film with its cast": (
        f'{{ movie(by: {{id: "{film_id(1)}"}}) {{ title similar(first: 3) {{ title }} }} }}',
        60,
    ),
    "no film": (f'{{ movie(by: {{id: "{film_id(99)}"}}) {{ title }} }}', 60),
    "a person": ('{ person(id: "person_00001") { name } }', 60),
    "shows": ("{ tvShows(first: 2) { nodes { title seasons { number } } } }", 60),
    "a search": ('{ search(query: "film") { nodes { ... on Movie { title } } } }', 60),
    "suggestions": ('{ suggest(text: "fi") { ... on Movie { title } } }', 60),
    "genres": ("{ genres { slug } }", 300),
    "the shorter of two": ("{ genres { slug } movies(first: 1) { nodes { title } } }", 60),
    "figures": ("{ movieStatistics { genre { name } count } }", 300),
}


@pytest.fixture
async def catalogue(runtime: Runtime, settings: Settings) -> None:
    if settings.graphql_executor == "core":
        pytest.skip("graphql-core's answers are not kept whole: only plans know what they are of")
    await store([genre("drama"), *(film(n, genre_ids=["genre_drama"]) for n in range(1, 6))])
    await store([show(1), person(1, "Ada")])


def caching(response: httpx.Response) -> tuple[str | None, ...]:
    """The headers that say who may keep the answer, but for its age."""
    assert response.status_code == 200
    names = ("cache-control", "cdn-cache-control", "etag", "vary")
    return tuple(response.headers.get(name) for name in names)


def max_age(response: httpx.Response) -> int:
    """Seconds that are left."""
    stale = r", stale-while-revalidate=\d+, stale-if-error=86400"
    match = re.fullmatch(r"public, max-age=(\d+)" + stale, response.headers["cache-control"])
    assert match is not None
    return int(match[1]) - int(response.headers["age"])


async def get(client: httpx.AsyncClient, query: str, **headers: str) -> httpx.Response:
    return await client.get("/graphql", params={"query": query}, headers=headers)


@pytest.mark.parametrize("name", PUBLIC)
async def test_the_first_answer_has_the_headers_of_the_second(
    client: httpx.AsyncClient, catalogue: None, name: str
) -> None:
    query, seconds = PUBLIC[name]
    first, second = [await get(client, query) for _ in range(2)]
    assert "errors" not in first.json()
    assert first.content == second.content
    assert caching(first) == caching(second)
    assert seconds - 5 <= max_age(second) <= max_age(first) <= seconds
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    # and who has it already is told so from the first on
    etag = first.headers["etag"]
    assert (await get(client, query, **{"if-none-match": etag})).status_code == 304


@pytest.mark.parametrize("tiers", ["none", "redis", "memory,redis", "answers"])
async def test_headers_do_not_depend_on_what_this_process_keeps(
    runtime: Runtime, catalogue: None, tiers: str
) -> None:
    # given processes that keep less
    other = replace(runtime, cache=Cache(runtime.redis, tiers=tiers))
    async with connect_runtime(runtime) as usual, connect_runtime(other) as client:
        for name in ("a list", "genres"):
            query, _ = PUBLIC[name]
            expected = caching(await get(usual, query))
            assert [caching(await get(client, query)) for _ in range(2)] == [expected] * 2


async def test_headers_are_public_while_redis_cannot_tell_of_changes(
    runtime: Runtime, catalogue: None
) -> None:
    # given a process whose tracking connection is cut: it keeps no answers
    cache = Cache(runtime.redis)
    cache.trusts_memory = False
    async with connect_runtime(replace(runtime, cache=cache)) as client:
        answers = [await get(client, PUBLIC["a list"][0]) for _ in range(2)]
    assert caching(answers[0]) == caching(answers[1])
    assert max_age(answers[0]) > 0


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { id } }",
        "{ movies(first: 1) { nodes { title onWatchlist } } }",
        "{ genres { slug } rateLimit { limit } }",
    ],
)
async def test_what_is_personal_is_kept_by_nobody_but_may_be_compared(
    client: httpx.AsyncClient, catalogue: None, query: str
) -> None:
    first, second = [await get(client, query) for _ in range(2)]
    assert [one.headers["cache-control"] for one in (first, second)] == ["no-store"] * 2
    # whoever has the same answer is told so, and nothing of it is sent
    assert first.headers["etag"] == second.headers["etag"]
    again = await get(client, query, **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("query", ["{ movies(first: 0) { nodes { title } } }", "{ nope }"])
async def test_what_failed_is_kept_by_nobody(
    client: httpx.AsyncClient, catalogue: None, query: str
) -> None:
    for _ in range(2):
        response = await get(client, query)
        assert response.headers["cache-control"] == "no-store"
        assert "etag" not in response.headers
        assert (await get(client, query, **{"if-none-match": "*"})).status_code != 304


async def test_a_public_answer_is_public_for_a_signed_in_viewer(
    client: httpx.AsyncClient, runtime: Runtime, catalogue: None
) -> None:
    query, _ = PUBLIC["a list"]
    anonymous = await get(client, query)
    token = token_for(runtime, Role.ADMIN)
    signed_in = await get(client, query, authorization=f"Bearer {token}")
    assert signed_in.content == anonymous.content
    assert caching(signed_in) == caching(anonymous)
    assert max_age(signed_in) > 0


async def test_the_least_time_of_all_parts_holds() -> None:
    one = Freshness(60, 30, 100, 600)
    other = Freshness(300, 10, 50)
    assert one.shorten(other) == other.shorten(one) == Freshness(60, 10, 50, 300)
    assert least([]) is None


async def test_a_change_elsewhere_keeps_no_answer_from_being_kept(
    client: httpx.AsyncClient, runtime: Runtime, catalogue: None, count_commands: Any
) -> None:
    # given films that change all the time, none of them in the answer
    query = f'{{ movie(by: {{id: "{film_id(1)}"}}) {{ title }} }}'
    await runtime.cache.invalidate(f"movie:{film_id(n)}" for n in range(50, 60))
    first = await get(client, query)
    await runtime.cache.invalidate(f"movie:{film_id(n)}" for n in range(50, 60))
    # then it is answered from memory
    await count_commands.reset()
    assert (await get(client, query)).content == first.content
    assert count_commands.mongo == []
    # and when its own film changes, it is made anew
    await store([film(1, title="Anew")])
    await runtime.cache.invalidate([f"movie:{film_id(1)}"])
    assert (await get(client, query)).json()["data"]["movie"]["title"] == "Anew"
