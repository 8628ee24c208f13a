"""The public schema says what holds: rights, inputs that are taken, one name for one thing."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLArgument, GraphQLField, GraphQLInputField

import models
from graph.schema import schema, sdl
from resolvers.context import Runtime
from tests.support.api_client import GraphQL, token_for

# for who is not signed in, or not yet
OPEN_MUTATIONS = {
    "register",
    "login",
    "refreshTokens",
    "verifyEmail",
    "resendVerification",
    "requestPasswordReset",
    "resetPassword",
    "answerSignInChallenge",
}
MARK = """mutation ($input: MarkWatchedInput!) {
  markWatched(input: $input) { applied progress { completed } errors { code path } } }"""


def test_every_mutation_that_needs_a_right_says_so() -> None:
    mutation = sdl().split("\ntype Mutation {")[1].split("\n}\n")[0]
    fields = schema._schema.mutation_type.fields  # type: ignore[union-attr]
    payloads = {
        name: mutation[mutation.index(f"  {name}") :].split("Payload", 1)[1].splitlines()[0]
        for name in fields
    }
    assert {name for name, tail in payloads.items() if "@auth" not in tail} == OPEN_MUTATIONS


@pytest.mark.parametrize(
    "name", ["startPlayback", "reportProgress", "stopPlayback", "deleteHistory"]
)
async def test_a_mutation_that_says_so_refuses_strangers(graphql: GraphQL, name: str) -> None:
    inputs = {
        "startPlayback": '{playableId: "movie_1", device: {key: "tv"}}',
        "reportProgress": '{sessionId: "session_1", sequence: 0, positionSeconds: 1}',
        "stopPlayback": '{sessionId: "session_1"}',
        "deleteHistory": '{playableId: "movie_1"}',
    }
    _, body = await graphql(f"mutation {{ it: {name}(input: {inputs[name]}) {{ __typename }} }}")
    (error,) = body["errors"]
    assert (body["data"], error["extensions"]["code"]) == ({"it": None}, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("mutation", "type_", "value"),
    [
        ("reportProgress", "ReportProgressInput", {"state": "EXPIRED"}),
        ("setBreaker", "SetBreakerInput", {"state": "HALF_OPEN"}),
        ("importFromTmdb", "ImportFromTmdbInput", {"category": "FEATURED"}),
    ],
)
async def test_a_value_that_nobody_takes_is_no_value_of_the_input(
    graphql: GraphQL, runtime: Runtime, mutation: str, type_: str, value: dict[str, str]
) -> None:
    required: dict[str, dict[str, Any]] = {
        "reportProgress": {"sessionId": "session_1", "sequence": 0, "positionSeconds": 1},
        "setBreaker": {"id": "breaker_1", "reason": "x"},
        "importFromTmdb": {},
    }
    query = f"mutation ($i: {type_}!) {{ {mutation}(input: $i) {{ errors {{ code }} }} }}"
    token = token_for(runtime, models.Role.ADMIN)
    status, body = await graphql(query, {"i": required[mutation] | value}, token)
    # then the request is refused before anything runs
    assert (status, body.keys()) == (200, {"errors"})
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"


async def test_a_title_to_mark_has_the_name_it_has_elsewhere(
    graphql: GraphQL, runtime: Runtime, demo_catalog: None
) -> None:
    film = await models.Movie.find_one()
    assert film is not None
    token = token_for(runtime)
    # when it is marked by the name that all inputs have, or by the old one
    for name in ("playableId", "id"):
        _, body = await graphql(MARK, {"input": {name: film.id}}, token)
        assert body["data"]["markWatched"]["errors"] == []
        assert body["data"]["markWatched"]["progress"] == {"completed": True}
        # then what is wrong with it is told at that name
        _, body = await graphql(MARK, {"input": {name: "movie_none"}}, token)
        assert body["data"]["markWatched"]["errors"] == [
            {"code": "NOT_FOUND", "path": ["input", name]}
        ]
    # and one title is needed
    for both in ({}, {"id": film.id, "playableId": "movie_none"}, {"id": None}):
        _, body = await graphql(MARK, {"input": both}, token)
        assert body["data"]["markWatched"]["errors"] == [
            {"code": "VALIDATION_FAILED", "path": ["input", "playableId"]}
        ]


def test_what_is_deprecated_says_what_to_use_instead() -> None:
    found: dict[str, str] = {}
    for kind in schema._schema.type_map.values():
        for name, field in getattr(kind, "fields", {}).items():
            elements: dict[str, GraphQLField | GraphQLInputField | GraphQLArgument] = {name: field}
            for argument, value in getattr(field, "args", {}).items():
                elements[f"{name}({argument})"] = value
            found |= {
                f"{kind.name}.{place}": one.deprecation_reason
                for place, one in elements.items()
                if one.deprecation_reason is not None
            }
    assert found == {"MarkWatchedInput.id": "Use `playableId`, as `markUnwatched` does."}
