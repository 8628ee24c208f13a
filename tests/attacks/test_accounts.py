"""Sign-in under attack: one answer whatever is guessed, bounded cost, nothing told."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import models
from resolvers.context import Runtime
from services.limits.sliding_window import SlidingWindows
from services.limits.throttles import Throttles
from tests.attacks.payloads import (
    answers,
    assert_nothing_leaks,
    codes_of,
    record_attempt,
)
from tests.support.api_client import connect_runtime
from tests.support.runtimes import with_changes

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
LOGIN = "mutation ($e: EmailAddress!, $p: String!) { login(input: {email: $e, password: $p}) \
{ tokens { accessToken } viewer { id } errors { code message path retryAfterSeconds } } }"
RESET = "mutation ($e: EmailAddress!) { requestPasswordReset(input: {email: $e}) \
{ accepted errors { code message } } }"
RESEND = RESET.replace("requestPasswordReset", "resendVerification")
REGISTER = """mutation ($e: EmailAddress!, $p: String!, $n: String!) { register(input: {email: $e,
password: $p, displayName: $n}) { viewer { id } errors { code message path } } }"""
SET_PASSWORD = """mutation ($t: String!, $p: String!) { resetPassword(input: {token: $t,
newPassword: $p}) { accepted errors { code message } } }"""
VERIFY = """mutation ($t: String!) { verifyEmail(input: {token: $t}) { viewer { id }
errors { code message } } }"""
REFRESH = """mutation ($t: String!) { refreshTokens(input: {refreshToken: $t}) {
tokens { accessToken } errors { code message } } }"""


@pytest.fixture
async def account(client: httpx.AsyncClient) -> None:
    answer = await _ask(client, REGISTER, e=EMAIL, p=PASSWORD, n="Ada")
    assert answer["register"]["errors"] == []


async def _ask(client: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    response = await client.post("/graphql", json={"query": query, "variables": variables})
    assert response.status_code == 200, response.text
    assert_nothing_leaks(response.text, json.dumps(variables))
    assert codes_of(response) == set(), response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def _stored() -> tuple[list[Any], list[Any]]:
    users = models.User.get_pymongo_collection().find()
    logins = models.Login.get_pymongo_collection().find()
    return await users.to_list(None), await logins.to_list(None)


_MAX_TOKEN = 2048
GUESSES = [
    (EMAIL, "wrong horse battery"),
    (EMAIL, ""),
    (EMAIL, PASSWORD + " "),
    (EMAIL, PASSWORD.upper()),
    (EMAIL, "a" * 1024),
    (EMAIL, "\x00"),
    (EMAIL, "\ud7ff\U0010ffff" * 50),
    (EMAIL, "' or 1=1 --"),
    (EMAIL, "$argon2id$v=19$m=1,t=1,p=1$YWFhYWFhYWE$YQ"),
    ("nobody@example.org", PASSWORD),
    ("nobody@example.org", ""),
    ("ada@example.org.evil.example", PASSWORD),
    ("ada+1@example.org", PASSWORD),
    ("ada@exаmple.org", PASSWORD),  # a Cyrillic letter
    ("*@example.org", PASSWORD),
]  # fmt: skip
for _guess in GUESSES:
    record_attempt("login and reset enumeration", _guess)


@pytest.mark.parametrize("guess", GUESSES, ids=ascii)
async def test_every_wrong_guess_gets_the_same_answer(
    client: httpx.AsyncClient, account: None, guess: tuple[str, str]
) -> None:
    before = await _stored()
    answer = await _ask(client, LOGIN, e=guess[0], p=guess[1])
    (error,) = answer["login"].pop("errors")
    assert answer == {"login": {"tokens": None, "viewer": None}}
    assert error == {
        "code": "INVALID_CREDENTIALS",
        "message": "Wrong email address or password.",
        "path": None,
        "retryAfterSeconds": None,
    }
    assert await _stored() == before
    await answers(client)


@pytest.mark.parametrize("query", [RESET, RESEND], ids=["reset", "resend"])
@pytest.mark.parametrize("email", [EMAIL, "nobody@example.org", "A" * 300 + "@example.org"])
async def test_asking_for_mail_tells_nothing(
    client: httpx.AsyncClient, account: None, query: str, email: str
) -> None:
    record_attempt("login and reset enumeration", query, email)
    before = await _stored()
    (payload,) = (await _ask(client, query, e=email)).values()
    if len(email) < 300:
        assert payload == {"accepted": True, "errors": []}
    assert await _stored() == before


TOKENS = ["", "a", "a" * 43, "A" * 100_000, "\x00" * 43, "../../x", "é" * 43, '{"$ne": null}']
for _token in TOKENS:
    record_attempt("mailed and refresh tokens", _token)


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: ascii(token)[:20])
async def test_a_token_that_was_never_given_opens_nothing(
    client: httpx.AsyncClient, account: None, token: str
) -> None:
    before = await _stored()
    codes = set()
    for query, more in (
        (SET_PASSWORD, {"p": "another velvet cactus"}),
        (VERIFY, {}),
        (REFRESH, {}),
    ):
        if len(token) > _MAX_TOKEN:  # refused before any of it is read
            sent = {"query": query, "variables": {"t": token, **more}}
            response = await client.post("/graphql", json=sent)
            assert codes_of(response) == {"VALIDATION_FAILED"}
            continue
        (payload,) = (await _ask(client, query, t=token, **more)).values()
        (error,) = payload.pop("errors")
        codes.add(error["code"])
        assert not any(payload.values())
    assert codes <= {"INVALID_TOKEN"}
    assert await _stored() == before


async def test_a_huge_password_is_cheap(client: httpx.AsyncClient, account: None) -> None:
    record_attempt("login and reset enumeration", "1 MB")
    body = {"query": LOGIN, "variables": {"e": EMAIL, "p": "x" * 1_000_000}}
    assert (await client.post("/graphql", json=body)).status_code == 413
    # and one that fits a request is refused unhashed
    record_attempt("login and reset enumeration", "200 KB")
    a_guess = await _cpu_seconds(client, "wrong horse battery", "INVALID_CREDENTIALS")
    huge = await _cpu_seconds(client, "x" * 200_000, "VALIDATION_FAILED")
    assert huge < a_guess / 2


async def _cpu_seconds(client: httpx.AsyncClient, password: str, code: str) -> float:
    """Of this process, its hashing threads too, for five tries to sign in."""
    before = time.process_time()
    for _ in range(5):
        sent = {"query": LOGIN, "variables": {"e": EMAIL, "p": password}}
        response = await client.post("/graphql", json=sent)
        payload = (response.json().get("data") or {}).get("login") or {"errors": []}
        codes = codes_of(response) | {error["code"] for error in payload["errors"]}
        assert codes == {code}
    return time.process_time() - before


NAMES = ["", " ", "a" * 81, "\x00", "\u202eadA", "a\nb", "<b>"]
for _name in NAMES:
    record_attempt("login and reset enumeration", "name", _name)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_strange_name_breaks_nothing(client: httpx.AsyncClient, name: str) -> None:
    answer = await _ask(client, REGISTER, e="eve@example.org", p=PASSWORD, n=name)
    codes = {error["code"] for error in answer["register"]["errors"]}
    assert codes <= {"VALIDATION_FAILED"}
    users, _ = await _stored()
    assert len(users) == (0 if codes else 1)


# ---- how often


@pytest.fixture
async def throttled(hardened: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """With the limits of production on tries to sign in."""
    settings = hardened.settings.model_copy(update={"throttles": True})
    throttles = Throttles(settings, SlidingWindows(hardened.state_redis))
    changed = with_changes(hardened, settings=settings, accounts={"throttles": throttles})
    async with connect_runtime(changed) as client:
        yield client


async def test_aliases_give_no_guesses_at_all(throttled: httpx.AsyncClient, account: None) -> None:
    # given guesses packed into as many aliases as an operation may have
    packed = "mutation { " + " ".join(
        f'a{n}: login(input: {{email: "{EMAIL}", password: "guess {n}"}}) '
        "{ errors { code retryAfterSeconds } }"
        for n in range(20)
    ) + " }"  # fmt: skip
    record_attempt("batching", packed)
    # when twenty are tried at once, then none is looked at
    answer = (await throttled.post("/graphql", json={"query": packed})).json()
    assert answer.get("data") is None
    assert "at most one of" in answer["errors"][0]["message"]
    # and the owner is not kept out by it
    payload = await _ask(throttled, LOGIN, e=EMAIL, p=PASSWORD)
    assert payload["login"]["errors"] == []


async def test_a_forged_x_forwarded_for_gives_no_more_guesses(
    throttled: httpx.AsyncClient, account: None
) -> None:
    codes = []
    for number in range(14):
        name = ("x-forwarded-for", "x-real-ip", "forwarded", "true-client-ip", "cf-connecting-ip",
                "x-client-ip", "x-cluster-client-ip")[number % 7]  # fmt: skip
        record_attempt("X-Forwarded-For", name)
        forged = {name: f"for=10.1.2.{number}" if name == "forwarded" else f"10.1.2.{number}"}
        body = {"query": LOGIN, "variables": {"e": EMAIL, "p": f"guess {number}"}}
        response = await throttled.post("/graphql", json=body, headers=forged)
        codes += [error["code"] for error in response.json()["data"]["login"]["errors"]]
    assert codes == ["INVALID_CREDENTIALS"] * 10 + ["RATE_LIMITED"] * 4
