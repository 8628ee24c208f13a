"""An account's fields and mutations on both executors; tests/resolvers has what they do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import models
from graph.schema import schema
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context
from services.errors import InvalidToken
from tests.support.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    read_account,
    read_stored,
    send_pending_mails,
)
from tests.support.operations import Send, open_operations, run_operation

ERRORS = "errors { code path }"


def acknowledging(name: str, input_type: str) -> str:
    return f"mutation($input: {input_type}!) {{ {name}(input: $input) {{ accepted {ERRORS} }} }}"


REGISTER = f"""mutation($input: RegisterInput!) {{
  register(input: $input) {{ tokens {{ accessToken }} viewer {{ id }} {ERRORS} }} }}"""
LOGIN = REGISTER.replace("RegisterInput", "LoginInput").replace("register(", "login(")
VERIFY = f"""mutation($input: VerifyEmailInput!) {{
  verifyEmail(input: $input) {{ viewer {{ emailVerified }} {ERRORS} }} }}"""
RESEND = acknowledging("resendVerification", "EmailInput")
ASK_FOR_RESET = acknowledging("requestPasswordReset", "EmailInput")
RESET = acknowledging("resetPassword", "ResetPasswordInput")
CHANGE = acknowledging("changePassword", "ChangePasswordInput")
DELETE = acknowledging("deleteAccount", "DeleteAccountInput")
REVOKE = acknowledging("revokeApiKey", "NodeInput")
PROFILE = f"""mutation($input: UpdateProfileInput!) {{ updateProfile(input: $input) {{
  viewer {{ displayName preferences {{
    language audioLanguages subtitleLanguages maxQuality autoplayNext }} }} {ERRORS} }} }}"""
CREATE_KEY = f"""mutation($input: CreateApiKeyInput!) {{ createApiKey(input: $input) {{
  apiKey {{ id name prefix createdAt lastUsedAt expiresAt scopes }} secret {ERRORS} }} }}"""
LOGOUT = f"""mutation($input: LogoutInput) {{
  logout(input: $input) {{ revokedSessions {ERRORS} }} }}"""
SESSIONS = """{ viewer { sessions { id current createdAt lastUsedAt device { key kind } }
  apiKeys { id prefix } } }"""
END = "2027-06-01T00:00:00.000Z"
DONE = {"accepted": True, "errors": []}


@pytest.fixture(params=["plan", "core"])
def send(request: pytest.FixtureRequest, guest: Context) -> Send:
    """Runs one operation, as whoever the token or key stands for."""
    operations = open_operations(schema, request.param)

    async def run(
        query: str, token: str | None = None, *, verified: bool = False, **variables: Any
    ) -> dict[str, Any]:
        context = guest.for_event()
        if verified:
            settings = guest.runtime.settings.model_copy(
                update={"email_verification_required": True}
            )
            context.runtime = dataclasses.replace(guest.runtime, settings=settings)
        header = f"Bearer {token}" if token else None
        context.viewer = await authenticate(context.runtime, header)
        return await run_operation(operations, context, query, variables)

    return run


async def ada(send: Send) -> str:
    fields = {"email": EMAIL, "password": PASSWORD, "displayName": "Ada"}
    answer = await send(REGISTER, input=fields)
    token: str = answer["data"]["register"]["tokens"]["accessToken"]
    return token


async def test_a_registration_to_be_proved_answers_the_same_for_every_address(
    send: Send, guest: Context
) -> None:
    # given that addresses have to be proved, when one registers twice
    fields = {"email": EMAIL, "password": PASSWORD, "displayName": "Ada"}
    nothing: dict[str, Any] = {"data": {"register": {"tokens": None, "viewer": None, "errors": []}}}
    assert await send(REGISTER, verified=True, input=fields) == nothing
    code = (await send_pending_mails(guest)).codes[0]
    login = {"email": EMAIL, "password": PASSWORD}
    refused = await send(LOGIN, verified=True, input=login)
    # then a right password is told what is missing
    assert refused["data"]["login"]["errors"] == [{"code": "EMAIL_NOT_VERIFIED", "path": None}]
    verified = await send(VERIFY, verified=True, input={"token": code, "password": PASSWORD})
    assert verified == {"data": {"verifyEmail": {"viewer": None, "errors": []}}}
    # and an address with an account answers as one without
    assert await send(REGISTER, verified=True, input=fields) == nothing
    signed_in = await send(LOGIN, verified=True, input=login)
    assert signed_in["data"]["login"]["errors"] == []


async def test_the_viewer_proves_the_address(send: Send, guest: Context) -> None:
    token = await ada(send)
    assert (await send(RESEND, input={"email": EMAIL}))["data"] == {"resendVerification": DONE}
    first, second = (await send_pending_mails(guest)).codes
    answer = await send(VERIFY, token, input={"token": second})
    assert answer["data"]["verifyEmail"] == {"viewer": {"emailVerified": True}, "errors": []}
    again = await send(VERIFY, token, input={"token": first})
    assert again["data"]["verifyEmail"] == {
        "viewer": None,
        "errors": [{"code": "INVALID_TOKEN", "path": ["input", "token"]}],
    }


async def test_a_forgotten_password_is_set_anew(send: Send, guest: Context) -> None:
    await ada(send)
    for email in (EMAIL, "nobody@example.org"):
        answer = await send(ASK_FOR_RESET, input={"email": email})
        assert answer == {"data": {"requestPasswordReset": DONE}}
    code = (await send_pending_mails(guest)).codes[-1]
    weak = await send(RESET, input={"token": code, "newPassword": "password1234"})
    assert weak["data"]["resetPassword"] == {
        "accepted": False,
        "errors": [{"code": "VALIDATION_FAILED", "path": ["input", "newPassword"]}],
    }
    done = await send(RESET, input={"token": code, "newPassword": NEW_PASSWORD})
    assert done == {"data": {"resetPassword": DONE}}
    signed_in = await send(LOGIN, input={"email": EMAIL, "password": NEW_PASSWORD})
    assert signed_in["data"]["login"]["errors"] == []


async def test_a_known_password_is_changed(send: Send) -> None:
    token = await ada(send)
    fields = {"currentPassword": "wrong horse battery", "newPassword": NEW_PASSWORD}
    wrong = await send(CHANGE, token, input=fields)
    assert wrong["data"]["changePassword"] == {
        "accepted": False,
        "errors": [{"code": "INVALID_CREDENTIALS", "path": ["input", "currentPassword"]}],
    }
    done = await send(CHANGE, token, input={**fields, "currentPassword": PASSWORD})
    assert done == {"data": {"changePassword": DONE}}


async def test_a_profile_is_changed_in_part(send: Send) -> None:
    token = await ada(send)
    liked = {"audioLanguages": ["de", "DE", "en-gb", "EN-GB"], "maxQuality": "P720"}
    answer = await send(PROFILE, token, input=liked)
    assert answer["data"]["updateProfile"] == {
        "viewer": {
            "displayName": "Ada",
            "preferences": {
                "language": "en",
                "audioLanguages": ["de", "en-GB"],
                "subtitleLanguages": [],
                "maxQuality": "P720",
                "autoplayNext": True,
            },
        },
        "errors": [],
    }
    fields: dict[str, Any] = {"maxQuality": None, "displayName": "Countess", "autoplayNext": False}
    answer = await send(PROFILE, token, input=fields)
    viewer = answer["data"]["updateProfile"]["viewer"]
    assert (viewer["displayName"], viewer["preferences"]["maxQuality"]) == ("Countess", None)
    assert viewer["preferences"]["audioLanguages"] == ["de", "en-GB"]
    bad = await send(PROFILE, token, input={"displayName": None})
    assert bad["data"]["updateProfile"]["errors"] == [
        {"code": "VALIDATION_FAILED", "path": ["input", "displayName"]}
    ]


@pytest.mark.parametrize(
    "extra", ["role", "tier", "email", "emailVerified", "id", "passwordHash", "deletedAt"]
)
async def test_nobody_changes_their_rights_or_their_address(send: Send, extra: str) -> None:
    token = await ada(send)
    before = await read_account()
    answer = await send(PROFILE, token, input={"displayName": "Eve", extra: "ADMIN"})
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "VALIDATION_FAILED"
    assert await read_account() == before


async def test_keys_come_and_go(send: Send) -> None:
    # given a key made by somebody signed in
    token = await ada(send)
    details = {"name": "script", "password": PASSWORD, "expiresAt": END}
    made = (await send(CREATE_KEY, token, input=details))["data"]["createApiKey"]
    assert made["errors"] == []
    key = made["apiKey"]
    assert (key["name"], key["lastUsedAt"], key["expiresAt"]) == ("script", None, END)
    assert key["scopes"] == ["READ"]
    assert made["secret"].startswith(f"marquee_{key['prefix']}_")
    # when a program comes with it, then it is let in, and kept from what is its owner's alone
    answer = await send("{ viewer { displayName tier } }", made["secret"])
    assert answer == {"data": {"viewer": {"displayName": "Ada", "tier": "FREE"}}}
    hidden = await send(SESSIONS, made["secret"])
    assert hidden["data"] == {"viewer": {"sessions": None, "apiKeys": None}}
    assert [one["extensions"]["code"] for one in hidden["errors"]] == ["FORBIDDEN"] * 2
    another = await send(CREATE_KEY, made["secret"], input={**details, "name": "another"})
    assert another["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    # nor does one that may only read report or change anything
    report = await send(LOGOUT, made["secret"])
    assert report["errors"][0]["message"] == "This needs an API key with the scope PLAYBACK."
    details = {**details, "scopes": ["PLAYBACK"]}
    writer = (await send(CREATE_KEY, token, input=details))["data"]["createApiKey"]
    refused = await send("{ viewer { displayName } }", writer["secret"])
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert "data" not in refused
    await send(REVOKE, token, input={"id": writer["apiKey"]["id"]})
    # and its owner finds it by its id, and ends it
    node = "query($id: ID!) { node(id: $id) { __typename id ... on ApiKey { prefix } } }"
    expected = {"__typename": "ApiKey", "id": key["id"], "prefix": key["prefix"]}
    assert await send(node, token, id=key["id"]) == {"data": {"node": expected}}
    assert await send(node, id=key["id"]) == {"data": {"node": None}}
    assert (await send(REVOKE, token, input={"id": key["id"]}))["data"] == {"revokeApiKey": DONE}
    assert await read_stored(models.ApiKey) == []


async def test_sessions_are_seen_and_ended(send: Send) -> None:
    # given somebody signed in here and on a television
    token = await ada(send)
    tv = {"email": EMAIL, "password": PASSWORD, "device": {"key": "tv-1", "kind": "TV"}}
    elsewhere = (await send(LOGIN, input=tv))["data"]["login"]["tokens"]["accessToken"]
    sessions = (await send(SESSIONS, token))["data"]["viewer"]["sessions"]
    by_device = {one["device"] and one["device"]["key"]: one for one in sessions}
    assert {key: one["current"] for key, one in by_device.items()} == {None: True, "tv-1": False}
    # when the television is signed out, then it is refused and the other goes on
    node = "query($id: ID!) { node(id: $id) { __typename ... on AuthSession { current } } }"
    theirs = by_device["tv-1"]["id"]
    expected = {"__typename": "AuthSession", "current": False}
    assert await send(node, token, id=theirs) == {"data": {"node": expected}}
    answer = await send(LOGOUT, token, input={"sessionId": theirs})
    assert answer == {"data": {"logout": {"revokedSessions": 1, "errors": []}}}
    assert await send(node, token, id=theirs) == {"data": {"node": None}}
    with pytest.raises(InvalidToken):
        await send(SESSIONS, elsewhere)
    # and without saying which, it is the one that asks
    assert (await send(LOGOUT, token))["data"]["logout"]["revokedSessions"] == 1
    with pytest.raises(InvalidToken):
        await send(SESSIONS, token)


async def test_an_account_is_deleted_with_its_password_only(send: Send) -> None:
    token = await ada(send)
    before = await read_account()
    wrong = await send(DELETE, token, input={"password": "wrong horse battery"})
    assert wrong["data"]["deleteAccount"]["errors"] == [
        {"code": "INVALID_CREDENTIALS", "path": ["input", "password"]}
    ]
    assert await read_account() == before
    done = await send(DELETE, token, input={"password": PASSWORD})
    assert done == {"data": {"deleteAccount": DONE}}
    assert (await read_account())["deleted_at"] is not None


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (CHANGE, {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}),
        (PROFILE, {"displayName": "Eve"}),
        (CREATE_KEY, {"name": "script", "password": PASSWORD}),
        (REVOKE, {"id": "apikey_1"}),
        (LOGOUT, {"everywhere": True}),
        (DELETE, {"password": PASSWORD}),
    ],
    ids=["changePassword", "updateProfile", "createApiKey", "revokeApiKey", "logout", "delete"],
)
async def test_nobody_changes_nothing(send: Send, query: str, fields: dict[str, Any]) -> None:
    await ada(send)
    before = await read_account(), await read_stored(models.Login)
    answer = await send(query, input=fields)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await read_account(), await read_stored(models.Login)) == before


def test_no_type_shows_a_hash_and_no_input_takes_rights() -> None:
    for name, kind in schema._schema.type_map.items():
        fields = {field.lower() for field in getattr(kind, "fields", {})}
        shown = [field for field in fields if "hash" in field and field != "schemahash"]
        assert shown == [], name
        if name in ("RegisterInput", "UpdateProfileInput", "LoginInput"):
            assert not fields & {"role", "tier", "emailverified", "userid", "id"}
