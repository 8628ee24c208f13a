"""Real clients as they come: Apollo Client 4, urql 6 with graphcache, and Relay's runtime."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, build_schema, get_introspection_query

import models
from resolvers.accounts.authentication import authenticate
from resolvers.accounts.input import build_user
from resolvers.context import Context, Runtime
from resolvers.playback import watchlist
from services.settings.settings import Settings
from tests.house.house import ROOT
from tests.support import node_packages
from tests.support.api_client import GraphQL, LiveServer, fetch_data, token_for
from tests.support.clock import Clock
from tests.support.titles import film, film_id, genre, show, store

HERE = Path(__file__).parent
FILMS, PAGE = 7, 2
SIZES = [2, 4, 6, 7]
NOW = datetime(2027, 1, 15, 20, 0, tzinfo=UTC)
LIFETIME = timedelta(days=3650)
EDGES = "edges { cursor node { __typename } } pageInfo { hasNextPage endCursor }"


@pytest.fixture(scope="module")
async def packages() -> None:
    """node_modules as package-lock.json says."""
    await node_packages.install(HERE)


@pytest.fixture
async def catalogue(runtime: Runtime) -> None:
    """Seven films of one genre and seven shows."""
    films = [film(n, title=f"Quay {n}", genre_ids=["genre_drama"]) for n in range(FILMS)]
    await store([genre("drama"), *films, *(show(n) for n in range(FILMS))])


@pytest.fixture
async def viewer(runtime: Runtime, catalogue: None) -> dict[str, str]:
    """Headers of a viewer who has seven titles in each list of the own."""
    headers = {"authorization": f"Bearer {token_for(runtime)}"}
    signed_in = await authenticate(runtime, headers["authorization"])
    assert signed_in is not None
    user = build_user("ada@example.org", "Ada", "no hash", NOW)
    user.id = signed_in.user_id
    assert await models.insert_user(user)
    later = replace(runtime, clock=Clock(NOW.timestamp(), step_seconds=1))
    viewings, progress = [], []
    for number in range(FILMS):
        at, film_of = NOW + timedelta(minutes=number), film_id(number)
        await watchlist.add_to_watchlist(Context(later, signed_in), film_of)
        viewings.append(
            models.ViewingRecord(
                id=f"viewing_{number}",
                user_id=user.id,
                playable_id=film_of,
                started_at=at,
                last_seen_at=at,
                stamp_ms=1,
            )
        )
        progress.append(
            models.ViewingProgress(
                id=f"progress_{number}",
                user_id=user.id,
                playable_id=film_of,
                position_seconds=60,
                duration_seconds=6000,
                last_watched_at=at,
            )
        )
    await models.write_viewings(viewings, LIFETIME)
    await models.ViewingProgress.insert_many(progress)
    return headers


def _connection(name: str, type_: str, path: list[str], call: str, **more: Any) -> dict[str, Any]:
    """A connection as `pages.mjs` reads it; `call` has %s where the page's arguments belong."""
    arguments = "first: $first, after: $after"
    declared = "$first: Int, $after: String"
    edges = EDGES
    variables: dict[str, Any] = {"first": PAGE}
    if more.get("backwards"):
        arguments, declared = "last: $last, before: $before", "$last: Int, $before: String"
        edges = "edges { cursor node { __typename } } pageInfo { hasPreviousPage startCursor }"
        variables = {"last": PAGE}
    call = call.replace("%s", arguments).replace("%e", edges)
    query = f"query ({declared}) {{ {call} }}"
    return {
        "name": name, "type": type_, "field": path[-1], "path": path, "query": query,
        "variables": variables, **more,
    }  # fmt: skip


CONNECTIONS = [
    _connection("films", "Query", ["movies"], "movies(%s) { %e }"),
    _connection("films, backwards", "Query", ["movies"], "movies(%s) { %e }", backwards=True),
    _connection("shows", "Query", ["tvShows"], "tvShows(%s) { %e }"),
    _connection("hits", "Query", ["search"], 'search(query: "quay", %s) { %e }'),
    _connection("a genre", "Genre", ["genres", "0", "movies"], "genres { id movies(%s) { %e } }"),
    _connection("history", "Viewer", ["viewer", "history"], "viewer { id history(%s) { %e } }"),
    _connection(
        "watchlist", "Viewer", ["viewer", "watchlist"], "viewer { id watchlist(%s) { %e } }"
    ),
    _connection(
        "to continue",
        "Viewer",
        ["viewer", "continueWatching"],
        "viewer { id continueWatching(%s) { %e } }",
    ),
]


def schema_text() -> str:
    return (ROOT / "schema.graphql").read_text(encoding="utf-8")


