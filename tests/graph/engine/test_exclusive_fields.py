"""What counts attempts or sends mail comes once in an operation, however it is written."""

from __future__ import annotations

import pytest

import models
from graph.engine.documents import Documents
from graph.engine.exclusive_fields import is_exclusive
from graph.schema import open_documents
from services.settings.settings import Settings
from tests.support.api_client import GraphQL

LOGIN = 'login(input: {email: "ann@example.org", password: "x"}) { errors { code } }'
RESET = 'requestPasswordReset(input: {email: "ann@example.org"}) { accepted }'
SET = 'resetPassword(input: {token: "x", newPassword: "y"}) { accepted }'
REFRESH = "refreshTokens(input: {}) { errors { code } }"
REGISTER = """register(input: {email: "ann@example.org", password: "x", displayName: "Ann"}) {
errors { code } }"""
BY_ADMINISTRATORS = {"setAccountTier"}
PARTS = """fragment A on Mutation { a: %s ...B } fragment B on Mutation { b: %s }"""


@pytest.fixture
def documents() -> Documents:
    return open_documents(Settings(_env_file=None))


@pytest.mark.parametrize(
    "text",
    [
        f"mutation {{ a: {LOGIN} b: {LOGIN} }}",
        "mutation { " + " ".join(f"a{n}: {RESET}" for n in range(20)) + " }",
        f"mutation {{ {LOGIN} {REFRESH} }}",
        f"mutation {{ {REGISTER} {RESET} }}",
        f"mutation {{ {SET} ... on Mutation {{ again: {SET} }} }}",
        f"mutation {{ ... {{ ... {{ {LOGIN} }} }} {RESET} }}",
        f"mutation {{ ...A }} {PARTS % (LOGIN, LOGIN)}",
        f"mutation {{ ...A ...B }} {PARTS % (RESET, SET)}",
        f"mutation ($no: Boolean = false) {{ {LOGIN} ... @include(if: $no) {{ a: {LOGIN} }} }}",
        f"query Q {{ __typename }} mutation M {{ {LOGIN} {RESET} }}",
    ],
)
def test_an_operation_with_two_of_them_is_invalid(documents: Documents, text: str) -> None:
    (error,) = documents.get(text).errors
    assert error.message.startswith("An operation holds at most one of ")
    assert "requestPasswordReset" in error.message and "login" in error.message


@pytest.mark.parametrize(
    "text",
    [
        f"mutation {{ {LOGIN} }}",
        f"mutation {{ {LOGIN} {LOGIN} }}",  # merged: it runs once
        f"mutation {{ ...A ...A }} {PARTS % (LOGIN, LOGIN)}".replace("...B", ""),
        f"mutation One {{ {LOGIN} }} mutation Two {{ {RESET} }}",
        f"mutation {{ {LOGIN} logout {{ revokedSessions }} }}",
    ],
)
def test_an_operation_with_one_of_them_is_not_refused_for_it(
    documents: Documents, text: str
) -> None:
    messages = [error.message for error in documents.get(text).errors]
    assert [text for text in messages if text.startswith("An operation holds")] == []


def test_every_mutation_that_takes_a_password_an_address_or_a_code_is_among_them(
    documents: Documents,
) -> None:
    mutations = documents.schema.mutation_type
    assert mutations is not None
    taking = {
        name
        for name, field in mutations.fields.items()
        if name not in BY_ADMINISTRATORS
        and any(
            word in argument.lower()
            for taken in field.args.values()
            for argument in getattr(getattr(taken.type, "of_type", taken.type), "fields", {})
            for word in ("password", "email", "token", "code")
        )
    }
    marked = {name for name, field in mutations.fields.items() if is_exclusive(field)}
    assert taking == marked
    assert {"login", "register", "refreshTokens", "requestPasswordReset"} < marked


async def test_twenty_mails_in_one_operation_are_none(graphql: GraphQL) -> None:
    text = "mutation { " + " ".join(f"a{n}: {RESET}" for n in range(20)) + " }"
    _, body = await graphql(text)
    assert "data" not in body
    assert "at most one of" in body["errors"][0]["message"]
    assert await models.MailRequest.get_pymongo_collection().count_documents({}) == 0
