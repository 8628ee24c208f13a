"""The watchlist on both executors; what it does is tested in tests/resolvers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from models import Role
from resolvers.context import Runtime
from tests.support.api_client import (
    GraphQL,
    connect_executor,
    fetch_data,
    token_for,
)
from tests.support.titles import film, film_id, show, show_id, store

ADD = """
mutation ($id: ID!) { addToWatchlist(input: {id: $id}) {
  title { __typename id onWatchlist } errors { code path }
} }
"""
REMOVE = """
mutation ($id: ID!) { removeFromWatchlist(input: {id: $id}) {
  title { __typename id onWatchlist } errors { code path }
} }
"""
LIST = """
query ($first: Int, $after: String) { viewer { watchlist(first: $first, after: $after) {
  nodes { __typename id title onWatchlist ... on Movie { runtimeSeconds } }
  edges { cursor node { id } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
} } }
"""


@pytest.fixture(params=["plan", "core"])
async def send(request: pytest.FixtureRequest, runtime: Runtime) -> AsyncIterator[GraphQL]:
    await store([film(1, runtime_seconds=60), film(2), show(1)])
    async with connect_executor(runtime, request.param) as graphql:
        yield graphql


async def test_a_title_is_added_listed_and_removed(send: GraphQL, runtime: Runtime) -> None:
    # given two titles on the list of somebody who has an account
    register = """mutation { register(input: {email: "ada@example.org", displayName: "Ada",
      password: "correct horse battery"}) { tokens { accessToken } } }"""
    token = (await fetch_data(send, register, None))["register"]["tokens"]["accessToken"]
    for id_, kind in ((film_id(1), "Movie"), (show_id(1), "TvShow")):
        added = await fetch_data(send, ADD, token, id=id_)
        assert added["addToWatchlist"] == {
            "title": {"__typename": kind, "id": id_, "onWatchlist": True},
            "errors": [],
        }
    # when it is read
    page = (await fetch_data(send, LIST, token, first=1))["viewer"]["watchlist"]
    # then the newest is on its first page, and the other on the next
    cursor = page["edges"][0]["cursor"]
    assert page == {
        "nodes": [
            {"__typename": "TvShow", "id": show_id(1), "title": "Show 1", "onWatchlist": True}
        ],
        "edges": [{"cursor": cursor, "node": {"id": show_id(1)}}],
        "pageInfo": {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": cursor,
            "endCursor": cursor,
        },
    }
    page = (await fetch_data(send, LIST, token, first=1, after=cursor))["viewer"]["watchlist"]
    assert page["nodes"] == [
        {
            "__typename": "Movie",
            "id": film_id(1),
            "title": "Film 1",
            "onWatchlist": True,
            "runtimeSeconds": 60,
        }
    ]
    # and what is let go is gone
    removed = await fetch_data(send, REMOVE, token, id=film_id(1))
    assert removed["removeFromWatchlist"]["title"]["onWatchlist"] is False
    page = (await fetch_data(send, LIST, token))["viewer"]["watchlist"]
    assert [title["id"] for title in page["nodes"]] == [show_id(1)]


async def test_titles_tell_whether_they_are_listed_to_their_viewer_alone(
    send: GraphQL, runtime: Runtime
) -> None:
    ada, bob = token_for(runtime), token_for(runtime, Role.EDITOR)
    await fetch_data(send, ADD, ada, id=film_id(1))
    query = "{ movies(first: 2) { nodes { id onWatchlist } } tvShows { nodes { onWatchlist } } }"
    for token, marks in ((ada, {True, False}), (bob, {False}), (None, {None})):
        answer = await fetch_data(send, query, token)
        assert {film["onWatchlist"] for film in answer["movies"]["nodes"]} == marks
        assert answer["tvShows"]["nodes"] == [{"onWatchlist": None if token is None else False}]


async def test_what_is_no_title_is_a_user_error(send: GraphQL, runtime: Runtime) -> None:
    for query in (ADD, REMOVE):
        (answer,) = (await fetch_data(send, query, token_for(runtime), id=film_id(9))).values()
        assert answer == {
            "title": None,
            "errors": [{"code": "NOT_FOUND", "path": ["input", "id"]}],
        }


async def test_changing_the_list_needs_a_sign_in(send: GraphQL) -> None:
    for query in (ADD, REMOVE):
        _, answer = await send(query, {"id": film_id(1)})
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]
