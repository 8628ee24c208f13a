"""How often one may try, and what the audit log says of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import models
from resolvers.accounts import api_keys, mail_tokens, profile, sign_out
from resolvers.accounts import sign_in as accounts
from resolvers.context import Browser, Context, Runtime
from services.errors import InvalidCredentials, InvalidToken, RateLimited, TokenReused
from services.limits.sliding_window import SlidingWindows
from services.limits.throttles import Throttles
from tests.support.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    bearer,
    clock_of,
    create_key,
    log_in,
    next_operation,
    open_cheap_runtime,
    read_account,
    read_stored,
    register_account,
    send_pending_mails,
    sign_in_as,
)
from tests.support.runtimes import with_changes

WRONG = "wrong horse battery"


@pytest.fixture
async def guest(runtime: Runtime) -> AsyncIterator[Context]:
    """Somebody at 192.0.2.1, before whom every try is counted."""
    limits = {
        "throttles": True,
        "login_tries_per_account": 3,
        "login_tries_per_account_everywhere": 6,
        "login_tries_per_address": 10,
        "mails_per_account": 2,
        "mails_per_account_everywhere": 5,
        "mails_per_address": 3,
        "registrations_per_address": 2,
    }
    async with open_cheap_runtime(runtime, **limits) as cheap:
        windows = SlidingWindows(cheap.state_redis)
        throttles = Throttles(cheap.settings, windows)
        guarded = with_changes(cheap, accounts={"throttles": throttles})
        yield Context(guarded, client_address="192.0.2.1")


async def sign_in(context: Context, email: str = EMAIL, password: str = WRONG) -> None:
    await accounts.login(next_operation(context), email=email, password=password)


async def refused(context: Context, times: int, email: str = EMAIL) -> None:
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await sign_in(context, email)


async def is_limited(call: Awaitable[object]) -> bool:
    try:
        await call
    except RateLimited as error:
        assert error.retry_after_seconds is not None and error.retry_after_seconds > 0
        return True
    except (InvalidCredentials, InvalidToken):
        pass
    return False


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.org"])
async def test_too_many_wrong_passwords_are_refused_whether_there_is_an_account_or_not(
    guest: Context, email: str
) -> None:
    await register_account(guest)
    await refused(guest, 3, email)
    # the next try is not even made, right or wrong
    assert await is_limited(sign_in(guest, email))
    assert await is_limited(sign_in(guest, email, PASSWORD))
    assert len(await read_stored(models.Login)) == 1


async def test_who_signs_in_is_never_counted_out(guest: Context) -> None:
    await register_account(guest)
    for _ in range(12):
        await sign_in(guest, EMAIL, PASSWORD)
    assert len(await read_stored(models.Login)) == 13


async def test_a_stranger_does_not_lock_the_owner_out(guest: Context) -> None:
    # given somebody who tries an account until nothing goes any more
    await register_account(guest)
    stranger = next_operation(guest, client_address="198.51.100.7")
    await refused(stranger, 3)
    assert await is_limited(sign_in(stranger))
    # then its owner gets in from elsewhere
    await sign_in(guest, EMAIL, PASSWORD)


async def test_a_hundred_tries_at_once_are_no_way_around(guest: Context) -> None:
    await register_account(guest)
    answers = await asyncio.gather(
        *(sign_in(guest, EMAIL, WRONG) for _ in range(50)), return_exceptions=True
    )
    assert sum(isinstance(answer, InvalidCredentials) for answer in answers) <= 3
    assert sum(isinstance(answer, RateLimited) for answer in answers) >= 47


@pytest.mark.parametrize(
    "call",
    [
        lambda ada: profile.change_password(next_operation(ada), WRONG, NEW_PASSWORD),
        lambda ada: profile.delete_account(next_operation(ada), WRONG),
    ],
    ids=["change_password", "delete_account"],
)
async def test_a_stolen_sign_in_does_not_try_passwords_for_ever(
    guest: Context, call: Callable[[Context], Awaitable[None]]
) -> None:
    ada = dataclasses.replace(await register_account(guest), client_address="192.0.2.1")
    before = await read_account()
    assert [await is_limited(call(ada)) for _ in range(5)] == [False] * 3 + [True] * 2
    assert await read_account() == before


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.org"])
async def test_mails_to_an_address_are_few_whether_it_has_an_account_or_not(
    guest: Context, email: str
) -> None:
    await register_account(guest)
    asks = [mail_tokens.request_password_reset, mail_tokens.resend_verification] * 2
    limited = [await is_limited(ask(next_operation(guest), email)) for ask in asks]
    assert limited == [False, False, True, True]
    assert len(await read_stored(models.MailRequest)) == 2


async def test_strangers_do_not_keep_the_owner_out_of_mail(guest: Context) -> None:
    # given somebody who asks for mails to another's address until nothing goes any more
    await register_account(guest)
    stranger = next_operation(guest, client_address="198.51.100.7")
    asks = [mail_tokens.request_password_reset(next_operation(stranger), EMAIL) for _ in range(4)]
    assert [await is_limited(ask) for ask in asks] == [False, False, True, True]
    # then the owner still gets one from elsewhere
    assert not await is_limited(mail_tokens.request_password_reset(next_operation(guest), EMAIL))
    # and from many addresses together there are no more than an account can bear
    limited = [
        await is_limited(
            mail_tokens.request_password_reset(
                next_operation(guest, client_address=f"203.0.113.{number}"), EMAIL
            )
        )
        for number in range(6)
    ]
    assert limited == [False, False, True, True, True, True]


async def lock_account(guest: Context) -> None:
    """Wrong passwords from many addresses, until the account is closed to all of them."""
    for number in range(2):
        await refused(next_operation(guest, client_address=f"203.0.113.{number}"), 3)
    assert await is_limited(sign_in(next_operation(guest, client_address="203.0.113.9")))


@pytest.mark.parametrize("is_browser", [False, True])
async def test_a_known_device_gets_in_although_the_account_is_locked(
    guest: Context, is_browser: bool
) -> None:
    # given a device that signed in once
    await register_account(guest)
    browser = Browser() if is_browser else None
    first = await accounts.login(
        next_operation(guest, browser=browser), email=EMAIL, password=PASSWORD
    )
    token = browser.new_device_token if browser else first.tokens.device_token
    assert token is not None and (first.tokens.device_token is None) is is_browser

    async def come_back(password: str) -> None:
        known = Browser(device_token=token) if is_browser else None
        await accounts.login(
            next_operation(guest, browser=known, client_address="192.0.2.77"),
            email=EMAIL,
            password=password,
            device_token=None if is_browser else token,
        )

    # when strangers' wrong passwords have closed the account
    await lock_account(guest)
    assert await is_limited(sign_in(guest, EMAIL, PASSWORD))
    # then that device gets in, from wherever it is
    await come_back(PASSWORD)
    # and is counted like any other for wrong passwords of its own
    assert [await is_limited(come_back(WRONG)) for _ in range(4)] == [False] * 3 + [True]


@pytest.mark.parametrize("forge", [
    lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
    lambda token: "A" * 40,
    lambda token: token + "A",
    lambda token: "é" * 40,
    lambda token: "",
], ids=["altered", "made up", "longer", "not ASCII", "empty"])  # fmt: skip
async def test_a_forged_device_token_is_none(guest: Context, forge: Callable[[str], str]) -> None:
    await register_account(guest)
    first = await accounts.login(next_operation(guest), email=EMAIL, password=PASSWORD)
    await lock_account(guest)
    forged = forge(first.tokens.device_token or "")
    assert await is_limited(
        accounts.login(next_operation(guest), email=EMAIL, password=PASSWORD, device_token=forged)
    )


async def test_a_device_of_one_account_is_unknown_to_another(guest: Context) -> None:
    await register_account(guest)
    await register_account(guest, "eve@example.org")
    eves = await accounts.login(next_operation(guest), email="eve@example.org", password=PASSWORD)
    await lock_account(guest)
    token = eves.tokens.device_token
    assert await is_limited(
        accounts.login(next_operation(guest), email=EMAIL, password=PASSWORD, device_token=token)
    )


async def test_who_is_signed_in_changes_the_password_although_the_account_is_locked(
    guest: Context,
) -> None:
    ada = await register_account(guest)
    await lock_account(guest)
    await profile.change_password(next_operation(ada), PASSWORD, NEW_PASSWORD)


async def test_a_household_gets_as_many_tries_as_one_address(guest: Context) -> None:
    await register_account(guest)
    limited = [
        await is_limited(sign_in(next_operation(guest, client_address=f"2001:db8:0:{n:x}::1")))
        for n in range(4)
    ]
    assert limited == [False] * 3 + [True]
    # and the next household has its own
    assert not await is_limited(sign_in(next_operation(guest, client_address="2001:db8:0:100::1")))


async def test_mails_from_one_address_are_few(guest: Context) -> None:
    asks = [
        mail_tokens.request_password_reset(next_operation(guest), f"{name}@example.org")
        for name in "abcde"
    ]
    assert [await is_limited(ask) for ask in asks] == [False] * 3 + [True] * 2


async def test_registrations_from_one_address_are_few(guest: Context) -> None:
    limited = [
        await is_limited(
            accounts.register(
                next_operation(guest),
                email=f"{name}@example.org",
                password=PASSWORD,
                display_name="Ada",
            )
        )
        for name in "abcd"
    ]
    assert limited == [False, False, True, True]
    assert len(await read_stored(models.User)) == 2


async def test_codes_are_not_guessed_for_ever(guest: Context) -> None:
    await register_account(guest)
    calls = [mail_tokens.verify_email(next_operation(guest), "A" * 43) for _ in range(12)]
    assert [await is_limited(call) for call in calls] == [False] * 10 + [True] * 2


# ---- the audit log


async def events() -> list[tuple[str, str | None, dict[str, Any]]]:
    rows = await models.AuditEntry.get_pymongo_collection().find({}).sort("$natural", 1).to_list()
    return [(row["event"], row["subject"], row["facts"]) for row in rows]


async def test_what_happens_to_an_account_is_in_the_audit_log(runtime: Runtime) -> None:
    async with open_cheap_runtime(runtime) as cheap:
        guest = Context(cheap)
        # when somebody does all that one may do with an account
        signed_in = await accounts.register(
            guest, email=EMAIL, password=PASSWORD, display_name="Ada"
        )
        assert signed_in is not None
        ada = await sign_in_as(guest, signed_in)
        assert ada.viewer is not None
        await mail_tokens.verify_email(
            next_operation(guest), (await send_pending_mails(guest)).codes[0]
        )
        for email in (EMAIL, "nobody@example.org"):
            with pytest.raises(InvalidCredentials):
                await accounts.login(next_operation(guest), email=email, password=WRONG)
        made = await create_key(ada)
        await api_keys.revoke_api_key(next_operation(ada), made.api_key.id)
        with pytest.raises(InvalidCredentials):
            await profile.change_password(next_operation(ada), WRONG, NEW_PASSWORD)
        await profile.change_password(next_operation(ada), PASSWORD, NEW_PASSWORD)
        await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
        code = (await send_pending_mails(guest)).codes[-1]
        await mail_tokens.reset_password(next_operation(guest), code, PASSWORD)
        back = await log_in(guest)
        assert back.viewer is not None
        await sign_out.logout(next_operation(back))
        last = await log_in(guest)
        assert last.viewer is not None
        await profile.delete_account(next_operation(last), PASSWORD)
        # then each is told with whom it was done to
        user, first = ada.viewer.user_id, ada.viewer.login_id
        created = {"prefix": made.api_key.prefix, "scopes": ["READ"]}
        assert await events() == [
            ("REGISTERED", user, {}),
            ("SIGNED_IN", user, {"session": first}),
            ("EMAIL_VERIFIED", user, {}),
            ("SIGN_IN_REFUSED", user, {}),
            ("SIGN_IN_REFUSED", None, {}),
            ("API_KEY_CREATED", made.api_key.id, created),
            ("API_KEY_REVOKED", made.api_key.id, {}),
            ("PASSWORD_REFUSED", user, {}),
            ("PASSWORD_CHANGED", user, {}),
            ("PASSWORD_RESET_ASKED", user, {}),
            ("PASSWORD_RESET", user, {}),
            ("SIGNED_IN", user, {"session": back.viewer.login_id}),
            ("SIGNED_OUT", user, {"everywhere": False, "ended": 1}),
            ("SIGNED_IN", user, {"session": last.viewer.login_id}),
            ("ACCOUNT_DELETED", user, {}),
        ]
        # and nothing in it opens anything
        text = repr(await read_stored(models.AuditEntry))
        secrets = (PASSWORD, NEW_PASSWORD, WRONG, made.secret, code, bearer(signed_in), EMAIL)
        assert [secret for secret in secrets if secret in text] == []


async def test_a_token_used_twice_is_in_the_audit_log(runtime: Runtime) -> None:
    async with open_cheap_runtime(runtime) as cheap:
        guest = Context(cheap, user_agent="Firefox")
        signed_in = await accounts.register(
            guest, email=EMAIL, password=PASSWORD, display_name="Ada"
        )
        assert signed_in is not None
        await accounts.refresh_tokens(next_operation(guest), signed_in.tokens.refresh_token)
        clock_of(guest).now += 60
        with pytest.raises(TokenReused):
            await accounts.refresh_tokens(next_operation(guest), signed_in.tokens.refresh_token)
        (login,) = await read_stored(models.Login)
        assert (await events())[-1] == (
            "TOKEN_REUSED",
            signed_in.viewer.id,
            {"session": login["_id"]},
        )
