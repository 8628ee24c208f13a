"""Searching at providers, by the front door."""

from __future__ import annotations

import pytest

from models import Role
from resolvers.context import Runtime
from tests.support.fake_provider import FakeProvider
from tests.support.titles import film, film_id, show, show_id, store
from tests.support.with_providers import Ask, build_asker, open_providers, read_codes, vidking

SEARCH = """query ($query: String!, $kind: SearchKind! = MOVIE) {
  providerSearch(query: $query, kind: $kind) {
    __typename ... on Movie { id } ... on TvShow { id } } }"""


@pytest.mark.parametrize(("role", "code"), [(None, "UNAUTHENTICATED"), (Role.USER, "FORBIDDEN")])
async def test_searching_at_providers_is_for_editors(
    ask: Ask, provider_server: FakeProvider, role: Role | None, code: str
) -> None:
    answer = await ask(SEARCH, role, query="matrix")
    assert (read_codes(answer), answer["data"]) == ({code}, {"providerSearch": None})
    assert provider_server.seen == []


async def test_search_results_include_only_titles_of_the_catalogue(
    ask: Ask, provider_server: FakeProvider
) -> None:
    # given the second of the two films it finds, and a show
    await store([film(1, tmdb_id=604), film(2, tmdb_id=9), show(1, tmdb_id=603)])
    answer = await ask(SEARCH, Role.EDITOR, query="  The   Matrix ")
    assert answer == {"data": {"providerSearch": [{"__typename": "Movie", "id": film_id(1)}]}}
    query = provider_server.seen[-1][1]
    assert (query["query"], query["type"]) == ("The Matrix", "movie")
    # and asked again it is remembered, whatever the case
    await ask(SEARCH, Role.EDITOR, query="the matrix")
    assert len(provider_server.seen) == 1
    # and shows are searched for as shows
    answer = await ask(SEARCH, Role.EDITOR, query="the matrix", kind="TV_SHOW")
    assert answer["data"]["providerSearch"] == [{"__typename": "TvShow", "id": show_id(1)}]
    assert provider_server.seen[-1][1]["type"] == "tv"
    # and people nowhere
    answer = await ask(SEARCH, Role.EDITOR, query="the matrix", kind="PERSON")
    assert answer == {"data": {"providerSearch": []}}
    assert len(provider_server.seen) == 2


@pytest.mark.parametrize("query", ["", "  ", "x" * 101])
async def test_a_search_for_nothing_or_too_much_is_refused(
    ask: Ask, provider_server: FakeProvider, query: str
) -> None:
    assert read_codes(await ask(SEARCH, Role.EDITOR, query=query)) == {"VALIDATION_FAILED"}
    assert provider_server.seen == []


@pytest.mark.parametrize("switch", ["500", "hang", "malformed"])
async def test_a_search_that_nobody_answers_says_so_and_is_not_cached(
    runtime: Runtime, provider_server: FakeProvider, switch: str
) -> None:
    settings = vidking(provider_server, switch) | {"provider_timeout_seconds": 0.3}
    async with open_providers(runtime, **settings) as own:
        answer = await build_asker(own)(SEARCH, Role.EDITOR, query="matrix")
    assert read_codes(answer) == {"UPSTREAM_UNAVAILABLE"}
    assert [key async for key in runtime.redis.scan_iter(match="provider:search:*")] == []


async def test_without_a_provider_that_searches_nothing_is_found(runtime: Runtime) -> None:
    async with open_providers(runtime) as own:
        answer = await build_asker(own)(SEARCH, Role.EDITOR, query="matrix")
    assert answer == {"data": {"providerSearch": []}}
