"""One document of another form in each collection: it is missing, and everything else answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

import models
from resolvers.context import Runtime
from tests.support import library
from tests.support.api_client import GraphQL, build_silent_app, connect_app, token_for
from tests.support.operation_files import Operation, operations
from tests.support.titles import film_id, show_id

# What is changed in which document of each collection that has one.
BROKEN: dict[type[models.StoredDocument], tuple[str, dict[str, Any]]] = {
    models.Movie: (film_id(5), {"views": "12"}),
    models.Show: (show_id(5), {"title": 5}),
    models.Season: ("season_6.1", {"number": "one"}),
    models.Episode: ("episode_7.1.1", {"number": None}),
    models.Genre: ("genre_drama", {"name": 5}),
    models.ViewingProgress: ("progress_8", {"position_seconds": "far"}),
    models.Viewing: ("viewing_9", {"watched_seconds": "long"}),
}


@pytest.fixture(scope="module")
async def app(_runtime: Runtime) -> AsyncIterator[Starlette]:
    await library.fill(_runtime, movies=200, people=30)
    await _runtime.redis.flushdb()
    _runtime.cache.clear_memory()
    for document, (id_, change) in BROKEN.items():
        found = await document.get_pymongo_collection().update_one({"_id": id_}, {"$set": change})
        assert found.modified_count == 1, id_
    some = await models.Person.get_pymongo_collection().find_one({"name": {"$type": "string"}})
    assert some is not None
    await models.Person.get_pymongo_collection().update_one(
        {"_id": some["_id"]}, {"$set": {"name": 5}}
    )
    await models.WatchlistEntry.get_pymongo_collection().update_one({}, {"$set": {"added_at": "x"}})
    yield build_silent_app(_runtime)
    await library.drop()


async def send(app: Starlette, runtime: Runtime, operation: Operation) -> dict[str, Any]:
    token = token_for(runtime, operation.role) if operation.role is not None else None
    async with connect_app(app) as client:
        status, body = await GraphQL(client)(operation.query, operation.sized(50), token)
    assert status == 200, (operation.name, body)
    return body


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
async def test_every_operation_answers_all_but_the_undecodable(
    operation: Operation, app: Starlette, _runtime: Runtime
) -> None:
    # when it is sent, then it has data, and what fails fails at its own place
    body = await send(app, _runtime, operation)
    assert body.get("data"), (operation.name, body)
    for error in body.get("errors", ()):
        assert len(error["path"]) > 1 or len(body["data"]) > 1, (operation.name, error)


async def test_a_page_leaves_the_undecodable_out_and_goes_on(
    app: Starlette, _runtime: Runtime
) -> None:
    query = (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id }"
        " movies(first: 100, orderBy: {field: TITLE}) { nodes { id } pageInfo { hasNextPage } } }"
    )
    await _runtime.redis.flushdb()
    _runtime.cache.clear_memory()
    # when it is asked for among others
    with capture_logs() as logged:
        async with connect_app(app) as client:
            status, body = await GraphQL(client)(
                query, {"ids": [film_id(4), film_id(5), show_id(5), film_id(6)]}
            )
    # then its place is null, the others are there, and the list goes on behind it
    assert (status, set(body)) == (200, {"data"})
    assert body["data"]["nodes"] == [{"id": film_id(4)}, None, None, {"id": film_id(6)}]
    movies = body["data"]["movies"]
    assert len(movies["nodes"]) == 100
    assert movies["pageInfo"]["hasNextPage"]
    assert film_id(5) not in json.dumps(movies)
    # and the log has its id and what is wrong, without its text
    lines = [line for line in logged if line.get("id") == film_id(5)]
    assert {line["event"] for line in lines} == {"document_undecodable"}
    assert "Expected `int`, got `str` - at `$.views`" in {line["error"] for line in lines}
