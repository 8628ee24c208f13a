"""Progress, end to end: acknowledged, read back at once, in MongoDB after the flush."""

from __future__ import annotations

from typing import Any

import pytest

import models
from resolvers.context import Runtime
from tests.conftest import CountCommands
from tests.support.api_client import GraphQL, token_for
from tests.support.playback_fixtures import read_stored_progress
from workers.flush_progress import flush_progress

SIGN_IN = """mutation { register(input: {
  email: "ada@example.org", password: "correct horse battery", displayName: "Ada"
}) { tokens { accessToken } errors { code } } }"""
START = """mutation ($input: StartPlaybackInput!) { startPlayback(input: $input) {
  session { id state heartbeatIntervalSeconds playable { ... on Movie { title } } }
  progress { positionSeconds } errors { code message }
} }"""
REPORT = """mutation ($input: ReportProgressInput!) { reportProgress(input: $input) {
  applied progress { positionSeconds percent durable completed version }
  errors { code message path }
} }"""
STOP = """mutation ($input: StopPlaybackInput!) { stopPlayback(input: $input) {
  applied progress { positionSeconds durable } errors { code }
} }"""
READ = """query ($id: ID!) {
  movie(by: {id: $id}) { title progress { positionSeconds durable } }
  viewer { continueWatching(first: 5) { nodes { positionSeconds durable playable { id } } } }
}"""


@pytest.fixture
async def film(demo_catalog: None) -> str:
    """The id of a film, found as clients find it."""
    records = await models.find(models.Movie, models.MovieRecord, {"title": "Metropolis"})
    return records[0].id


async def signed_in(graphql: GraphQL) -> str:
    _, body = await graphql(SIGN_IN)
    token: str = body["data"]["register"]["tokens"]["accessToken"]
    return token


async def done(graphql: GraphQL, query: str, token: str | None, **input_: Any) -> dict[str, Any]:
    status, body = await graphql(query, {"input": input_}, token)
    assert (status, body.keys()) == (200, {"data"})
    (payload,) = body["data"].values()
    return dict(payload)


async def begun(graphql: GraphQL, token: str, film: str) -> str:
    started = await done(graphql, START, token, playableId=film, device={"key": "tv-1"})
    assert started["errors"] == []
    session: str = started["session"]["id"]
    return session


async def test_progress_walks_from_the_player_to_mongodb_and_back(
    graphql: GraphQL, runtime: Runtime, film: str
) -> None:
    # given somebody who watches a film
    token = await signed_in(graphql)
    session = await begun(graphql, token, film)
    # when the player reports
    for sequence, position in enumerate((10.0, 20.0, 30.5)):
        payload = await done(
            graphql, REPORT, token, sessionId=session, sequence=sequence, positionSeconds=position
        )
        assert (payload["applied"], payload["errors"]) == (True, [])
    # then it is read back at once, everywhere, and said to be on its way
    expected = {"positionSeconds": 30.5, "durable": False}
    _, body = await graphql(READ, {"id": film}, token)
    assert body["data"]["movie"] == {"title": "Metropolis", "progress": expected}
    nodes = body["data"]["viewer"]["continueWatching"]["nodes"]
    assert nodes == [{**expected, "playable": {"id": film}}]
    assert await read_stored_progress() == []
    # when the worker has been there
    assert await flush_progress(runtime) >= 3
    # then MongoDB has it, and everybody is told the same, now durable
    (row,) = await read_stored_progress()
    assert (row["playable_id"], row["position_seconds"]) == (film, 30.5)
    _, body = await graphql(READ, {"id": film}, token)
    assert body["data"]["movie"]["progress"] == {"positionSeconds": 30.5, "durable": True}
    # and also when Redis has forgotten everything
    await runtime.redis.flushdb()
    runtime.cache.clear_memory()
    _, body = await graphql(READ, {"id": film}, token)
    assert body["data"]["movie"]["progress"] == {"positionSeconds": 30.5, "durable": True}
    assert len(body["data"]["viewer"]["continueWatching"]["nodes"]) == 1


async def test_a_session_ends_and_the_next_begins_where_it_was_left(
    graphql: GraphQL, film: str
) -> None:
    token = await signed_in(graphql)
    session = await begun(graphql, token, film)
    ended = await done(graphql, STOP, token, sessionId=session, positionSeconds=77.0)
    assert (ended["applied"], ended["progress"]["positionSeconds"]) == (True, 77.0)
    again = await done(graphql, START, token, playableId=film, device={"key": "phone"})
    assert again["progress"]["positionSeconds"] == 77.0


