"""A second factor: added with a code, asked for at sign-in, each code good once, few attempts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pyotp
import pytest

import models
from models import Role
from resolvers.accounts import (
    administration,
    mail_tokens,
    personal_data,
    profile,
    second_factor,
    sign_in,
)
from resolvers.accounts.authentication import authenticate
from resolvers.accounts.logins import SignInResult
from resolvers.context import Context, Runtime
from services.errors import (
    Conflict,
    InvalidCredentials,
    InvalidToken,
    NotFound,
    RateLimited,
    ValidationFailed,
)
from services.limits.sliding_window import SlidingWindows
from services.limits.throttles import Throttles
from tests.support.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    bearer,
    clock_of,
    log_in,
    next_operation,
    open_cheap_runtime,
    read_account,
    register_account,
    send_pending_mails,
)
from tests.support.runtimes import with_changes


@pytest.fixture
async def strict(runtime: Runtime) -> AsyncIterator[Context]:
    """Where OPERATOR and ADMIN need a second factor, and attempts are counted."""
    async with open_cheap_runtime(runtime, second_factor_required=True, throttles=True) as cheap:
        throttles = Throttles(cheap.settings, SlidingWindows(cheap.state_redis))
        yield Context(with_changes(cheap, accounts={"throttles": throttles}))


def code_of(context: Context, secret: str, seconds: float = 0) -> str:
    return pyotp.TOTP(secret).at(int(clock_of(context).now + seconds))


async def enrolled(context: Context) -> tuple[str, list[str]]:
    """The secret and the recovery codes of who is signed in; a code of it is used up."""
    enrollment = await second_factor.enroll(next_operation(context), PASSWORD)
    codes = await second_factor.confirm(
        next_operation(context), code_of(context, enrollment.secret)
    )
    clock_of(context).now += 30
    return enrollment.secret, codes


async def challenge(context: Context, password: str = PASSWORD) -> str:
    answer = await sign_in.login(
        next_operation(context, viewer=None), email=EMAIL, password=password
    )
    assert isinstance(answer, sign_in.PendingSignIn)
    assert (answer.tokens, answer.viewer) == (None, None)
    return answer.challenge.token


async def answer(context: Context, token: str, code: str) -> SignInResult:
    return await sign_in.answer_challenge(next_operation(context, viewer=None), token, code)


async def role_of(context: Context, signed_in: SignInResult) -> Role:
    viewer = await authenticate(context.runtime, bearer(signed_in))
    assert viewer is not None
    return viewer.role


async def test_a_sign_in_needs_a_code_once_the_factor_is_confirmed(guest: Context) -> None:
    # given somebody who enrolled an authenticator
    ada = await register_account(guest)
    enrollment = await second_factor.enroll(next_operation(ada), PASSWORD)
    parsed = pyotp.parse_uri(enrollment.uri)
    assert (parsed.secret, parsed.name, parsed.issuer) == (enrollment.secret, EMAIL, "Marquee")
    # then before it is confirmed the password does
    assert (await log_in(guest)).viewer is not None
    # when it is confirmed
    codes = await second_factor.confirm(next_operation(ada), code_of(guest, enrollment.secret))
    assert len(set(codes)) == 10
    # then the password alone opens nothing, and with a code it does
    clock_of(guest).now += 30
    logins = await models.Login.get_pymongo_collection().count_documents({})
    token = await challenge(guest)
    assert await models.Login.get_pymongo_collection().count_documents({}) == logins
    signed_in = await answer(guest, token, code_of(guest, enrollment.secret))
    assert signed_in.viewer.second_factor_at is not None
    # and nothing that is stored makes or is a code
    stored = repr(await read_account())
    assert [one for one in (enrollment.secret, *codes) if one in stored] == []


@pytest.mark.parametrize("seconds", [-30, 0, 30])
async def test_clocks_may_differ_by_half_a_minute(guest: Context, seconds: float) -> None:
    secret, _ = await enrolled(await register_account(guest))
    clock_of(guest).now += 60
    assert await answer(guest, await challenge(guest), code_of(guest, secret, seconds))


@pytest.mark.parametrize("seconds", [-90, -60, 60, 86_400])
async def test_other_codes_are_wrong(guest: Context, seconds: float) -> None:
    secret, _ = await enrolled(await register_account(guest))
    clock_of(guest).now += 120
    token = await challenge(guest)
    with pytest.raises(InvalidCredentials) as refused:
        await answer(guest, token, code_of(guest, secret, seconds))
    assert refused.value.path == ["code"]
    # and the challenge may be answered again
    assert await answer(guest, token, code_of(guest, secret))


@pytest.mark.parametrize("code", ["", "000000000", "12345", "abcdef", "١٢٣٤٥٦", "A" * 5_000])
async def test_what_is_no_code_is_refused(guest: Context, code: str) -> None:
    await enrolled(await register_account(guest))
    with pytest.raises(InvalidCredentials):
        await answer(guest, await challenge(guest), code)


async def test_a_code_works_once_also_in_a_race(guest: Context) -> None:
    secret, _ = await enrolled(await register_account(guest))
    tokens = [await challenge(guest) for _ in range(8)]
    code = code_of(guest, secret)
    results = await asyncio.gather(
        *(answer(guest, token, code) for token in tokens), return_exceptions=True
    )
    assert sum(isinstance(one, SignInResult) for one in results) == 1
    assert sum(isinstance(one, InvalidCredentials) for one in results) == 7
    # nor does an earlier one after it
    with pytest.raises(InvalidCredentials):
        await answer(guest, tokens[0], code_of(guest, secret, -30))


async def test_the_code_that_confirmed_signs_nobody_in(guest: Context) -> None:
    ada = await register_account(guest)
    enrollment = await second_factor.enroll(next_operation(ada), PASSWORD)
    code = code_of(guest, enrollment.secret)
    await second_factor.confirm(next_operation(ada), code)
    with pytest.raises(InvalidCredentials):
        await answer(guest, await challenge(guest), code)


async def test_a_recovery_code_works_once_however_it_is_written(guest: Context) -> None:
    _, codes = await enrolled(await register_account(guest))
    written = [codes[0], codes[1].lower(), codes[2].replace("-", " "), codes[3].replace("-", "")]
    for code in written:
        assert await answer(guest, await challenge(guest), code)
        with pytest.raises(InvalidCredentials):
            await answer(guest, await challenge(guest), code)
    # also in a race
    tokens = [await challenge(guest) for _ in range(5)]
    results = await asyncio.gather(
        *(answer(guest, token, codes[4]) for token in tokens), return_exceptions=True
    )
    assert sum(isinstance(one, SignInResult) for one in results) == 1
    left = (await read_account())["second_factor"]["recovery_hashes"]
    assert len(left) == 5


async def test_a_challenge_ends_with_its_time_and_with_what_it_was_about(guest: Context) -> None:
    secret, _ = await enrolled(await register_account(guest))
    token = await challenge(guest)
    # when it is altered, or made for another account
    user, epoch, end, signature = token.split(".")
    forged = [
        f"user_other.{epoch}.{end}.{signature}",
        f"{user}.{int(epoch) + 1}.{end}.{signature}",
        f"{user}.{epoch}.{int(end) + 60}.{signature}",
        token[:-1] + ("0" if token[-1] != "0" else "1"),
        "", "....", "x" * 10_000,
    ]  # fmt: skip
    for one in forged:
        with pytest.raises(InvalidToken):
            await answer(guest, one, code_of(guest, secret))
    # when the password was reset meanwhile
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    code = (await send_pending_mails(guest)).codes[-1]
    await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)
    with pytest.raises(InvalidToken):
        await answer(guest, token, code_of(guest, secret))
    # and a reset does not take the second factor away
    late = await challenge(guest, NEW_PASSWORD)
    clock_of(guest).now += 300
    with pytest.raises(InvalidToken):
        await answer(guest, late, code_of(guest, secret))


async def test_codes_are_not_guessed_for_ever(strict: Context) -> None:
    secret, _ = await enrolled(await register_account(strict))
    token = await challenge(strict)
    right = code_of(strict, secret)
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    refused = 0
    for number in range(14):
        caller = next_operation(strict, client_address=f"192.0.2.{number}")
        with pytest.raises((InvalidCredentials, RateLimited)) as failure:
            await sign_in.answer_challenge(caller, token, wrong)
        refused += failure.type is RateLimited
    assert refused == 4
    # then not even the right one is looked at
    with pytest.raises(RateLimited):
        await answer(strict, token, right)


@pytest.mark.parametrize(
    ("role", "before"),
    [
        (Role.USER, Role.USER),
        (Role.EDITOR, Role.EDITOR),
        (Role.OPERATOR, Role.USER),
        (Role.ADMIN, Role.USER),
    ],
)
async def test_where_it_is_required_privileges_wait_for_it(
    strict: Context, role: Role, before: Role
) -> None:
    # given an account that was given a role
    await register_account(strict)
    await personal_data.change_role(next_operation(strict), EMAIL, role)
    # when it signs in by password, then it has no privileges, also after a refresh
    clock_of(strict).now += 1
    signed_in = await sign_in.login(next_operation(strict), email=EMAIL, password=PASSWORD)
    assert isinstance(signed_in, SignInResult)
    assert await role_of(strict, signed_in) is before
    refreshed = await sign_in.refresh_tokens(next_operation(strict), signed_in.tokens.refresh_token)
    assert await role_of(strict, refreshed) is before
    # when it gets a second factor, then the next refresh has them
    viewer = await authenticate(strict.runtime, bearer(refreshed))
    secret, _ = await enrolled(next_operation(strict, viewer=viewer))
    again = await sign_in.refresh_tokens(next_operation(strict), refreshed.tokens.refresh_token)
    assert await role_of(strict, again) is role
    # and so has a sign-in with a code
    with_code = await answer(strict, await challenge(strict), code_of(strict, secret))
    assert await role_of(strict, with_code) is role


async def test_enrolling_needs_the_password_and_one_at_a_time(guest: Context) -> None:
    ada = await register_account(guest)
    with pytest.raises(ValidationFailed):
        await second_factor.confirm(next_operation(ada), "123456")
    with pytest.raises(InvalidCredentials):
        await second_factor.enroll(next_operation(ada), "wrong horse battery")
    # the newest enrolment counts
    first = await second_factor.enroll(next_operation(ada), PASSWORD)
    second = await second_factor.enroll(next_operation(ada), PASSWORD)
    with pytest.raises(InvalidCredentials):
        await second_factor.confirm(next_operation(ada), code_of(guest, first.secret))
    await second_factor.confirm(next_operation(ada), code_of(guest, second.secret))
    with pytest.raises(Conflict):
        await second_factor.enroll(next_operation(ada), PASSWORD)


async def test_it_is_removed_with_the_password_and_a_code(guest: Context) -> None:
    ada = await register_account(guest)
    secret, codes = await enrolled(ada)
    attempts: list[tuple[str, str]] = [
        ("wrong horse battery", code_of(guest, secret)),
        (PASSWORD, "000000"),
    ]
    for password, code in attempts:
        with pytest.raises(InvalidCredentials):
            await second_factor.remove(next_operation(ada), password, code)
    await second_factor.remove(next_operation(ada), PASSWORD, codes[0])
    assert (await log_in(guest)).viewer is not None
    assert (await read_account())["second_factor"] is None


async def test_an_operator_removes_a_lost_one_and_it_is_audited(guest: Context) -> None:
    ada = await register_account(guest)
    await enrolled(ada)
    user = await administration.find_account(next_operation(guest), EMAIL)
    await second_factor.remove_as_operator(next_operation(guest), user.id)
    assert ada.viewer is not None
    assert guest.runtime.accounts.revocations.is_revoked(ada.viewer)
    (entry, *_) = await models.audit_entries(1)
    assert (entry.event.value, entry.facts) == ("SECOND_FACTOR_REMOVED", {"by": "command line"})
    with pytest.raises(NotFound):
        await second_factor.remove_as_operator(next_operation(guest), user.id)


async def test_a_deleted_account_has_none_and_an_export_shows_none(guest: Context) -> None:
    ada = await register_account(guest)
    secret, _ = await enrolled(ada)
    exported: dict[str, Any] = await personal_data.export(next_operation(guest), EMAIL)
    (user,) = exported["collections"]["users"]
    assert "second_factor" not in user and user["second_factor_at"] is not None
    assert secret not in repr(exported)
    await profile.delete_account(next_operation(ada), PASSWORD)
    stored = await read_account()
    assert (stored["second_factor"], stored["second_factor_at"]) == (None, None)
