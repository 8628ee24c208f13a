"""The playback fields on both executors; what they do is tested in tests/resolvers."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry

from graph.accounts.accounts import AccountsQuery
from graph.catalog.catalog import CatalogQuery, Movie
from graph.playback.progress import TitleProgress, ViewerProgress
from graph.playback.sessions import PlaybackMutation, PlaybackQuery
from graph.schema import CONFIG
from resolvers.context import Context, Runtime
from tests.support.operations import Send, open_operations, run_operation
from tests.support.playback_fixtures import film, viewer_of


@strawberry.type
class Query(CatalogQuery, AccountsQuery, PlaybackQuery):
    @strawberry.field(description="What a film gets, without a film.")
    def title(self, id: str) -> TitleProgress:
        return _Titled(id)  # type: ignore[return-value]

    @strawberry.field(description="What the viewer gets.")
    def mine(self) -> ViewerProgress:
        return ViewerProgress()


class _Titled:
    def __init__(self, id_: str) -> None:
        self.id = id_


@strawberry.type
class Mutation(PlaybackMutation):
    pass


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation, types=[Movie], config=CONFIG)
ERRORS = "errors { code message path retryAfterSeconds }"
START = (
    """
mutation($input: StartPlaybackInput!) { startPlayback(input: $input) {
  session { id state positionSeconds durationSeconds quality heartbeatIntervalSeconds
            device { key name kind } playable { __typename id runtimeSeconds } }
  progress { positionSeconds }
  """
    + ERRORS
    + "} }"
)
PROGRESS = """
  progress { id positionSeconds durationSeconds percent completed watchCount furthestSeconds version
             durable lastDevice { key } playable { id } }
  applied
"""
REPORT = (
    "mutation($input: ReportProgressInput!) { reportProgress(input: $input) {"
    + PROGRESS
    + ERRORS
    + "} }"
)
STOP = (
    "mutation($input: StopPlaybackInput!) { stopPlayback(input: $input) {"
    + PROGRESS
    + ERRORS
    + "} }"
)
MINE = """
query($id: ID!, $title: String!) {
  title(id: $title) { progress { positionSeconds } }
  mine {
    progress(playableId: $id) { positionSeconds }
    continueWatching(first: 1) {
      edges { cursor node { positionSeconds playable { id } } }
      nodes { positionSeconds }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}
"""
DEVICE = {"key": "phone-1", "name": "Ada's phone", "kind": "MOBILE"}


@pytest.fixture(params=["plan", "core"])
def send(request: pytest.FixtureRequest, runtime: Runtime) -> Send:
    """Runs one operation, as Ada unless told otherwise."""
    operations = open_operations(SCHEMA, request.param)

    async def run(query: str, context: Context | None = None, **variables: Any) -> dict[str, Any]:
        context = context or viewer_of(runtime)
        return await run_operation(operations, context, query, variables)

    return run


async def start(send: Send, title: str) -> dict[str, Any]:
    answer = await send(START, input={"playableId": title, "device": DEVICE, "quality": "P720"})
    return answer["data"]["startPlayback"]


async def test_a_film_is_started_reported_and_stopped(send: Send) -> None:
    # given a session
    title = await film()
    payload = await start(send, title)
    session = payload["session"]
    assert session == {
        "id": session["id"],
        "state": "PLAYING",
        "positionSeconds": 0.0,
        "durationSeconds": 6000.0,
        "quality": "P720",
        "heartbeatIntervalSeconds": 10,
        "device": DEVICE,
        "playable": {"__typename": "Movie", "id": title, "runtimeSeconds": 6000},
    }
    assert (payload["progress"], payload["errors"]) == (None, [])
    # when it reports, reports again, and stops
    report = {"sessionId": session["id"], "sequence": 0, "positionSeconds": 1500}
    reported = (await send(REPORT, input=report))["data"]["reportProgress"]
    again = (await send(REPORT, input=report))["data"]["reportProgress"]
    stop = {"sessionId": session["id"], "positionSeconds": 1600}
    stopped = (await send(STOP, input=stop))["data"]["stopPlayback"]
    # then each answer tells what is stored
    assert reported == {
        "progress": {
            "id": reported["progress"]["id"],
            "positionSeconds": 1500.0,
            "durationSeconds": 6000.0,
            "percent": 25.0,
            "completed": False,
            "watchCount": 0,
            "furthestSeconds": 1500.0,
            "version": 1,
            "durable": False,
            "lastDevice": {"key": "phone-1"},
            "playable": {"id": title},
        },
        "applied": True,
        "errors": [],
    }
    assert again == {**reported, "applied": False}
    assert stopped["progress"]["positionSeconds"] == 1600.0


async def test_expected_failures_are_data_with_a_path(send: Send) -> None:
    # given a running session
    session = (await start(send, await film()))["session"]["id"]
    # when it reports nonsense, or to nobody's session
    beyond = {"sessionId": session, "sequence": 0, "positionSeconds": 99, "durationSeconds": 50}
    unknown = {"sessionId": "session_0", "sequence": 0, "positionSeconds": 1}
    # then the payload says why
    for report, code, path in (
        (beyond, "VALIDATION_FAILED", ["input", "positionSeconds"]),
        (unknown, "SESSION_NOT_FOUND", None),
    ):
        answer = await send(REPORT, input=report)
        payload = answer["data"]["reportProgress"]
        assert "errors" not in answer
        assert (payload["progress"], payload["applied"]) == (None, False)
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, path)]
    (failure,) = (await start(send, "movie_0"))["errors"]
    assert (failure["code"], failure["path"]) == ("NOT_FOUND", ["input", "playableId"])


async def test_the_anonymous_are_refused(send: Send, context: Context) -> None:
    report = {"sessionId": "session_0", "sequence": 0, "positionSeconds": 1}
    answer = await send(REPORT, context, input=report)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_titles_and_viewers_tell_progress(send: Send) -> None:
    # given two films begun
    titles = [await film(name) for name in ("one", "two")]
    for title in titles:
        session = (await start(send, title))["session"]["id"]
        await send(REPORT, input={"sessionId": session, "sequence": 0, "positionSeconds": 60})
    # when the viewer's list is read
    data = (await send(MINE, id=titles[0], title=titles[0]))["data"]
    # then it has a first page of one
    page = data["mine"]["continueWatching"]
    cursor = page["edges"][0]["cursor"]
    assert data["title"] == {"progress": {"positionSeconds": 60.0}}
    assert data["mine"]["progress"] == {"positionSeconds": 60.0}
    assert page == {
        "edges": [
            {"cursor": cursor, "node": {"positionSeconds": 60.0, "playable": {"id": titles[1]}}}
        ],
        "nodes": [{"positionSeconds": 60.0}],
        "pageInfo": {
            "hasNextPage": True,
            "hasPreviousPage": False,
            "startCursor": cursor,
            "endCursor": cursor,
        },
    }


async def test_a_session_is_visible_to_its_owner_only(
    send: Send, runtime: Runtime, context: Context
) -> None:
    session = (await start(send, await film()))["session"]["id"]
    query = "query($id: ID!) { playbackSession(id: $id) { id state lastSeenAt startedAt } }"
    mine = await send(query, id=session)
    assert mine["data"]["playbackSession"]["state"] == "PLAYING"
    theirs = await send(query, viewer_of(runtime, "bob"), id=session)
    assert theirs == {"data": {"playbackSession": None}}
    nobodys = await send(query, context, id=session)
    assert nobodys["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_seek_back_counts_and_a_player_that_begins_anew_does_not(send: Send) -> None:
    # given a film left in its middle, and a session of another player
    title = await film()
    first = (await start(send, title))["session"]["id"]
    await send(REPORT, input={"sessionId": first, "sequence": 0, "positionSeconds": 600})
    second = (await start(send, title))["session"]["id"]
    report = {"sessionId": second, "sequence": 0, "positionSeconds": 5}
    # when it reports from near the start, then says that its viewer sought
    payload = (await send(REPORT, input=report))["data"]["reportProgress"]
    sought = (await send(REPORT, input={**report, "sequence": 1, "seeked": True}))["data"]
    # then only that moves the position
    assert (payload["applied"], payload["progress"]["positionSeconds"]) == (False, 600.0)
    assert sought["reportProgress"]["applied"] is True
    assert sought["reportProgress"]["progress"]["positionSeconds"] == 5.0
