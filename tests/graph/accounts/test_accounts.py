"""The account fields on both executors; what they do is tested in tests/resolvers."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry

import models
from graph.accounts.accounts import AccountsMutation, AccountsQuery
from graph.schema import CONFIG
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context
from tests.support.operations import Send, open_operations, run_operation


@strawberry.type
class Query(AccountsQuery):
    pass


@strawberry.type
class Mutation(AccountsMutation):
    pass


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation, config=CONFIG)
ADA = {"email": "Ada@example.org", "password": "correct horse battery"}
REGISTER = """
mutation($input: RegisterInput!) {
  register(input: $input) {
    tokens { accessToken expiresInSeconds refreshToken }
    viewer { id email emailVerified displayName role tier createdAt }
    errors { code message path retryAfterSeconds }
  }
}
"""
LOGIN = REGISTER.replace("RegisterInput", "LoginInput").replace("register(", "login(")
REFRESH = REGISTER.replace("RegisterInput", "RefreshTokensInput").replace(
    "register(", "refreshTokens("
)
VIEWER = "{ viewer { __typename id email displayName role tier } }"


@pytest.fixture(params=["plan", "core"])
def send(request: pytest.FixtureRequest, context: Context) -> Send:
    """Runs one operation, as whoever the token stands for."""
    operations = open_operations(SCHEMA, request.param)

    async def run(query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        operation_context = context.for_event()
        header = f"Bearer {token}" if token else None
        operation_context.viewer = await authenticate(context.runtime, header)
        return await run_operation(operations, operation_context, query, variables)

    return run


async def test_somebody_registers_refreshes_and_asks_who_they_are(send: Send) -> None:
    # when somebody registers from a television
    device = {"key": "tv-1", "kind": "TV"}
    answer = await send(REGISTER, input={**ADA, "displayName": "Ada", "device": device})
    payload = answer["data"]["register"]
    # then the account is told, with tokens and without errors
    viewer = payload["viewer"]
    assert answer.keys() == {"data"}
    assert payload["errors"] == []
    assert payload["tokens"]["expiresInSeconds"] == 900
    assert viewer["createdAt"].endswith("Z")
    assert {**viewer, "id": None, "createdAt": None} == {
        "id": None,
        "email": "ada@example.org",
        "emailVerified": False,
        "displayName": "Ada",
        "role": "USER",
        "tier": "FREE",
        "createdAt": None,
    }
    # when the refresh token is exchanged
    refreshed = await send(REFRESH, input={"refreshToken": payload["tokens"]["refreshToken"]})
    tokens = refreshed["data"]["refreshTokens"]["tokens"]
    assert refreshed["data"]["refreshTokens"]["viewer"] == viewer
    # then the new access token says who asks
    assert await send(VIEWER, tokens["accessToken"]) == {
        "data": {
            "viewer": {
                "__typename": "Viewer",
                "id": viewer["id"],
                "email": "ada@example.org",
                "displayName": "Ada",
                "role": "USER",
                "tier": "FREE",
            }
        }
    }


async def test_nobody_is_no_viewer(send: Send) -> None:
    assert await send(VIEWER) == {"data": {"viewer": None}}


async def test_a_registered_address_is_a_user_error(send: Send) -> None:
    await send(REGISTER, input={**ADA, "displayName": "Ada"})
    before = await models.User.get_pymongo_collection().find({}).to_list(None)
    answer = await send(REGISTER, input={**ADA, "email": "ADA@example.org", "displayName": "Eve"})
    assert answer == {
        "data": {
            "register": {
                "tokens": None,
                "viewer": None,
                "errors": [
                    {
                        "code": "ALREADY_EXISTS",
                        "message": "This email address has an account already.",
                        "path": ["input", "email"],
                        "retryAfterSeconds": None,
                    }
                ],
            }
        }
    }
    assert await models.User.get_pymongo_collection().find({}).to_list(None) == before


async def test_a_wrong_password_and_an_unknown_address_have_one_answer(send: Send) -> None:
    await send(REGISTER, input={**ADA, "displayName": "Ada"})
    wrong = await send(LOGIN, input={**ADA, "password": "wrong horse battery"})
    unknown = await send(LOGIN, input={**ADA, "email": "eve@example.org"})
    assert wrong == unknown
    assert wrong["data"]["login"] == {
        "tokens": None,
        "viewer": None,
        "errors": [
            {
                "code": "INVALID_CREDENTIALS",
                "message": "Wrong email address or password.",
                "path": None,
                "retryAfterSeconds": None,
            }
        ],
    }
    right = await send(LOGIN, input=ADA)
    assert right["data"]["login"]["errors"] == []


@pytest.mark.parametrize(
    ("query", "fields", "code", "path"),
    [
        (REGISTER, {"displayName": " "}, "VALIDATION_FAILED", ["input", "displayName"]),
        (REGISTER, {"password": "short"}, "VALIDATION_FAILED", ["input", "password"]),
        (REGISTER, {"email": "a@b"}, "VALIDATION_FAILED", ["input", "email"]),
        (REGISTER, {"device": {"key": ""}}, "VALIDATION_FAILED", ["input", "device", "key"]),
    ],
)
async def test_unacceptable_input_is_a_user_error_with_its_path(
    send: Send, query: str, fields: dict[str, Any], code: str, path: list[str]
) -> None:
    answer = await send(query, input={**ADA, "displayName": "Ada", **fields})
    (failure,) = answer["data"]["register"]["errors"]
    assert (failure["code"], failure["path"]) == (code, path)
    assert await models.User.get_pymongo_collection().count_documents({}) == 0


@pytest.mark.parametrize("token", [None, "nonsense", "A" * 43])
async def test_a_bad_refresh_token_is_a_user_error(send: Send, token: str | None) -> None:
    answer = await send(REFRESH, input={"refreshToken": token})
    payload = answer["data"]["refreshTokens"]
    assert payload["tokens"] is None
    assert [failure["code"] for failure in payload["errors"]] == ["INVALID_TOKEN"]


@pytest.mark.parametrize("extra", ["role", "tier", "emailVerified", "id"])
async def test_nobody_gives_themselves_rights(send: Send, extra: str) -> None:
    answer = await send(REGISTER, input={**ADA, "displayName": "Eve", extra: "ADMIN"})
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"
    assert await models.User.get_pymongo_collection().count_documents({}) == 0


def test_no_type_shows_a_hash_and_everything_is_described() -> None:
    schema = SCHEMA._schema
    for name in ("Viewer", "AuthTokens", "AuthPayload", "RegisterInput", "LoginInput"):
        fields = schema.type_map[name].fields  # type: ignore[attr-defined]
        assert schema.type_map[name].description
        assert all(field.description for field in fields.values())
        assert not [field for field in fields if "hash" in field.lower()]
    sdl = SCHEMA.as_str()
    for line in (
        "kind: DeviceKind! = WEB",
        "device: DeviceInput = null",
        "email: EmailAddress!",
        "register(",
    ):
        assert line in sdl, line
