"""Every connection is read from either end: the same items, in the same order, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

import models
from graph.schema import schema
from models.mongo import ids
from resolvers.context import Context, Runtime, Viewer
from resolvers.playback import watchlist
from tests.support.api_client import GraphQL, token_for
from tests.support.playback_fixtures import build_offline_report

USER = ids.derive("user", "test", models.Role.USER.value)
START = datetime(2027, 1, 15, 20, 0, tzinfo=UTC)
ARGUMENTS = "first: $first, after: $after, last: $last, before: $before"
PAGE = """{ edges { cursor node { ... on Node { id } } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"""
GENRE_MOVIES = f"it: movies({ARGUMENTS}) {PAGE}"
# the type and field of each connection, and an operation that reads it
LISTS = {
    "Query.movies": f"it: movies(orderBy: {{field: TITLE}}, {ARGUMENTS}) {PAGE}",
    "Query.tvShows": f"it: tvShows({ARGUMENTS}) {PAGE}",
    "Query.search": f'it: search(query: "the", {ARGUMENTS}) {PAGE}',
    "Genre.movies": f'node(id: "genre_drama") {{ ... on Genre {{ {GENRE_MOVIES} }} }}',
    "Viewer.continueWatching": f"viewer {{ it: continueWatching({ARGUMENTS}) {PAGE} }}",
    "Viewer.history": f"viewer {{ it: history({ARGUMENTS}) {PAGE} }}",
    "Viewer.watchlist": f"viewer {{ it: watchlist({ARGUMENTS}) {PAGE} }}",
}
VARIABLES = "$first: Int, $after: String, $last: Int, $before: String"


def test_every_connection_is_read_below() -> None:
    types = schema._schema.type_map.values()
    found = {
        f"{kind.name}.{name}"
        for kind in types
        if isinstance(kind, GraphQLObjectType)
        for name, field in kind.fields.items()
        if get_named_type(field.type).name.endswith("Connection")
    }
    assert found == set(LISTS)


@pytest.fixture
async def lists(runtime: Runtime, demo_catalog: None) -> None:
    """A viewer with five titles on each list, watched one after the other."""
    await models.User(
        id=USER, email="ada@example.org", password_hash="-", display_name="Ada"
    ).insert()
    viewer = Viewer(USER, models.Role.USER, models.AccountTier.FREE, "login_1")
    context = Context(runtime, viewer)
    films = [row["_id"] async for row in models.Movie.get_pymongo_collection().find().limit(5)]
    for number, title in enumerate(films):
        await watchlist.add_to_watchlist(context, title)
        await build_offline_report(context, title, 60, ago=100 - 10 * number)
        at = START + timedelta(minutes=number)
        await models.Viewing(
            id=ids.derive("viewing", USER, number),
            user_id=USER,
            playable_id=title,
            started_at=at,
            last_seen_at=at,
            ended_at=at,
            watched_seconds=60.0,
            stamp_ms=models.milliseconds(at),
        ).insert()


async def read(graphql: GraphQL, runtime: Runtime, name: str, **variables: Any) -> dict[str, Any]:
    query = f"query ({VARIABLES}) {{ {LISTS[name]} }}"
    status, body = await graphql(query, variables, token_for(runtime))
    assert (status, body.keys()) == (200, {"data"}), body
    page = body["data"]
    while "it" not in page:
        (page,) = page.values()
    return dict(page["it"])


def list_ids(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_is_the_same_from_both_ends(
    graphql: GraphQL, runtime: Runtime, lists: None, name: str
) -> None:
    # given what a client reads forwards, Relay's variables with all four names
    forwards: list[str] = []
    after, size = None, 2
    while True:
        page = await read(graphql, runtime, name, first=size, after=after, last=None, before=None)
        forwards += list_ids(page)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"] or len(forwards) >= 40:
            break
    assert len(forwards) >= 2 and len(set(forwards)) == len(forwards)
    # when it goes back from there, as far as it can
    first_of_last = page["pageInfo"]["startCursor"]
    backwards: list[str] = []
    before = first_of_last
    while before is not None:
        page = await read(graphql, runtime, name, last=size, before=before, first=None, after=None)
        backwards = list_ids(page) + backwards
        assert len(page["edges"]) <= size
        before = page["pageInfo"]["startCursor"] if page["pageInfo"]["hasPreviousPage"] else None
    # then these are the same items in the same order
    assert backwards == forwards[: len(backwards)]
    assert len(backwards) in (len(forwards) - size, len(forwards) - 1)
    # and without a cursor it ends with the list, whose last page may be any that it is asked for
    end = await read(graphql, runtime, name, last=size)
    assert len(end["edges"]) == size
    assert end["pageInfo"]["hasNextPage"] is False
    assert end["pageInfo"]["hasPreviousPage"] is (len(forwards) > size)
    if len(forwards) < 40:
        assert list_ids(end) == forwards[-size:]


@pytest.mark.parametrize("name", LISTS)
async def test_directions_do_not_mix(
    graphql: GraphQL, runtime: Runtime, lists: None, name: str
) -> None:
    cursor = (await read(graphql, runtime, name, first=1))["pageInfo"]["endCursor"]
    query = f"query ({VARIABLES}) {{ {LISTS[name]} }}"
    for variables in ({"first": 1, "last": 1}, {"last": 1, "after": cursor}, {"last": 0}):
        _, body = await graphql(query, variables, token_for(runtime))
        assert "VALIDATION_FAILED" in str(body["errors"])
    _, body = await graphql(query, {"last": 1, "before": "x"}, token_for(runtime))
    assert "INVALID_CURSOR" in str(body["errors"])
