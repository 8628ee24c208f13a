"""Jobs as clients ask for them: who may, what is refused, what the answers hold."""

from __future__ import annotations

from typing import Any

import pytest

import models
from models import Role
from resolvers import job_queue
from resolvers.context import Runtime
from resolvers.job_queue import JobKind
from tests.support.api_client import GraphQL, token_for

IMPORT = """
mutation ($input: ImportFromTmdbInput!) {
  importFromTmdb(input: $input) {
    job { id kind state done total error startedAt finishedAt }
    errors { code message path }
  }
}
"""
FLUSH = "mutation { flushProgress { job { id kind state } errors { code } } }"
NODE = "query ($id: ID!) { node(id: $id) { id ... on Job { kind state done total } } }"


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer["errors"]]


@pytest.mark.parametrize(("role", "code"), [(None, "UNAUTHENTICATED"), (Role.USER, "FORBIDDEN")])
async def test_importing_needs_an_editor(
    graphql: GraphQL, runtime: Runtime, role: Role | None, code: str
) -> None:
    token = token_for(runtime, role) if role else None
    _, answer = await graphql(IMPORT, {"input": {"tmdbIds": [603]}}, token)
    assert codes(answer) == [code]
    assert await models.Job.count() == 0


async def test_without_a_key_importing_says_what_to_do(graphql: GraphQL, runtime: Runtime) -> None:
    token = token_for(runtime, Role.EDITOR)
    _, answer = await graphql(IMPORT, {"input": {"tmdbIds": [603]}}, token)
    assert codes(answer) == ["UPSTREAM_UNAVAILABLE"]
    assert answer["errors"][0]["message"] == (
        "TMDb is off: set TMDB_API_KEY to an API read access token of TMDb."
    )
    assert await models.Job.count() == 0


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, ["input", "tmdbIds"]),
        ({"tmdbIds": []}, ["input", "tmdbIds"]),
        ({"tmdbIds": [1], "category": "POPULAR"}, ["input", "tmdbIds"]),
        ({"tmdbIds": [0]}, ["input", "tmdbIds"]),
        ({"category": "POPULAR", "pages": 0}, ["input", "pages"]),
        ({"category": "POPULAR", "pages": 51}, ["input", "pages"]),
    ],
)
async def test_what_cannot_be_imported_is_a_user_error(
    graphql: GraphQL, runtime: Runtime, fields: dict[str, Any], path: list[str]
) -> None:
    _, answer = await graphql(IMPORT, {"input": fields}, token_for(runtime, Role.EDITOR))
    payload = answer["data"]["importFromTmdb"]
    assert payload["job"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("VALIDATION_FAILED", path)
    ]
    assert await models.Job.count() == 0


async def test_flushing_is_for_operators(graphql: GraphQL, runtime: Runtime) -> None:
    _, refused = await graphql(FLUSH, None, token_for(runtime, Role.EDITOR))
    assert codes(refused) == ["FORBIDDEN"]
    _, answer = await graphql(FLUSH, None, token_for(runtime, Role.OPERATOR))
    job = answer["data"]["flushProgress"]["job"]
    assert (job["kind"], job["state"]) == ("flush_progress", "QUEUED")
    assert await models.Job.count() == 1


@pytest.mark.parametrize(
    ("argument", "total"), [("", 100), ("(input: {})", 100), ("(input: {first: 7})", 7)]
)
async def test_warming_is_for_operators(
    graphql: GraphQL, runtime: Runtime, argument: str, total: int
) -> None:
    query = f"mutation {{ warmCache{argument} {{ job {{ kind total }} errors {{ code path }} }} }}"
    _, refused = await graphql(query, None, token_for(runtime, Role.EDITOR))
    assert codes(refused) == ["FORBIDDEN"]
    _, answer = await graphql(query, None, token_for(runtime, Role.OPERATOR))
    assert answer["data"]["warmCache"]["job"] == {"kind": "warm_cache", "total": total}
    assert await models.Job.count() == 1


async def test_a_job_is_a_node_for_editors_alone(graphql: GraphQL, runtime: Runtime) -> None:
    job = await job_queue.start(runtime, JobKind.FLUSH_PROGRESS, total=7)
    _, answer = await graphql(NODE, {"id": job.id}, token_for(runtime, Role.EDITOR))
    assert answer["data"]["node"] == {
        "id": job.id, "kind": "flush_progress", "state": "QUEUED", "done": 0, "total": 7,
    }  # fmt: skip
    for token in (None, token_for(runtime, Role.USER)):
        _, answer = await graphql(NODE, {"id": job.id}, token)
        assert answer == {"data": {"node": None}}
