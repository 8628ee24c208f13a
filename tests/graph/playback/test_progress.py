"""Batches, marks, lists and next episodes on both executors; what they do: tests/resolvers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import models
from models import Role
from models.mongo import ids
from resolvers.context import Context, Runtime, Viewer
from tests.support.api_client import (
    GraphQL,
    Socket,
    connect_executor,
    fetch_data,
    token_for,
)
from tests.support.playback_fixtures import build_offline_report
from tests.support.titles import film, film_id, show_id, store, whole_show

ERRORS = "errors { code path }"
STATE = "playable { id } positionSeconds completed watchCount version durable"
BATCH = (
    "mutation ($input: ReportProgressBatchInput!) { reportProgressBatch(input: $input) {"
    " progress { playable { id } positionSeconds lastDevice { key kind } } applied ignored "
    + ERRORS
    + "} }"
)
MARK = (
    "mutation ($input: MarkWatchedInput!) { markWatched(input: $input) { applied progress {"
    + STATE
    + " lastWatchedAt } "
    + ERRORS
    + "} }"
)
UNMARK = (
    "mutation ($id: ID!) { markUnwatched(input: {playableId: $id}) { applied progress {"
    + STATE
    + "} "
    + ERRORS
    + "} }"
)
DISMISS = (
    "mutation ($id: ID!) { dismissFromContinueWatching(input: {playableId: $id}) {"
    " applied progress { positionSeconds } " + ERRORS + "} }"
)
LIST = """
query ($first: Int, $after: String, $next: Boolean) { viewer {
  continueWatching(first: $first, after: $after, includeNextUp: $next) {
    nodes { version positionSeconds playable { __typename id } }
    edges { cursor node { playable { id } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
} } }
"""
NEXT = """
query ($rewatch: Boolean) { tvShows(first: 5, orderBy: {field: TITLE, direction: ASC}) { nodes {
  id nextUp(rewatch: $rewatch) { id number progress { positionSeconds } }
} } }
"""
CHANGED = """
subscription ($id: ID) { progressChanged(playableId: $id) { playable { id } positionSeconds } }
"""
TEST_USER = ids.derive("user", "test", Role.USER.value)


def viewer_of_token(runtime: Runtime) -> Context:
    """Whoever `token_for` signs in."""
    return Context(runtime, Viewer(TEST_USER, Role.USER, models.AccountTier.FREE, "login_1"))


@pytest.fixture
async def library(runtime: Runtime) -> None:
    films = [film(number, runtime_seconds=6000) for number in range(1, 4)]
    await store([*films, *whole_show(1, [2, 1]), *whole_show(2, [1])])
    account = models.User(
        id=TEST_USER, email="ada@example.org", password_hash="-", display_name="Ada"
    )
    await account.insert()


@pytest.fixture(params=["plan", "core"])
async def send(
    request: pytest.FixtureRequest, runtime: Runtime, library: None
) -> AsyncIterator[GraphQL]:
    async with connect_executor(runtime, request.param) as graphql:
        yield graphql


def event(**fields: Any) -> dict[str, Any]:
    return {
        "playableId": film_id(1),
        "deviceKey": "phone-1",
        "eventId": "event-1",
        "positionSeconds": 600,
        "occurredAt": "2026-01-01T12:00:00Z",
        **fields,
    }


async def test_a_batch_is_taken_once(send: GraphQL, runtime: Runtime) -> None:
    token = token_for(runtime)
    batch = {"sentAt": "2026-01-01T13:00:00Z", "events": [event()]}
    expected = {
        "progress": [
            {
                "playable": {"id": film_id(1)},
                "positionSeconds": 600.0,
                "lastDevice": {"key": "phone-1", "kind": "OTHER"},
            }
        ],
        "errors": [],
    }
    for applied, ignored in ((1, 0), (0, 1)):
        answer = await fetch_data(send, BATCH, token, input=batch)
        assert answer["reportProgressBatch"] == expected | {"applied": applied, "ignored": ignored}


@pytest.mark.parametrize(
    ("events", "code", "path"),
    [
        ([event(positionSeconds=-1)], "VALIDATION_FAILED", ["0", "positionSeconds"]),
        (
            [event(positionSeconds=200, durationSeconds=100)],
            "VALIDATION_FAILED",
            ["0", "positionSeconds"],
        ),
        ([event(), event(playableId=film_id(9))], "NOT_FOUND", ["1", "playableId"]),
        ([event(occurredAt="2026-01-02T12:00:00Z")], "VALIDATION_FAILED", ["0", "occurredAt"]),
    ],
)
async def test_a_bad_batch_is_refused_whole(
    send: GraphQL, runtime: Runtime, events: list[Any], code: str, path: list[str]
) -> None:
    token = token_for(runtime)
    batch = {"sentAt": "2026-01-01T13:00:00Z", "events": events}
    answer = await fetch_data(send, BATCH, token, input=batch)
    assert answer["reportProgressBatch"] == {
        "progress": [],
        "applied": 0,
        "ignored": 0,
        "errors": [{"code": code, "path": ["input", "events", *path]}],
    }
    mine = await fetch_data(send, "{ movies { nodes { progress { version } } } }", token)
    assert {one["progress"] for one in mine["movies"]["nodes"]} == {None}


async def test_marks_are_set_and_taken_back(send: GraphQL, runtime: Runtime) -> None:
    token = token_for(runtime)
    fields = {"id": show_id(1), "watchedAt": "2026-01-01T12:00:00Z"}
    marked = (await fetch_data(send, MARK, token, input=fields))["markWatched"]
    assert marked == {
        "applied": True,
        "progress": {
            "playable": {"id": "episode_1.2.1"},
            "positionSeconds": 1800.0,
            "completed": True,
            "watchCount": 1,
            "version": 1,
            "durable": False,
            "lastWatchedAt": "2026-01-01T12:00:00.000Z",
        },
        "errors": [],
    }
    unmarked = (await fetch_data(send, UNMARK, token, id="episode_1.2.1"))["markUnwatched"]
    assert unmarked == {
        "applied": True,
        "progress": {
            "playable": {"id": "episode_1.2.1"},
            "positionSeconds": 0.0,
            "completed": False,
            "watchCount": 1,
            "version": 2,
            "durable": False,
        },
        "errors": [],
    }


async def test_what_cannot_be_marked_is_a_user_error(send: GraphQL, runtime: Runtime) -> None:
    token = token_for(runtime)
    for query, variables, path in (
        (MARK, {"input": {"id": film_id(9)}}, "id"),
        (UNMARK, {"id": film_id(9)}, "playableId"),
        (DISMISS, {"id": show_id(1)}, "playableId"),
    ):
        (answer,) = (await fetch_data(send, query, token, **variables)).values()
        assert answer == {
            "applied": False,
            "progress": None,
            "errors": [{"code": "NOT_FOUND", "path": ["input", path]}],
        }
    future = {"id": film_id(1), "watchedAt": "2199-01-01T00:00:00Z"}
    (answer,) = (await fetch_data(send, MARK, token, input=future)).values()
    assert answer["errors"] == [{"code": "VALIDATION_FAILED", "path": ["input", "watchedAt"]}]


async def test_continue_watching_tells_films_and_next_episodes(
    send: GraphQL, runtime: Runtime
) -> None:
    # given a film begun, and after it an episode completed
    token, ada = token_for(runtime), viewer_of_token(runtime)
    await build_offline_report(ada, film_id(1), 60, ago=20)
    await build_offline_report(ada, "episode_1.1.1", 1790, ago=10)
    # when the list is read one by one
    page = (await fetch_data(send, LIST, token, first=1))["viewer"]["continueWatching"]
    cursor = page["edges"][0]["cursor"]
    coming = {"__typename": "Episode", "id": "episode_1.1.2"}
    assert page == {
        "nodes": [{"version": 0, "positionSeconds": 0.0, "playable": coming}],
        "edges": [{"cursor": cursor, "node": {"playable": {"id": "episode_1.1.2"}}}],
        "pageInfo": {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": cursor,
            "endCursor": cursor,
        },
    }
    page = (await fetch_data(send, LIST, token, first=1, after=cursor))["viewer"][
        "continueWatching"
    ]
    assert [node["playable"]["id"] for node in page["nodes"]] == [film_id(1)]
    assert page["pageInfo"]["hasNextPage"] is False
    # then it comes without next episodes on request, and without what is dismissed
    page = (await fetch_data(send, LIST, token, next=False))["viewer"]["continueWatching"]
    assert [node["playable"]["id"] for node in page["nodes"]] == [film_id(1)]
    dismissed = await fetch_data(send, DISMISS, token, id=film_id(1))
    assert dismissed["dismissFromContinueWatching"] == {
        "applied": True,
        "progress": {"positionSeconds": 60.0},
        "errors": [],
    }
    page = (await fetch_data(send, LIST, token, next=None))["viewer"]["continueWatching"]
    assert [node["playable"]["id"] for node in page["nodes"]] == ["episode_1.1.2"]


async def test_shows_tell_their_next_episodes(send: GraphQL, runtime: Runtime) -> None:
    token, ada = token_for(runtime), viewer_of_token(runtime)
    await build_offline_report(ada, "episode_1.1.1", 1790, ago=20)
    await build_offline_report(ada, "episode_2.1.1", 1790, ago=10)
    nodes = (await fetch_data(send, NEXT, token))["tvShows"]["nodes"]
    assert nodes == [
        {"id": show_id(1), "nextUp": {"id": "episode_1.1.2", "number": 2, "progress": None}},
        {"id": show_id(2), "nextUp": None},
    ]
    again = (await fetch_data(send, NEXT, token, rewatch=True))["tvShows"]["nodes"]
    assert again[1]["nextUp"] == {
        "id": "episode_2.1.1",
        "number": 1,
        "progress": {"positionSeconds": 1790.0},
    }
    for other in (None, token_for(runtime, Role.EDITOR)):
        nodes = (await fetch_data(send, NEXT, other))["tvShows"]["nodes"]
        assert [node["nextUp"] for node in nodes] == [None, None]


async def test_progress_is_a_node_of_its_viewer_alone(send: GraphQL, runtime: Runtime) -> None:
    one = await build_offline_report(viewer_of_token(runtime), film_id(1), 60)
    query = "query ($id: ID!) { node(id: $id) { ... on ViewingProgress { positionSeconds } } }"
    mine = await fetch_data(send, query, token_for(runtime), id=one.id)
    assert mine == {"node": {"positionSeconds": 60.0}}
    for other in (None, token_for(runtime, Role.EDITOR)):
        assert await fetch_data(send, query, other, id=one.id) == {"node": None}


async def test_changing_progress_needs_a_sign_in(send: GraphQL) -> None:
    batch = {"sentAt": "2026-01-01T13:00:00Z", "events": [event()]}
    for query, variables in (
        (BATCH, {"input": batch}),
        (MARK, {"input": {"id": film_id(1)}}),
        (UNMARK, {"id": film_id(1)}),
        (DISMISS, {"id": film_id(1)}),
    ):
        _, answer = await send(query, variables)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


async def test_a_second_device_hears_of_progress(
    library: None, socket: Socket, runtime: Runtime
) -> None:
    # given one device that listens to one film, and to all
    ada = viewer_of_token(runtime)
    await build_offline_report(ada, film_id(1), 60, ago=20)
    await socket.initialised(token_for(runtime))
    await socket.subscribe("one", CHANGED, {"id": film_id(1)})
    assert (await socket.receive())["payload"]["data"]["progressChanged"] == {
        "playable": {"id": film_id(1)},
        "positionSeconds": 60.0,
    }
    # when it changes elsewhere
    await build_offline_report(viewer_of_token(runtime), film_id(1), 90)
    # then it is told
    message = await socket.receive()
    assert message["id"] == "one"
    assert message["payload"]["data"]["progressChanged"]["positionSeconds"] == 90.0
    await socket.send({"type": "complete", "id": "one"})


async def test_nobody_listens_without_a_sign_in(library: None, socket: Socket) -> None:
    await socket.initialised()
    await socket.subscribe("one", CHANGED)
    message = await socket.receive()
    assert message["type"] in ("error", "next")
    failures = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert failures[0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_batch_of_more_than_500_events_is_refused_before_it_is_read(
    send: GraphQL, runtime: Runtime
) -> None:
    events = [event(eventId=f"event-{number}") for number in range(501)]
    batch = {"sentAt": "2026-01-01T13:00:00Z", "events": events}
    _, body = await send(BATCH, {"input": batch}, token_for(runtime))
    assert [error["message"] for error in body["errors"]] == [
        "`$input.events` has at most 500 items."
    ]
