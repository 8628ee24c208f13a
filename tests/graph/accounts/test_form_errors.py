"""A form learns of all that is wrong with it at once: one error a field, with the field's path."""

from __future__ import annotations

from typing import Any

import pytest

import models
from resolvers.context import Runtime
from tests.support.api_client import GraphQL, fetch_data, token_for

DEVICE = {"key": "\u200b", "name": "a\nb", "kind": "WEB"}
BAD_NAME = "\u202eadA"
# The mutation, who may do it, its input, and the paths of what is wrong with it.
FORMS: dict[str, tuple[models.Role | None, dict[str, Any], list[str]]] = {
    "register": (
        None,
        {"email": "ada", "password": "short", "displayName": " ", "device": DEVICE},
        ["email", "displayName", "device.name", "device.key", "password"],
    ),
    "login": (
        None,
        {"email": "", "password": "x", "device": DEVICE},
        ["email", "device.name", "device.key"],
    ),
    "requestPasswordReset": (None, {"email": "ada at example.org"}, ["email"]),
    "resendVerification": (None, {"email": "ada@"}, ["email"]),
    "requestEmailChange": (
        models.Role.USER,
        {"newEmail": "@b.test", "password": "x"},
        ["newEmail"],
    ),
    "setAccountTier": (models.Role.ADMIN, {"email": "a@b@c", "tier": "API"}, ["email"]),
    "updateProfile": (models.Role.USER, {"displayName": BAD_NAME}, ["displayName"]),
    "createApiKey": (
        models.Role.USER,
        {"name": "", "password": "x", "scopes": [], "expiresAt": "2001-01-01T00:00:00Z"},
        ["name", "scopes", "expiresAt"],
    ),
    "setProvider": (
        models.Role.OPERATOR,
        {"id": "provider_library", "priority": 0, "rolloutPercent": 101},
        ["priority", "rolloutPercent"],
    ),
    "importFromTmdb": (
        models.Role.EDITOR,
        {"tmdbIds": [0], "category": None, "pages": 99},
        ["tmdbIds", "pages"],
    ),
    "upsertMovie": (
        models.Role.EDITOR,
        {
            "title": BAD_NAME,
            "overview": "\u0000",
            "genres": ["nowhere", "neither"],
            "runtimeSeconds": -1,
            "tmdbId": 0,
        },
        ["title", "overview", "runtimeSeconds", "tmdbId", "genres.0", "genres.1"],
    ),
}


@pytest.mark.parametrize("name", FORMS)
async def test_every_wrong_field_is_told_at_once(
    graphql: GraphQL, runtime: Runtime, name: str
) -> None:
    role, fields, paths = FORMS[name]
    type_ = name[0].upper() + name[1:] + "Input"
    if name in ("requestPasswordReset", "resendVerification"):
        type_ = "EmailInput"
    selection = "(input: $input) { errors { code message path } }"
    query = f"mutation ($input: {type_}!) {{ {name}{selection} }}"
    token = token_for(runtime, role) if role is not None else None
    data = await fetch_data(graphql, query, token, input=fields)
    errors = data[name]["errors"]
    # then each has its path and words for people, and nothing was stored
    assert sorted(".".join(error["path"]) for error in errors) == sorted(
        f"input.{path}" for path in paths
    )
    assert {error["code"] for error in errors} == {"VALIDATION_FAILED"}
    assert all(error["message"].endswith(".") for error in errors)
    for document in (models.User, models.Movie, models.MailRequest, models.Job):
        assert await document.get_pymongo_collection().count_documents({}) == 0


@pytest.mark.parametrize(
    "address",
    ["ada", "", " ", "@", "ada@", "ada@example", "a b@example.org", "x" * 300, "ada@é\u0000"],
)
async def test_an_address_that_is_none_is_an_error_of_the_payload(
    graphql: GraphQL, runtime: Runtime, address: str
) -> None:
    # given it as a variable and as a literal
    asked = """mutation ($email: EmailAddress!) {
      requestPasswordReset(input: {email: $email}) { accepted errors { code path } } }"""
    data = await fetch_data(graphql, asked, email=address)
    refused = {
        "accepted": False,
        "errors": [{"code": "VALIDATION_FAILED", "path": ["input", "email"]}],
    }
    assert data == {"requestPasswordReset": refused}
    if address.isprintable():
        literal = asked.replace("($email: EmailAddress!) ", "").replace("$email", f'"{address}"')
        assert await fetch_data(graphql, literal) == {"requestPasswordReset": refused}


async def test_one_wrong_field_is_one_error(graphql: GraphQL) -> None:
    fields = {"email": "ada@example.org", "password": "correct horse battery", "displayName": ""}
    query = "mutation ($input: RegisterInput!) { register(input: $input) { errors { path } } }"
    data = await fetch_data(graphql, query, input=fields)
    assert data["register"]["errors"] == [{"path": ["input", "displayName"]}]
