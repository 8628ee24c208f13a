"""One document of another form in each collection: it is missing, and everything else answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
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
from tests.support.undecodable import VIEWER, WORD, add_broken, break_one_of_each


@pytest.fixture(scope="module")
async def app(_runtime: Runtime) -> AsyncIterator[Starlette]:
    await library.fill(_runtime, movies=200, people=30)
    await _runtime.redis.flushdb()
    _runtime.cache.clear_memory()
    broken = await break_one_of_each()
    assert broken == set(models.DOCUMENTS)
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


@pytest.mark.parametrize(
    "operation",
    [operation for operation in operations() if operation.role is models.Role.USER],
    ids=lambda operation: operation.name,
)
async def test_a_viewer_whose_account_is_undecodable_gets_answers(
    operation: Operation, app: Starlette, _runtime: Runtime
) -> None:
    # given the viewer's own account
    accounts = models.User.get_pymongo_collection()
    await accounts.update_one({"_id": VIEWER}, {"$set": {"display_name": 5}})
    try:
        body = await send(app, _runtime, operation)
    finally:
        await accounts.update_one({"_id": VIEWER}, {"$set": {"display_name": "Ada"}})
    # then there is an answer, and what fails fails at its own place
    assert "data" in body, (operation.name, body)
    assert all(error.get("path") for error in body.get("errors", ())), (operation.name, body)


async def test_lists_of_an_account_leave_the_undecodable_out(
    app: Starlette, _runtime: Runtime
) -> None:
    query = "{ viewer { sessions { id } apiKeys { id } } }"
    token = token_for(_runtime, models.Role.USER)
    async with connect_app(app) as client:
        _, body = await GraphQL(client)(query, {}, token)
    assert body == {
        "data": {
            "viewer": {"sessions": [{"id": "login_whole"}], "apiKeys": [{"id": "apikey_whole"}]}
        }
    }


async def test_a_word_that_is_undecodable_keeps_no_film_from_being_edited(
    app: Starlette, _runtime: Runtime
) -> None:
    # given a film whose name has that word
    query = """mutation ($input: UpsertMovieInput!) { upsertMovie(input: $input) {
      movie { title } errors { code } } }"""
    variables = {"input": {"id": film_id(7), "title": f"{WORD.title()} Seven"}}
    async with connect_app(app) as client:
        _, body = await GraphQL(client)(query, variables, token_for(_runtime, models.Role.EDITOR))
    assert body["data"]["upsertMovie"] == {"movie": {"title": "Harbour Seven"}, "errors": []}


async def test_workers_pass_over_the_undecodable(app: Starlette, _runtime: Runtime) -> None:
    # given a mail, a job and a purge behind one each that cannot be read
    await add_broken()
    now = models.mongo.base.utc_now()
    # when they are claimed, then those behind come
    mail = await models.take_mail_request(now, timedelta(minutes=1))
    assert mail is not None
    assert mail.id == "mail_whole"
    job = await models.claim_job("worker", now, now)
    assert job is not None
    assert job.id == "job_whole"
    lease, purges = await models.purges.claim(now, now + timedelta(minutes=1), 1)
    assert (lease, purges) == (lease, [])
    _, purges = await models.purges.claim(now, now + timedelta(minutes=1), 1)
    assert [purge.id for purge in purges] == ["purge_whole"]
    # and they come no more: a job and a purge that cannot be read have failed
    assert await models.take_mail_request(now, timedelta(minutes=1)) is None
    assert await models.claim_job("worker", now, now) is None
    for document, id_ in ((models.Job, "job_broken"), (models.Purge, "purge_broken")):
        row = await document.get_pymongo_collection().find_one({"_id": id_})
        assert row is not None
        assert row["state"] == "FAILED"


async def test_pushed_documents_of_another_form_keep_no_others_from_running(
    app: Starlette, _runtime: Runtime
) -> None:
    # given broken ones beside a whole one, in a whole and in a broken release
    copies = models.DocumentCopies()
    # when a process reads them, then it has the whole one
    assert [one.id for one in await copies.read_pushed({})] == ["pushed-whole"]
    assert await copies.find_pushed("pushed-broken") is None
    assert await copies.find_registered("a" * 64) is None
    # and its client may run it
    async with connect_app(app) as client:
        answer = await client.get("/graphql/d/pushed-whole")
    assert answer.json() == {"data": {"__typename": "Query"}}


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