BAD_POSITIONS = ["-1", "-0.001", "1e308", "1e999", "100000000"]


@pytest.mark.parametrize("position", BAD_POSITIONS)
async def test_a_position_outside_the_film_changes_nothing(
    graphql: GraphQL, runtime: Runtime, film: str, position: str
) -> None:
    token = await signed_in(graphql)
    session = await begun(graphql, token, film)
    await done(graphql, REPORT, token, sessionId=session, sequence=0, positionSeconds=12.0)
    # when a position is told that the film does not have
    query = f"""mutation {{ reportProgress(input: {{
      sessionId: "{session}", sequence: 1, positionSeconds: {position}
    }}) {{ applied progress {{ positionSeconds }} errors {{ code path }} }} }}"""
    status, body = await graphql(query, token=token)
    # then it is refused, in whichever way, and the last good one stands
    assert status == 200
    assert "INTERNAL_SERVER_ERROR" not in str(body)
    assert "VALIDATION_FAILED" in str(body)
    _, now = await graphql(READ, {"id": film}, token)
    assert now["data"]["movie"]["progress"]["positionSeconds"] == 12.0
    await flush_progress(runtime)
    assert [row["position_seconds"] for row in await read_stored_progress()] == [12.0]


@pytest.mark.parametrize("position", ["NaN", "Infinity", '"12"'])
async def test_what_is_no_number_is_no_position(graphql: GraphQL, position: str) -> None:
    query = f"""mutation {{ reportProgress(input: {{
      sessionId: "session_0", sequence: 1, positionSeconds: {position}
    }}) {{ applied }} }}"""
    status, body = await graphql(query)
    (error,) = body["errors"]
    assert (status, error["extensions"]["code"]) == (200, "VALIDATION_FAILED")
    assert "data" not in body


async def test_nobody_reports_into_a_session_of_somebody_else(
    graphql: GraphQL, runtime: Runtime, film: str
) -> None:
    # given Ada's session
    session = await begun(graphql, await signed_in(graphql), film)
    for token, code in ((token_for(runtime), "SESSION_NOT_FOUND"), (None, "UNAUTHENTICATED")):
        # when others report into it
        fields = {"sessionId": session, "sequence": 0, "positionSeconds": 5.0}
        status, body = await graphql(REPORT, {"input": fields}, token)
        # then they are told that there is none
        assert status == 200
        assert code in str(body)
    # and nothing is written
    assert (await runtime.playback.stream.backlog()).entries == 0
    await flush_progress(runtime)
    assert await read_stored_progress() == []


async def test_an_unknown_session_is_a_user_error(graphql: GraphQL, film: str) -> None:
    token = await signed_in(graphql)
    for id_ in ("session_0", "nonsense", ""):
        payload = await done(graphql, REPORT, token, sessionId=id_, sequence=0, positionSeconds=1)
        assert (payload["applied"], payload["progress"]) == (False, None)
        assert payload["errors"][0]["code"] in ("SESSION_NOT_FOUND", "VALIDATION_FAILED")


async def test_an_unknown_film_is_not_started(graphql: GraphQL, demo_catalog: None) -> None:
    token = await signed_in(graphql)
    for id_ in ("movie_0", "person_0", "nonsense"):
        payload = await done(graphql, START, token, playableId=id_, device={"key": "tv-1"})
        assert payload["session"] is None
        assert [error["code"] for error in payload["errors"]] in (
            ["NOT_FOUND"],
            ["VALIDATION_FAILED"],
        )


async def test_a_list_with_progress_costs_one_command_more_at_every_size(
    graphql: GraphQL, demo_catalog: None, count_commands: CountCommands
) -> None:
    token = await signed_in(graphql)
    query = "query ($n: Int) { movies(first: $n) { nodes { id progress { percent } } } }"
    for first in (1, 10, 50):
        # given a page of films that are cached, none of them begun
        await graphql(query, {"n": first}, token)
        await count_commands.reset()
        _, body = await graphql(query, {"n": first}, token)
        # then all that MongoDB is asked is whether there is progress of any of them
        assert [film["progress"] for film in body["data"]["movies"]["nodes"]] == [None] * first
        assert count_commands.mongo == ["viewing_progress.find"]
