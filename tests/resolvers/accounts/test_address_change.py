"""An address is changed by who has the password, the mail and the sign-in, and by nobody else."""

from __future__ import annotations

import asyncio

import pytest

import models
from resolvers.accounts import address_change, mail_tokens, profile, sign_in
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context
from services.errors import (
    AlreadyExists,
    InvalidCredentials,
    InvalidToken,
    Unauthenticated,
    ValidationFailed,
)
from tests.support.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    clock_of,
    create_key,
    log_in,
    next_operation,
    read_account,
    read_stored,
    register_account,
    send_pending_mails,
)

NEW = "ada@elsewhere.example"
EVE = "eve@example.org"


async def ask(context: Context, new_email: str = NEW, password: str = PASSWORD) -> None:
    await address_change.request_email_change(next_operation(context), new_email, password)


async def code_for(context: Context, new_email: str = NEW) -> str:
    await ask(context, new_email)
    mails = await send_pending_mails(context)
    assert mails.mails[-1].to == new_email
    return mails.codes[-1]


async def test_the_address_is_changed_once_the_new_one_is_proved(guest: Context) -> None:
    # given somebody signed in, with a key
    ada = await register_account(guest)
    key = (await create_key(ada)).secret
    code = await code_for(ada)
    assert (await read_account())["email"] == EMAIL
    # when the code from the new address is entered
    user = await address_change.confirm_email_change(next_operation(ada), code)
    # then the account has it, proved, and the sign-in and the key go on
    assert (user.email, user.email_verified) == (NEW, True)
    assert ada.viewer is not None
    assert not guest.runtime.accounts.revocations.is_revoked(ada.viewer)
    assert await authenticate(guest.runtime, f"Bearer {key}")
    # and it is signed in to by the new address alone
    assert (await log_in(guest, NEW)).viewer is not None
    with pytest.raises(InvalidCredentials):
        await log_in(guest)
    # and the old one gets a notice without a word of the new one
    notice = (await send_pending_mails(guest)).mails[-1]
    assert (notice.to, notice.subject) == (EMAIL, "Your address was changed")
    assert NEW not in notice.text
    # and the code is used up
    with pytest.raises(InvalidToken):
        await address_change.confirm_email_change(next_operation(ada), code)


async def test_a_code_is_worth_nothing_to_others(guest: Context) -> None:
    # given a code for the account of somebody who gave another's address
    eve = await register_account(guest, EVE)
    code = await code_for(eve)
    ada = await register_account(guest)
    # when the owner of the address opens the mail, signed in elsewhere or not at all
    with pytest.raises(InvalidToken):
        await address_change.confirm_email_change(next_operation(ada), code)
    with pytest.raises(Unauthenticated):
        await address_change.confirm_email_change(next_operation(guest), code)
    # nor does it serve another purpose
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)
    with pytest.raises(InvalidToken):
        await mail_tokens.verify_email(next_operation(guest), code)
    # then nothing changed
    assert {row["email"] for row in await read_stored(models.User)} == {EMAIL, EVE}


async def test_an_address_with_an_account_answers_the_same_and_its_owner_is_told(
    guest: Context,
) -> None:
    await register_account(guest, EVE)
    ada = await register_account(guest)
    await ask(ada, EVE)
    mails = await send_pending_mails(guest)
    assert mails.subjects == [f"{EVE}: You have an account already"]
    assert mails.codes == []
    assert await read_stored(models.MailToken) == []


async def test_of_two_who_prove_one_address_one_gets_it(guest: Context) -> None:
    ada, eve = await register_account(guest), await register_account(guest, EVE)
    codes = [await code_for(context) for context in (ada, eve)]
    answers = await asyncio.gather(
        *(
            address_change.confirm_email_change(next_operation(context), code)
            for context, code in zip((ada, eve), codes, strict=True)
        ),
        return_exceptions=True,
    )
    assert sorted(type(answer) for answer in answers if isinstance(answer, Exception)) == [
        AlreadyExists
    ]
    stored = sorted(row["email"] for row in await read_stored(models.User))
    assert stored in ([NEW, EVE], [NEW, EMAIL], [EMAIL, NEW])


@pytest.mark.parametrize(
    ("new_email", "password", "error", "path"),
    [
        (NEW, "wrong horse battery", InvalidCredentials, ["password"]),
        ("no address", PASSWORD, ValidationFailed, ["newEmail"]),
        (f" {EMAIL.upper()} ", PASSWORD, ValidationFailed, ["newEmail"]),
        ("ada@x.example\r\nBcc: eve@example.org", PASSWORD, ValidationFailed, ["newEmail"]),
    ],
)
async def test_an_unfit_request_mails_nothing(
    guest: Context, new_email: str, password: str, error: type[Exception], path: list[str]
) -> None:
    ada = await register_account(guest)
    with pytest.raises(error) as refused:
        await ask(ada, new_email, password)
    assert refused.value.path == path  # type: ignore[attr-defined]
    assert await read_stored(models.MailRequest) == []


async def test_a_code_ends_with_time_a_new_password_and_a_reset(guest: Context) -> None:
    ada = await register_account(guest)
    late = await code_for(ada)
    clock_of(guest).now += 3601
    with pytest.raises(InvalidToken):
        await address_change.confirm_email_change(next_operation(ada), late)
    # given a change that somebody with a stolen sign-in and password began
    code = await code_for(ada)
    await profile.change_password(next_operation(ada), PASSWORD, NEW_PASSWORD)
    with pytest.raises(InvalidToken):
        await address_change.confirm_email_change(next_operation(ada), code)
    await address_change.request_email_change(next_operation(ada), NEW, NEW_PASSWORD)
    code = (await send_pending_mails(guest)).codes[-1]
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    reset = (await send_pending_mails(guest)).codes[-1]
    await mail_tokens.reset_password(next_operation(guest), reset, PASSWORD)
    back = await log_in(guest)
    with pytest.raises(InvalidToken):
        await address_change.confirm_email_change(next_operation(back), code)
    assert (await read_account())["email"] == EMAIL


async def test_codes_mailed_to_the_old_address_end(guest: Context) -> None:
    ada = await register_account(guest)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    reset = (await send_pending_mails(guest)).codes[-1]
    code = await code_for(ada)
    await address_change.confirm_email_change(next_operation(ada), code)
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), reset, NEW_PASSWORD)
    assert isinstance(
        await sign_in.login(next_operation(guest, viewer=None), email=NEW, password=PASSWORD),
        sign_in.SignInResult,
    )
