"""An import, end to end: asked for over HTTP, run by workers, watched over a socket, then read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import workers
from models import Role
from resolvers.context import Runtime
from tests.support import fake_tmdb, worker_process
from tests.support.api_client import (
    GraphQL,
    LiveServer,
    Socket,
    build_silent_app,
    serve_app,
    token_for,
)
from tests.support.fake_tmdb import FakeTmdb

IMPORT = """
mutation ($input: ImportFromTmdbInput!) {
  importFromTmdb(input: $input) { job { id state total } errors { code message } }
}
"""
WATCH = """
subscription ($id: ID!) {
  jobChanged(id: $id) { id kind state done total error startedAt finishedAt }
}
"""
FILM = """
query ($number: Int) {
  movie(by: { tmdbId: $number }) {
    title year runtimeSeconds genres { name } poster { url }
    credits(first: 2) { job character person { name photo { url } } }
    similar { title }
  }
}
"""


@asynccontextmanager
async def serving(
    runtime: Runtime, tmdb_server: FakeTmdb
) -> AsyncIterator[tuple[Runtime, LiveServer]]:
    """The server, with the fake for TMDb."""
    async with fake_tmdb.open_runtime_with(runtime, tmdb_server) as here:
        app = build_silent_app(here)
        async with serve_app(app, here.settings) as server:
            yield here, server


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[None]:
    """A worker process's own loop, in this one."""
    stop = asyncio.Event()
    running = asyncio.create_task(workers.run_workers(runtime, ["run_jobs"], stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def patiently(socket: Socket) -> dict[str, Any]:
    """The next message, however long a process takes to start on a busy machine."""
    for _ in range(5):
        with suppress(TimeoutError):
            return await socket.receive()
    raise AssertionError("no message")


async def watched(socket: Socket, job_id: str) -> list[dict[str, Any]]:
    """Every state that was told, until the stream ended by itself."""
    await socket.subscribe("job", WATCH, {"id": job_id})
    states = []
    while (message := await patiently(socket))["type"] == "next":
        assert message["payload"].keys() == {"data"}
        states.append(message["payload"]["data"]["jobChanged"])
    assert message == {"type": "complete", "id": "job"}
    return states


async def test_an_editor_imports_films_and_watches_it_happen(
    runtime: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given 50 films in TMDb, similar to each other, a slow TMDb, and the server with its key
    numbers = list(range(1, 51))
    tmdb_server.has_movies(*numbers)
    tmdb_server.answers["/movie/1"]["similar"] = fake_tmdb.build_page(50)
    tmdb_server.slow = True
    async with (
        serving(runtime, tmdb_server) as (_, server),
        server.client() as client,
        server.socket() as socket,
    ):
        graphql, token = GraphQL(client), token_for(runtime, Role.EDITOR)
        # when an editor asks for them, and workers of another process come a little later
        _, answer = await graphql(IMPORT, {"input": {"tmdbIds": numbers}}, token)
        payload = answer["data"]["importFromTmdb"]
        assert payload["errors"] == []
        assert (payload["job"]["state"], payload["job"]["total"]) == ("QUEUED", 50)
        await socket.initialised(token)
        watching = asyncio.create_task(watched(socket, payload["job"]["id"]))
        async with worker_process.run_worker(runtime.settings, tmdb_server):
            watched_states = await asyncio.wait_for(watching, 30)
        # then every state was told, the stream ended with the job, and the film is there
        _, answer = await graphql(FILM, {"number": 1})
    states = [event["state"] for event in watched_states]
    assert states[0] == "QUEUED" and states[-1] == "SUCCEEDED"
    assert set(states[1:-1]) == {"RUNNING"}
    done = [event["done"] for event in watched_states]
    assert done == sorted(done)
    assert {0, 20, 40, 50} <= set(done)
    assert (
        watched_states[-1]["error"] is None
        and watched_states[-1]["finishedAt"] >= watched_states[-1]["startedAt"]
    )
    film = answer["data"]["movie"]
    assert (film["title"], film["year"], film["runtimeSeconds"]) == ("The Film 1", 1999, 8160)
    assert film["poster"]["url"] == "https://image.tmdb.org/t/p/w780/poster1.jpg"
    assert [genre["name"] for genre in film["genres"]] == ["Action", "Science Fiction"]
    assert film["similar"] == [{"title": "The Film 50"}]
    assert [(one["job"], one["character"], one["person"]["name"]) for one in film["credits"]] == [
        ("Director", None, "Director"), (None, "Neo", "First"),
    ]  # fmt: skip


async def test_a_category_says_how_many_it_is_once_it_knows(
    runtime: Runtime, tmdb_server: FakeTmdb
) -> None:
    # given a list of two films, one of which TMDb lost
    tmdb_server.has_movies(7)
    tmdb_server.answers["/discover/movie"] = fake_tmdb.build_page(7, 8)
    async with (
        serving(runtime, tmdb_server) as (here, server),
        working(here),
        server.client() as client,
        server.socket() as socket,
    ):
        token = token_for(runtime, Role.EDITOR)
        variables = {"input": {"category": "POPULAR"}}
        _, answer = await GraphQL(client)(IMPORT, variables, token)
        job = answer["data"]["importFromTmdb"]["job"]
        assert job["total"] is None
        await socket.initialised(token)
        # when it is watched to its end
        last = (await watched(socket, job["id"]))[-1]
        # then watching it again tells the same, once
        assert await watched(socket, job["id"]) == [last]
    assert (last["state"], last["done"], last["total"]) == ("SUCCEEDED", 2, 2)
    assert last["error"] == "1 left out, first movie 8: TMDb has no such title."


@pytest.mark.parametrize(
    ("role", "id_", "code"),
    [
        (None, "job_0", "UNAUTHENTICATED"),
        (Role.USER, "job_0", "FORBIDDEN"),
        (Role.EDITOR, "job_0", "NOT_FOUND"),
        (Role.EDITOR, "what?", "VALIDATION_FAILED"),
    ],
)
async def test_watching_is_refused_with_a_code(
    live_server: LiveServer,
    socket: Socket,
    runtime: Runtime,
    role: Role | None,
    id_: str,
    code: str,
) -> None:
    await socket.initialised(token_for(runtime, role) if role else None)
    await socket.subscribe("job", WATCH, {"id": id_})
    message = await socket.receive()
    assert message["type"] == "error"
    assert [error["extensions"]["code"] for error in message["payload"]] == [code]
