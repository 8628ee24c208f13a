"""nowPlaying, history and deleteHistory on both executors, over the whole schema."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import models
from graph.schema import schema
from models.mongo import ids
from resolvers.context import Context, Runtime
from resolvers.playback import reports, sessions
from tests.support.clock import Clock
from tests.support.operations import Send, open_operations, run_operation
from tests.support.playback_fixtures import PHONE, film, viewer_of
from workers.flush_progress import flush_progress

START = 1_800_000_000.0
HISTORY = """
query($first: Int, $after: String, $from: DateTime, $to: DateTime) {
  viewer { history(first: $first, after: $after, from: $from, to: $to) {
    edges { cursor node { id } }
    nodes { id startedAt endedAt watchedSeconds completed device { key kind }
            playable { __typename id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}
"""
DELETE = """
mutation($input: DeleteHistoryInput!) { deleteHistory(input: $input) {
  accepted errors { code path }
} }
"""
START_PLAYBACK = """
mutation($input: StartPlaybackInput!) { startPlayback(input: $input) {
  session { id } errors { code message path }
} }
"""
REPORT = """
mutation($input: ReportProgressInput!) { reportProgress(input: $input) {
  applied errors { code } progress { positionSeconds }
} }
"""
NOW_PLAYING = "{ viewer { nowPlaying { id state playable { id } heartbeatIntervalSeconds } } }"
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"


@pytest.fixture
async def ada(runtime: Runtime, clock: Clock) -> Context:
    """Somebody with an account, who may play one stream."""
    settings = runtime.settings.model_copy(update={"playback_streams_free": 1})
    context = viewer_of(replace(runtime, settings=settings, clock=clock))
    assert context.viewer_id is not None
    await models.User(
        id=context.viewer_id, email="ada@example.org", password_hash="-", display_name="Ada"
    ).insert()
    return context


@pytest.fixture(params=["plan", "core"])
def send(request: pytest.FixtureRequest, ada: Context) -> Send:
    """Runs one operation, as Ada unless told otherwise."""
    operations = open_operations(schema, request.param)

    async def run(query: str, context: Context | None = None, **variables: Any) -> dict[str, Any]:
        context = context or Context(ada.runtime, ada.viewer)
        return await run_operation(operations, context, query, variables)

    return run


async def watched(ada: Context, clock: Clock, title: str) -> None:
    """Ten seconds of it, written to the history."""
    started = await sessions.start_playback(ada, title, PHONE)
    clock.now += 10
    await reports.report_progress(ada, started.session.id, 0, 10.0)
    await sessions.stop_playback(ada, started.session.id)
    await flush_progress(ada.runtime, "worker-1")


async def page(send: Send, **variables: Any) -> dict[str, Any]:
    history: dict[str, Any] = (await send(HISTORY, **variables))["data"]["viewer"]["history"]
    return history


async def test_the_history_is_paged(send: Send, ada: Context, clock: Clock) -> None:
    # given three films watched
    titles = [await film(name) for name in ("one", "two", "three")]
    for title in titles:
        await watched(ada, clock, title)
    # when two pages of two are read
    first = await page(send, first=2)
    second = await page(send, first=2, after=first["pageInfo"]["endCursor"])
    # then they hold all, the newest first
    assert first["nodes"][0] == {
        "id": first["nodes"][0]["id"],
        "startedAt": "2027-01-15T08:00:20.000Z",
        "endedAt": "2027-01-15T08:00:30.001Z",
        "watchedSeconds": 10.0,
        "completed": False,
        "device": {"key": "phone-1", "kind": "MOBILE"},
        "playable": {"__typename": "Movie", "id": titles[2]},
    }
    playable_ids = [one["playable"]["id"] for part in (first, second) for one in part["nodes"]]
    assert playable_ids == titles[::-1]
    assert [edge["node"]["id"] for edge in first["edges"]] == [one["id"] for one in first["nodes"]]
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": first["edges"][0]["cursor"],
        "endCursor": first["edges"][1]["cursor"],
    }
    assert second["pageInfo"]["hasNextPage"] is False
    # and a range of time holds its beginning, not its end
    ranged = await page(send, **{"from": "2027-01-15T08:00:10Z", "to": "2027-01-15T08:00:20Z"})
    assert [one["playable"]["id"] for one in ranged["nodes"]] == [titles[1]]


async def test_viewings_and_sessions_are_nodes_of_their_viewer(
    send: Send, ada: Context, clock: Clock
) -> None:
    await watched(ada, clock, await film())
    viewing = (await page(send))["nodes"][0]["id"]
    started = await sessions.start_playback(ada, await film("other"), PHONE)
    requested_ids = [viewing, started.session.id, ids.new("viewing")]
    mine = await send(NODES, ids=requested_ids)
    assert mine["data"]["nodes"] == [
        {"__typename": "Viewing", "id": viewing},
        {"__typename": "PlaybackSession", "id": started.session.id},
        None,
    ]
    for other in (viewer_of(ada.runtime, "bob"), Context(ada.runtime)):
        assert (await send(NODES, other, ids=requested_ids))["data"]["nodes"] == [None, None, None]


async def test_viewings_are_deleted_by_exactly_one_way(
    send: Send, ada: Context, clock: Clock
) -> None:
    # given three films watched
    titles = [await film(name) for name in ("one", "two", "three")]
    for title in titles:
        await watched(ada, clock, title)
    newest = (await page(send))["nodes"][0]["id"]
    # when nothing, too much, or somebody else's is named
    for wrong in ({}, {"viewingId": newest, "playableId": titles[0]}, {"before": None}):
        assert "data" not in await send(DELETE, input=wrong)
    bob = await send(DELETE, viewer_of(ada.runtime, "bob"), input={"viewingId": newest})
    nobody = await send(DELETE, Context(ada.runtime), input={"viewingId": newest})
    # then it is refused, and nothing is gone
    failure = {"code": "NOT_FOUND", "path": ["input", "viewingId"]}
    assert bob["data"]["deleteHistory"] == {"accepted": False, "errors": [failure]}
    assert nobody["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert len((await page(send))["nodes"]) == 3
    # and each way by itself works
    remaining = []
    for way in (
        {"viewingId": newest},
        {"playableId": titles[1]},
        {"before": "2027-01-15T08:00:00.001Z"},
    ):
        answer = await send(DELETE, input=way)
        assert answer["data"]["deleteHistory"] == {"accepted": True, "errors": []}
        remaining.append(len((await page(send))["nodes"]))
    assert remaining == [2, 1, 0]


async def test_one_stream_too_many_is_a_user_error_that_lists_the_playing_sessions(
    send: Send, ada: Context, clock: Clock
) -> None:
    # given a film that plays
    title = await film()
    fields = {"playableId": title, "device": {"key": "phone-1"}, "idempotencyKey": "tap"}
    first = (await send(START_PLAYBACK, input=fields))["data"]["startPlayback"]["session"]["id"]
    # when another is started, then the same again
    more = await send(START_PLAYBACK, input=fields | {"idempotencyKey": "other"})
    same = await send(START_PLAYBACK, input=fields)
    # then only the other is refused
    (error,) = more["data"]["startPlayback"]["errors"]
    assert (error["code"], error["path"]) == ("TOO_MANY_STREAMS", None)
    assert "one stream" in error["message"]
    assert same["data"]["startPlayback"] == {"session": {"id": first}, "errors": []}
    expected = {"id": first, "state": "PLAYING", "playable": {"id": title}}
    listed = (await send(NOW_PLAYING))["data"]["viewer"]["nowPlaying"]
    assert listed == [expected | {"heartbeatIntervalSeconds": 10}]
    # and a player that slept learns in its report that another took its place
    clock.now += 31
    assert (await send(NOW_PLAYING))["data"]["viewer"]["nowPlaying"] == []
    await send(START_PLAYBACK, input=fields | {"idempotencyKey": "other"})
    report = {"sessionId": first, "sequence": 0, "positionSeconds": 30}
    late = (await send(REPORT, input=report))["data"]["reportProgress"]
    assert late == {
        "applied": False,
        "errors": [{"code": "TOO_MANY_STREAMS"}],
        "progress": None,
    }


async def test_the_anonymous_play_nothing(send: Send, ada: Context) -> None:
    for query in (NOW_PLAYING, HISTORY):
        answer = await send(query, Context(ada.runtime))
        assert answer["data"] == {"viewer": None}


@pytest.mark.parametrize("wrong", ["2027-01-15T08:00:00", "0001-01-01T00:00:00+14:00", "soon"])
async def test_a_time_that_is_none_is_refused_before_anything_is_read(
    send: Send, wrong: str
) -> None:
    literal = f'{{ viewer {{ history(to: "{wrong}") {{ nodes {{ id }} }} }} }}'
    for answer in (await send(HISTORY, to=wrong), await send(literal)):
        assert "data" not in answer
        assert answer["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"
