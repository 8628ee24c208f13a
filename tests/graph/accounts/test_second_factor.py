"""Signing in with a second factor, as clients do it; alike under both executors."""

from __future__ import annotations

from typing import Any

import httpx
import pyotp
import pytest

import models
from resolvers.context import Context
from tests.support.accounts import EMAIL, PASSWORD, clock_of
from tests.support.api_client import connect_runtime
from tests.support.runtimes import with_changes

ERRORS = "errors { code path }"
REGISTER = f"""mutation ($input: RegisterInput!) {{ register(input: $input) {{
tokens {{ accessToken refreshToken }} {ERRORS} }} }}"""
LOGIN = f"""mutation ($input: LoginInput!) {{ login(input: $input) {{ tokens {{ accessToken }}
viewer {{ id }} challenge {{ token expiresInSeconds }} {ERRORS} }} }}"""
ENROLL = f"""mutation ($input: EnrollSecondFactorInput!) {{
enrollSecondFactor(input: $input) {{ secret uri {ERRORS} }} }}"""
CONFIRM = f"""mutation ($input: ConfirmSecondFactorInput!) {{
confirmSecondFactor(input: $input) {{ recoveryCodes {ERRORS} }} }}"""
REMOVE = f"""mutation ($input: RemoveSecondFactorInput!) {{
removeSecondFactor(input: $input) {{ accepted {ERRORS} }} }}"""
ANSWER = f"""mutation ($input: AnswerSignInChallengeInput!) {{
answerSignInChallenge(input: $input) {{
tokens {{ accessToken refreshToken deviceToken }} viewer {{ secondFactorAt }}
challenge {{ token }} {ERRORS} }} }}"""


class Asker:
    """Sends operations as whoever the token stands for; the one payload is the answer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(
        self, query: str, bearer: str | None = None, /, **input: Any
    ) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        body = {"query": query, "variables": {"input": input}}
        response = await self._client.post("/graphql", json=body, headers=headers)
        (payload,) = response.json()["data"].values()
        result: dict[str, Any] = payload
        return result


@pytest.mark.parametrize("executor", ["plan", "core"])
async def test_from_enrolling_to_signing_in_with_a_code(guest: Context, executor: str) -> None:
    settings = guest.runtime.settings.model_copy(update={"graphql_executor": executor})
    async with connect_runtime(with_changes(guest.runtime, settings=settings)) as client:
        ask = Asker(client)
        fields = {"email": EMAIL, "password": PASSWORD}
        made = await ask(REGISTER, **fields, displayName="Ada")
        token = made["tokens"]["accessToken"]
        # when somebody enrols an authenticator and confirms it
        wrong = await ask(ENROLL, token, password="wrong horse battery")
        assert wrong["errors"] == [{"code": "INVALID_CREDENTIALS", "path": ["input", "password"]}]
        enrolled = await ask(ENROLL, token, password=PASSWORD)
        totp = pyotp.parse_uri(enrolled["uri"])
        assert isinstance(totp, pyotp.TOTP) and totp.secret == enrolled["secret"]
        refused = await ask(CONFIRM, token, code="000000x")
        assert refused == {
            "recoveryCodes": None,
            "errors": [{"code": "INVALID_CREDENTIALS", "path": ["input", "code"]}],
        }
        confirmed = await ask(CONFIRM, token, code=totp.at(int(clock_of(guest).now)))
        assert len(confirmed["recoveryCodes"]) == 10
        # then a password is answered with a challenge, in a browser too
        clock_of(guest).now += 30
        answer = await ask(LOGIN, **fields)
        assert (answer["tokens"], answer["viewer"], answer["errors"]) == (None, None, [])
        assert answer["challenge"]["expiresInSeconds"] == 300
        challenge = answer["challenge"]["token"]
        assert not client.cookies
        # and a code opens it
        signed_in = await ask(ANSWER, token=challenge, code=totp.at(int(clock_of(guest).now)))
        assert signed_in["challenge"] is None and signed_in["errors"] == []
        assert signed_in["viewer"]["secondFactorAt"] is not None
        assert signed_in["tokens"]["refreshToken"] and signed_in["tokens"]["deviceToken"]
        again = await ask(ANSWER, token=challenge, code=totp.at(int(clock_of(guest).now)))
        assert again["errors"] == [{"code": "INVALID_CREDENTIALS", "path": ["input", "code"]}]
        # and it is removed with both
        removed = await ask(REMOVE, token, password=PASSWORD, code=confirmed["recoveryCodes"][0])
        assert removed == {"accepted": True, "errors": []}
        assert (await ask(LOGIN, **fields))["tokens"] is not None
        (user,) = await models.User.get_pymongo_collection().find().to_list(None)
        assert user["second_factor"] is None


async def test_a_browser_gets_its_cookies_with_the_code_alone(guest: Context) -> None:
    ours = {"x-marquee-auth": "1"}
    async with connect_runtime(guest.runtime, ours) as client:
        ask = Asker(client)
        fields = {"email": EMAIL, "password": PASSWORD}
        await ask(REGISTER, **fields, displayName="Ada")
        secret = (await ask(ENROLL, password=PASSWORD))["secret"]
        await ask(CONFIRM, code=pyotp.TOTP(secret).at(int(clock_of(guest).now)))
        client.cookies.clear()
        clock_of(guest).now += 30
        challenge = (await ask(LOGIN, **fields))["challenge"]["token"]
        assert not client.cookies
        signed_in = await ask(
            ANSWER, token=challenge, code=pyotp.TOTP(secret).at(int(clock_of(guest).now))
        )
        assert signed_in["tokens"]["refreshToken"] is None
        assert set(client.cookies) == {"marquee_access", "marquee_refresh", "marquee_device"}
