"""Registering where addresses have to be proved, and what codes in mails do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

import models
from models import MailPurpose
from resolvers.accounts import mail_tokens, sign_in
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context, Runtime
from services.accounts.secret_codes import hash_code
from services.errors import (
    EmailNotVerified,
    InvalidCredentials,
    InvalidToken,
    MailFailed,
    ValidationFailed,
)
from tests.conftest import CountCommands
from tests.support.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    clock_of,
    create_key,
    log_in,
    mails_of,
    next_operation,
    open_cheap_runtime,
    read_account,
    read_stored,
    register_account,
    send_pending_mails,
)


@pytest.fixture
async def stranger(runtime: Runtime) -> AsyncIterator[Context]:
    """Where it does."""
    async with open_cheap_runtime(runtime, email_verification_required=True) as cheap:
        yield Context(cheap)


async def register(context: Context, password: str = PASSWORD, name: str = "Ada") -> None:
    answer = await sign_in.register(
        next_operation(context), email=EMAIL, password=password, display_name=name
    )
    assert answer is None


async def ask_for_reset(context: Context) -> str:
    await mail_tokens.request_password_reset(next_operation(context), EMAIL)
    return (await send_pending_mails(context)).codes[-1]


# ---- where addresses have to be proved


async def test_registering_signs_nobody_in_until_the_address_is_proved(stranger: Context) -> None:
    # when somebody registers
    await register(stranger)
    # then nothing is there but what is to be done
    assert await read_stored(models.User) == await read_stored(models.Login) == []
    # when the mail has gone out
    mails = await send_pending_mails(stranger)
    # then there is an account that cannot be used, and no code is stored as it was mailed
    assert mails.subjects == [f"{EMAIL}: Prove your address"]
    assert (await read_account())["email_verified"] is False
    (token,) = await read_stored(models.MailToken)
    (code,) = mails.codes
    assert token["token_hash"] == hash_code("VERIFY_EMAIL", code)
    assert code not in repr(token)
    with pytest.raises(EmailNotVerified):
        await log_in(stranger)
    with pytest.raises(InvalidCredentials):
        await log_in(stranger, password="wrong horse battery")
    assert await read_stored(models.Login) == []
    # when the code is used by whoever knows the password
    await mail_tokens.verify_email(next_operation(stranger), code, PASSWORD)
    # then its owner may sign in, and the code is gone
    assert (await read_account())["email_verified"] is True
    assert await read_stored(models.MailToken) == []
    assert (await log_in(stranger)).viewer is not None


async def test_an_address_taken_and_a_free_one_get_one_answer_at_one_cost(
    stranger: Context, count_commands: CountCommands
) -> None:
    # given an account
    await register(stranger)
    await mail_tokens.verify_email(
        next_operation(stranger), (await send_pending_mails(stranger)).codes[0]
    )
    before = await read_stored(models.User)
    commands = []
    # when its address and another are registered
    for email in (EMAIL, "eve@example.org"):
        await count_commands.reset()
        answer = await sign_in.register(
            next_operation(stranger), email=email, password=NEW_PASSWORD, display_name="Eve"
        )
        commands.append((answer, count_commands.mongo))
    # then neither the answer nor what was done for it differs
    assert commands[0] == commands[1] == (None, ["mail_requests.insert"])
    # and behind it the owner is told, and nothing of the account changed
    mails = await send_pending_mails(stranger)
    assert mails.subjects[1:] == [
        f"{EMAIL}: You have an account already",
        "eve@example.org: Prove your address",
    ]
    assert [user for user in await read_stored(models.User) if user["email"] == EMAIL] == before


async def test_who_proves_the_address_gets_it_whoever_registered_it_first(
    stranger: Context,
) -> None:
    # given somebody who registers another's address with a password of their own
    await register(stranger, NEW_PASSWORD, "Eve")
    await send_pending_mails(stranger)
    # when the owner registers too
    await register(stranger, PASSWORD, "Ada")
    eves, adas = (await send_pending_mails(stranger)).codes
    # then no password opens the account, proved or not, until a registration is confirmed
    assert (await read_account())["password_hash"] == ""
    for password in (PASSWORD, NEW_PASSWORD):
        with pytest.raises(InvalidCredentials):
            await log_in(stranger, password=password)
    # when the owner opens the first of the two mails, then it does not fit the owner's password
    with pytest.raises(InvalidCredentials) as refused:
        await mail_tokens.verify_email(next_operation(stranger), eves, PASSWORD)
    assert refused.value.path == ["password"]
    assert (await read_account())["email_verified"] is False
    # when the owner confirms theirs
    await mail_tokens.verify_email(next_operation(stranger), adas, PASSWORD)
    # then it is the owner's password that opens it, under the owner's name
    assert (await read_account())["display_name"] == "Ada"
    assert (await log_in(stranger)).viewer
    with pytest.raises(InvalidCredentials):
        await log_in(stranger, password=NEW_PASSWORD)
    # and the other's code does nothing any more
    with pytest.raises(InvalidToken):
        await mail_tokens.verify_email(next_operation(stranger), eves, NEW_PASSWORD)


@pytest.mark.parametrize("is_resent", [False, True])
@pytest.mark.parametrize("registers_too", [False, True])
async def test_a_proof_without_the_password_proves_the_address_alone(
    stranger: Context, is_resent: bool, registers_too: bool
) -> None:
    # given somebody who registers another's address, and has the mail sent again
    await register(stranger, NEW_PASSWORD, "Eve")
    await send_pending_mails(stranger)
    if is_resent:
        await mail_tokens.resend_verification(next_operation(stranger), EMAIL)
    code = (await send_pending_mails(stranger)).codes[-1]
    if registers_too:
        await register(stranger, PASSWORD, "Ada")
        await send_pending_mails(stranger)
    # when the owner of the address opens that mail
    await mail_tokens.verify_email(next_operation(stranger), code)
    # then the address is proved, and neither password opens the account
    assert (await read_account())["email_verified"] is True
    for password in (PASSWORD, NEW_PASSWORD, ""):
        with pytest.raises(InvalidCredentials):
            await log_in(stranger, password=password)
    # and the owner's way in is a new one
    await mail_tokens.reset_password(
        next_operation(stranger), await ask_for_reset(stranger), PASSWORD
    )
    assert (await log_in(stranger)).viewer


async def test_a_proof_without_the_password_ends_what_another_began(
    guest: Context, stranger: Context
) -> None:
    # given somebody who took another's address while none had to be proved, and has a key
    eve = await register_account(guest)
    key = (await create_key(eve)).secret
    # when the owner of the address proves it, now that they have to be
    await mail_tokens.resend_verification(next_operation(stranger), EMAIL)
    code = (await send_pending_mails(stranger)).codes[-1]
    await mail_tokens.verify_email(next_operation(stranger), code)
    # then that one is out
    assert eve.viewer is not None
    assert guest.runtime.accounts.revocations.is_revoked(eve.viewer)
    with pytest.raises(InvalidToken):
        await authenticate(stranger.runtime, f"Bearer {key}")
    with pytest.raises(InvalidCredentials):
        await log_in(stranger)


async def test_who_is_signed_in_proves_the_address_without_the_password(
    guest: Context, stranger: Context
) -> None:
    ada = await register_account(guest)
    await mail_tokens.resend_verification(next_operation(stranger), EMAIL)
    code = (await send_pending_mails(stranger)).codes[-1]
    signed_in = next_operation(stranger, viewer=ada.viewer)
    user = await mail_tokens.verify_email(signed_in, code)
    assert user is not None and user.email_verified
    assert (await log_in(stranger)).viewer


async def test_a_code_sent_again_proves_the_address_and_sets_no_password(
    stranger: Context,
) -> None:
    # given an address that two people registered
    await register(stranger, NEW_PASSWORD, "Eve")
    await send_pending_mails(stranger)
    await register(stranger, PASSWORD, "Ada")
    await send_pending_mails(stranger)
    # when the mail is asked for again and its code used
    await mail_tokens.resend_verification(next_operation(stranger), EMAIL)
    await mail_tokens.verify_email(
        next_operation(stranger), (await send_pending_mails(stranger)).codes[-1]
    )
    # then the address is proved, and the way in is a new password
    assert (await read_account())["email_verified"] is True
    for password in (PASSWORD, NEW_PASSWORD):
        with pytest.raises(InvalidCredentials):
            await log_in(stranger, password=password)
    await mail_tokens.reset_password(
        next_operation(stranger), await ask_for_reset(stranger), PASSWORD
    )
    assert (await log_in(stranger)).viewer


async def test_registering_twice_with_one_password_is_one_registration(stranger: Context) -> None:
    await register(stranger)
    await send_pending_mails(stranger)
    # the same request taken up twice, as after a worker that died: its hash is the same
    (user,) = await read_stored(models.User)
    request = models.MailRequest(
        id="mailrequest_again",
        purpose=MailPurpose.REGISTER,
        email=EMAIL,
        registration=models.Registration(display_name="Ada", password_hash=user["password_hash"]),
        due_at=user["created_at"],
        expires_at=user["created_at"].replace(year=2099),
    )
    await models.insert_mail_request(request)
    mails = await send_pending_mails(stranger)
    assert len(mails.codes) == 2
    assert (await read_account())["password_hash"] == user["password_hash"]


# ---- proving an address


async def test_registering_at_once_mails_a_code_too(guest: Context) -> None:
    # given somebody who registered and is signed in
    signed_in = await sign_in.register(guest, email=EMAIL, password=PASSWORD, display_name="Ada")
    assert signed_in is not None
    mails = await send_pending_mails(guest)
    assert mails.subjects == [f"{EMAIL}: Prove your address"]
    # when the code is used, then the address is proved and nothing else changed
    before = await read_account()
    await mail_tokens.verify_email(next_operation(guest), mails.codes[0])
    after = await read_account()
    assert after == {
        **before,
        "email_verified": True,
        "version": 2,
        "updated_at": after["updated_at"],
    }


async def test_only_the_viewer_is_shown_the_account(guest: Context) -> None:
    ada = await register_account(guest)
    eve = await register_account(guest, "eve@example.org")
    for asker, is_shown in ((ada, True), (eve, False), (guest, False)):
        await models.User.get_pymongo_collection().update_many(
            {}, {"$set": {"email_verified": False}}
        )
        await mail_tokens.resend_verification(next_operation(guest), EMAIL)
        user = await mail_tokens.verify_email(
            next_operation(asker), (await send_pending_mails(guest)).codes[-1]
        )
        assert (user is not None) is is_shown


@pytest.mark.parametrize("code", ["", "nonsense", "A" * 43, "x" * 100_000, "é" * 43])
async def test_an_unknown_code_is_refused(guest: Context, code: str) -> None:
    await register_account(guest)
    before = await read_account()
    with pytest.raises(InvalidToken):
        await mail_tokens.verify_email(next_operation(guest), code)
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)
    assert await read_account() == before


async def test_a_code_is_for_one_purpose(guest: Context) -> None:
    # given one code of each kind
    await register_account(guest)
    await mail_tokens.resend_verification(next_operation(guest), EMAIL)
    verifying = (await send_pending_mails(guest)).codes[-1]
    resetting = await ask_for_reset(guest)
    before = await read_account(), await read_stored(models.MailToken)
    # when each is used for the other purpose, then nothing happens, and both are as good as before
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), verifying, NEW_PASSWORD)
    with pytest.raises(InvalidToken):
        await mail_tokens.verify_email(next_operation(guest), resetting)
    assert (await read_account(), await read_stored(models.MailToken)) == before


async def test_a_code_is_for_the_address_it_was_sent_to(guest: Context) -> None:
    await register_account(guest)
    await mail_tokens.resend_verification(next_operation(guest), EMAIL)
    verifying = (await send_pending_mails(guest)).codes[-1]
    resetting = await ask_for_reset(guest)
    # given an account whose address changed meanwhile
    users = models.User.get_pymongo_collection()
    await users.update_one({}, {"$set": {"email": "ada@elsewhere.example"}})
    before = await read_account()
    with pytest.raises(InvalidToken):
        await mail_tokens.verify_email(next_operation(guest), verifying)
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), resetting, NEW_PASSWORD)
    assert await read_account() == before


@pytest.mark.parametrize(("hours", "works"), [(23.9, True), (24.1, False)])
async def test_a_code_that_proves_lives_for_a_day(
    guest: Context, hours: float, works: bool
) -> None:
    await register_account(guest)
    await mail_tokens.resend_verification(next_operation(guest), EMAIL)
    code = (await send_pending_mails(guest)).codes[-1]
    clock_of(guest).now += hours * 3600
    if works:
        await mail_tokens.verify_email(next_operation(guest), code)
    else:
        with pytest.raises(InvalidToken):
            await mail_tokens.verify_email(next_operation(guest), code)
    assert (await read_account())["email_verified"] is works


async def test_who_is_proved_or_unknown_gets_no_mail_and_the_same_answer(
    guest: Context, count_commands: CountCommands
) -> None:
    # given an account that is proved, one that is not, and an address without
    await register_account(guest)
    await register_account(guest, "eve@example.org")
    users = models.User.get_pymongo_collection()
    await users.update_one({"email": EMAIL}, {"$set": {"email_verified": True}})
    # when each asks for the mail again, then the same is done for each
    for email in (EMAIL, "eve@example.org", "nobody@example.org"):
        await count_commands.reset()
        await mail_tokens.resend_verification(next_operation(guest), email)
        assert count_commands.mongo == ["mail_requests.insert"]
        assert await count_commands.redis_commands() == {}
    # and one mail goes out
    assert (await send_pending_mails(guest)).subjects == ["eve@example.org: Prove your address"]
    assert await read_stored(models.MailRequest) == []


# ---- a forgotten password


async def test_a_reset_sets_the_password_and_ends_every_sign_in(guest: Context) -> None:
    # given somebody signed in twice, who has forgotten the password
    ada = await register_account(guest)
    elsewhere = await log_in(guest)
    code = await ask_for_reset(guest)
    clock_of(guest).now += 60
    # when the code is used
    await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)
    # then all sign-ins have ended, their access tokens too, and the address is proved
    assert {login["revoked_at"] is None for login in await read_stored(models.Login)} == {False}
    for context in (ada, elsewhere):
        assert context.viewer is not None
        assert guest.runtime.accounts.revocations.is_revoked(context.viewer)
    assert (await read_account())["email_verified"] is True
    # and only the new password opens it, at once
    with pytest.raises(InvalidCredentials):
        await log_in(guest)
    back = await log_in(guest, password=NEW_PASSWORD)
    assert back.viewer is not None and not guest.runtime.accounts.revocations.is_revoked(
        back.viewer
    )
    # and the owner is told
    assert (await send_pending_mails(guest)).subjects[-1] == f"{EMAIL}: Your password was changed"


async def test_a_reset_code_works_once_also_in_a_race(guest: Context) -> None:
    await register_account(guest)
    code = await ask_for_reset(guest)
    passwords = [f"zebra lamp cactus {number}" for number in range(5)]
    answers = await asyncio.gather(
        *(
            mail_tokens.reset_password(next_operation(guest), code, password)
            for password in passwords
        ),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["InvalidToken"] * 4 + [
        "NoneType"
    ]
    (worked,) = [one for one, answer in zip(passwords, answers, strict=True) if answer is None]
    assert (await log_in(guest, password=worked)).viewer
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)


async def test_one_reset_ends_all_other_codes(guest: Context) -> None:
    await register_account(guest)
    first, second = await ask_for_reset(guest), await ask_for_reset(guest)
    await mail_tokens.reset_password(next_operation(guest), second, NEW_PASSWORD)
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), first, PASSWORD)
    assert await read_stored(models.MailToken) == []


@pytest.mark.parametrize("minutes", [29, 31])
async def test_a_reset_code_lives_for_half_an_hour(guest: Context, minutes: float) -> None:
    await register_account(guest)
    code, before = await ask_for_reset(guest), await read_account()
    clock_of(guest).now += minutes * 60
    if minutes < 30:
        await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)
        assert await read_account() != before
        return
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)
    assert await read_account() == before


@pytest.mark.parametrize(
    "password", ["short", "password1234", "ada@example.org", "x" * 2000, "lamp zebra\ud800 cactus"]
)
async def test_an_unacceptable_password_leaves_the_code_to_be_used_again(
    guest: Context, password: str
) -> None:
    await register_account(guest)
    code, before = await ask_for_reset(guest), await read_account()
    with pytest.raises(ValidationFailed) as refused:
        await mail_tokens.reset_password(next_operation(guest), code, password)
    assert refused.value.path == ["newPassword"]
    assert await read_account() == before
    await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)


async def test_asking_for_a_reset_is_the_same_for_an_account_and_for_none(
    guest: Context, count_commands: CountCommands
) -> None:
    await register_account(guest)
    commands = []
    for email in (EMAIL, "nobody@example.org"):
        await count_commands.reset()
        await mail_tokens.request_password_reset(next_operation(guest), email)
        commands.append((count_commands.mongo, await count_commands.redis_commands()))
    assert commands[0] == commands[1] == (["mail_requests.insert"], {})
    assert (await send_pending_mails(guest)).subjects == [f"{EMAIL}: Set a new password"]


async def test_an_invalid_address_is_reported(guest: Context) -> None:
    for ask in (mail_tokens.request_password_reset, mail_tokens.resend_verification):
        with pytest.raises(ValidationFailed):
            await ask(next_operation(guest), "ada\r\nBcc: eve@example.org")
    assert await read_stored(models.MailRequest) == []


async def test_whoever_was_in_before_the_address_was_proved_is_out(guest: Context) -> None:
    # given somebody who took another's address, is signed in and has a key
    eve = await register_account(guest)
    first = (await create_key(eve)).secret
    # when the owner of the address resets the password, then neither opens anything
    await mail_tokens.reset_password(
        next_operation(guest), await ask_for_reset(guest), NEW_PASSWORD
    )
    assert eve.viewer is not None and guest.runtime.accounts.revocations.is_revoked(eve.viewer)
    with pytest.raises(InvalidToken):
        await authenticate(guest.runtime, f"Bearer {first}")
    assert await read_stored(models.ApiKey) == []
    # and a later reset ends the keys made since
    ada = await log_in(guest, password=NEW_PASSWORD)
    second = (await create_key(ada, NEW_PASSWORD)).secret
    await mail_tokens.reset_password(next_operation(guest), await ask_for_reset(guest), PASSWORD)
    with pytest.raises(InvalidToken):
        await authenticate(guest.runtime, f"Bearer {second}")


async def test_a_confirmed_registration_ends_what_another_began(
    guest: Context, stranger: Context
) -> None:
    # given an address that somebody took while none had to be proved
    eve = await register_account(guest)
    key = (await create_key(eve)).secret
    # when its owner registers, now that they have to be, and confirms it
    await register(stranger, NEW_PASSWORD, "Ada")
    await mail_tokens.verify_email(
        next_operation(stranger), (await send_pending_mails(stranger)).codes[-1], NEW_PASSWORD
    )
    # then only the owner gets in
    assert eve.viewer is not None and guest.runtime.accounts.revocations.is_revoked(eve.viewer)
    with pytest.raises(InvalidToken):
        await authenticate(stranger.runtime, f"Bearer {key}")
    with pytest.raises(InvalidCredentials):
        await log_in(stranger)
    assert (await log_in(stranger, password=NEW_PASSWORD)).viewer


# ---- mails on their way


async def test_a_mail_server_that_is_away_is_tried_again_later(guest: Context) -> None:
    # given a mail that could not be sent
    await register_account(guest)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    mails_of(guest).failure = MailFailed("away")
    await send_pending_mails(guest)
    (request,) = await read_stored(models.MailRequest)
    assert request["attempts"] == 1
    # when the server is back, then it waits for its time and is sent
    mails_of(guest).failure = None
    assert (await send_pending_mails(guest)).subjects == []
    clock_of(guest).now += 61
    assert (await send_pending_mails(guest)).subjects == [f"{EMAIL}: Set a new password"]
    assert await read_stored(models.MailRequest) == []


async def test_a_mail_nobody_takes_is_given_up_after_five_tries(guest: Context) -> None:
    await register_account(guest)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    mails_of(guest).failure = MailFailed("away")
    for attempts in range(1, 5):
        await send_pending_mails(guest)
        (request,) = await read_stored(models.MailRequest)
        assert request["attempts"] == attempts
        clock_of(guest).now += 60 * 2 ** (attempts - 1) + 1
    await send_pending_mails(guest)
    assert await read_stored(models.MailRequest) == []


async def test_a_mail_refused_for_good_is_not_tried_again(guest: Context) -> None:
    await register_account(guest)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    mails_of(guest).failure = MailFailed("no such person", is_final=True)
    await send_pending_mails(guest)
    assert await read_stored(models.MailRequest) == []


async def test_many_workers_send_each_mail_once(guest: Context) -> None:
    await register_account(guest)
    for _ in range(10):
        await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    await asyncio.gather(*(send_pending_mails(guest) for _ in range(3)))
    assert mails_of(guest).subjects == [f"{EMAIL}: Set a new password"] * 10
    assert len(set(mails_of(guest).codes)) == 10


async def test_a_mail_whose_worker_died_is_taken_by_another(guest: Context) -> None:
    await register_account(guest)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    # given a worker that took it and fell silent
    (request,) = await read_stored(models.MailRequest)
    assert await models.take_mail_request(request["due_at"], timedelta(seconds=60))
    # then others leave it to that one for a minute, and no longer
    clock_of(guest).now += 59
    assert (await send_pending_mails(guest)).subjects == []
    clock_of(guest).now += 2
    assert (await send_pending_mails(guest)).subjects == [f"{EMAIL}: Set a new password"]