def object_types() -> list[GraphQLObjectType]:
    types = build_schema(schema_text()).type_map.values()
    return [one for one in types if isinstance(one, GraphQLObjectType) and one.name[:2] != "__"]


def types_without_id() -> list[str]:
    roots = {"Query", "Mutation", "Subscription"}
    return sorted(
        one.name for one in object_types() if "id" not in one.fields and one.name not in roots
    )


def test_every_connection_is_tried() -> None:
    connections = {
        (one.name, name)
        for one in object_types()
        for name, field in one.fields.items()
        if str(field.type).endswith("Connection")
    }
    assert {(one["type"], one["field"]) for one in CONNECTIONS} == connections


async def test_apollo_grows_every_connection_page_by_page(
    packages: None, live_server: LiveServer, viewer: dict[str, str]
) -> None:
    request = {"url": f"{live_server.url}/graphql", "headers": viewer, "connections": CONNECTIONS}
    grown = await node_packages.ask(HERE / "pages.mjs", request)
    assert grown == {one["name"]: {"sizes": SIZES, "distinct": FILMS} for one in CONNECTIONS}


@pytest.mark.parametrize("prefers_get", [False, True])
async def test_what_apollo_and_urql_send_by_themselves_is_answered_as_they_prefer(
    packages: None, live_server: LiveServer, catalogue: None, prefers_get: bool
) -> None:
    query = """query Page {
      movies(first: 7) { edges { node { id title views languages poster { url srcSet } } } } }"""
    request = {"url": f"{live_server.url}/graphql", "query": query, "prefersGet": prefers_get}
    answers = await node_packages.ask(HERE / "headers.mjs", request)
    for name, answer in answers.items():
        sent, received = answer["exchange"]["sent"], answer["exchange"]["received"]
        assert "application/graphql-response+json" in sent["accept"], name
        assert (answer["error"], answer["exchange"]["status"]) == ("", 200)
        assert len(answer["data"]["movies"]["edges"]) == FILMS
        assert received["content-type"].startswith("application/graphql-response+json")
        assert received["content-encoding"] in ("zstd", "br", "gzip")
    assert answers["apollo"]["exchange"]["sent"]["apollographql-client-name"] == "tests"
    assert answers["urql"]["exchange"]["method"] == ("GET" if prefers_get else "POST")


async def test_relays_variables_page_both_ways(
    packages: None, graphql: GraphQL, catalogue: None
) -> None:
    page = """query ($first: Int, $after: String, $last: Int, $before: String) {
      movies(
        first: $first, after: $after, last: $last, before: $before
        orderBy: {field: TITLE, direction: ASC}
      ) {
        edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage } } }"""
    # given the fourth film's cursor
    data = await fetch_data(graphql, page, first=4)
    cursor = data["movies"]["edges"][3]["cursor"]
    base = {"first": None, "after": None, "last": None, "before": None}
    request = {"count": PAGE, "cursor": cursor, "base": base}
    # when Relay asks for what comes after it, and before it
    variables = await node_packages.ask(HERE / "variables.mjs", request)
    assert variables["backward"] == {"first": None, "after": None, "last": 2, "before": cursor}
    pages = {
        name: (await fetch_data(graphql, page, **variables[name]))["movies"] for name in variables
    }
    # then it gets two of each, and is told that there are more
    ids = {name: [edge["node"]["id"] for edge in one["edges"]] for name, one in pages.items()}
    assert ids == {"forward": [film_id(4), film_id(5)], "backward": [film_id(1), film_id(2)]}
    assert all(
        one["pageInfo"] == {"hasNextPage": True, "hasPreviousPage": True} for one in pages.values()
    )


async def test_graphcache_normalises_every_type_with_an_id(
    packages: None, graphql: GraphQL, settings: Settings
) -> None:
    introspection = await fetch_data(graphql, get_introspection_query(descriptions=False))
    request = {
        "url": "http://unused.test",
        "introspection": introspection,
        "withoutId": types_without_id(),
    }
    report = await node_packages.ask(HERE / "normalised.mjs", request)
    assert (report["failure"], report["complaints"]) == ("", [])
    assert set(report["normalised"]) == set(report["types"]) >= {"Movie", "Genre", "Viewer"}
    with_id = {one.name for one in object_types() if "id" in one.fields}
    assert set(report["types"]) == with_id


def test_the_page_for_clients_lists_the_types_without_an_id() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    chapter = page.partition("\n## Clients\n")[2].partition("\n## ")[0]
    (listed,) = [part for part in chapter.split("```") if part.startswith("text\n")]
    assert listed.removeprefix("text\n").split() == types_without_id()
