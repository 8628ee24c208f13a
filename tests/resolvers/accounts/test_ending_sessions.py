"""All sign-ins of an account end at once, whatever their number and whatever fails meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from resolvers.accounts import mail_tokens, personal_data, profile, sign_in, sign_out
from resolvers.context import Context
from services.accounts.passwords import Passwords
from services.accounts.revocations import Revocation
from services.accounts.tokens import RefreshToken
from services.errors import InvalidCredentials, InvalidToken, UpstreamUnavailable
from tests.conftest import CountCommands
from tests.support.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    START,
    clock_of,
    log_in,
    next_operation,
    read_stored,
    register_account,
    send_pending_mails,
    sign_in_as,
)
from tests.support.runtimes import with_changes

AT = datetime.fromtimestamp(START, UTC)


class AwayStore(models.RevocationStore):
    """Revocations' MongoDB, away."""

    async def save(self, revocations: Sequence[Revocation], lifetime_seconds: float) -> None:
        raise UpstreamUnavailable("away")


async def add_logins(user_id: str, count: int) -> list[RefreshToken]:
    """That many sign-ins, the later the number the longer ago, as MongoDB has them."""
    (template,) = await models.Login.get_pymongo_collection().find().limit(1).to_list()
    tokens = [RefreshToken.new() for _ in range(count)]
    rows = [
        {
            **template,
            "_id": f"login_{number}",
            "user_id": user_id,
            "token_hash": token.hash,
            "last_used_at": AT - timedelta(seconds=number + 1),
        }
        for number, token in enumerate(tokens)
    ]
    await models.Login.get_pymongo_collection().insert_many(rows, ordered=False)
    return tokens


async def is_alive(context: Context, token: RefreshToken) -> bool:
    try:
        await sign_in.refresh_tokens(next_operation(context, viewer=None), token.text)
    except InvalidToken:
        return False
    return True


async def reset(guest: Context, ada: Context) -> None:
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    code = (await send_pending_mails(guest)).codes[-1]
    await mail_tokens.reset_password(next_operation(guest), code, NEW_PASSWORD)


async def sign_out_everywhere(guest: Context, ada: Context) -> None:
    await sign_out.logout(next_operation(ada), everywhere=True)


async def change_password(guest: Context, ada: Context) -> None:
    await profile.change_password(next_operation(ada), PASSWORD, NEW_PASSWORD)


async def change_role(guest: Context, ada: Context) -> None:
    await personal_data.change_role(next_operation(guest), EMAIL, models.Role.EDITOR)


async def delete(guest: Context, ada: Context) -> None:
    await profile.delete_account(next_operation(ada), PASSWORD)


End = Callable[[Context, Context], Awaitable[None]]
ENDS: list[End] = [reset, sign_out_everywhere, change_password, change_role, delete]


@pytest.mark.parametrize("end", ENDS)
async def test_any_number_of_sign_ins_ends(guest: Context, end: End) -> None:
    # given an account whose attacker signed in more often than any list holds
    ada = await register_account(guest)
    assert ada.viewer is not None
    tokens = await add_logins(ada.viewer.user_id, 5_000 if end is reset else 1_500)
    assert await is_alive(guest, tokens[0])
    # when its owner ends them
    await end(guest, ada)
    # then none of them goes on
    for token in (tokens[1], tokens[99], tokens[-1]):
        assert not await is_alive(guest, token)
    left = [row["_id"] for row in await read_stored(models.Login) if row["revoked_at"] is None]
    assert left == ([ada.viewer.login_id] if end is change_password else [])


@pytest.mark.parametrize("end", ENDS)
async def test_they_end_although_what_follows_fails(guest: Context, end: End) -> None:
    # given a moment at which revocations cannot be stored
    ada = await register_account(guest)
    assert ada.viewer is not None
    (token,) = await add_logins(ada.viewer.user_id, 1)
    guest.runtime.accounts.revocations._store = AwayStore()
    try:
        with pytest.raises(UpstreamUnavailable):
            await end(guest, ada)
    finally:
        guest.runtime.accounts.revocations._store = models.RevocationStore()
    # then the refresh tokens have ended all the same
    assert not await is_alive(guest, token)


async def test_what_failed_half_way_is_complete_after_another_attempt(guest: Context) -> None:
    ada, lost = await register_account(guest), await log_in(guest)
    assert lost.viewer is not None
    revocations = guest.runtime.accounts.revocations
    revocations._store = AwayStore()
    try:
        with pytest.raises(UpstreamUnavailable):
            await sign_out.logout(next_operation(ada), lost.viewer.login_id)
    finally:
        revocations._store = models.RevocationStore()
    await sign_out.logout(next_operation(ada), lost.viewer.login_id)
    assert await models.RevokedAccess.get_pymongo_collection().count_documents(
        {"subject": lost.viewer.login_id}
    ) == 1  # fmt: skip


async def test_all_end_with_one_update_of_the_account_first(
    guest: Context, count_commands: CountCommands
) -> None:
    ada = await register_account(guest)
    assert ada.viewer is not None
    await add_logins(ada.viewer.user_id, 500)
    await count_commands.reset()
    assert await sign_out.logout(next_operation(ada), everywhere=True) == 501
    assert count_commands.mongo == [
        "users.findAndModify",
        "revocations.update",
        "logins.find",
        "logins.update",
        "revocations.update",
        "audit.insert",
    ]


class PausedPasswords(Passwords):
    """Passwords whose check waits, once it is made, until the test goes on."""

    def __init__(self) -> None:
        super().__init__(memory_kib=64, passes=1)
        self.checked, self.go_on = asyncio.Event(), asyncio.Event()

    async def verify(self, stored: str | None, password: str) -> bool:
        matches = await super().verify(stored, password)
        self.checked.set()
        await self.go_on.wait()
        return matches


async def test_a_sign_in_under_way_does_not_outlive_a_reset(guest: Context) -> None:
    # given somebody whose old password was just found right
    await register_account(guest)
    paused = PausedPasswords()
    slow = Context(with_changes(guest.runtime, accounts={"passwords": paused}))
    late = asyncio.create_task(sign_in.login(slow, email=EMAIL, password=PASSWORD))
    await paused.checked.wait()
    # when the owner resets it meanwhile
    await reset(guest, guest)
    paused.go_on.set()
    # then that sign-in fails, and leaves nothing
    with pytest.raises(InvalidCredentials):
        await late
    active = [row for row in await read_stored(models.Login) if row["revoked_at"] is None]
    assert active == []
    paused.close()


async def test_an_account_has_at_most_a_hundred_sign_ins_and_the_oldest_end(
    guest: Context,
) -> None:
    # given as many as there may be
    ada = await register_account(guest)
    assert ada.viewer is not None
    tokens = await add_logins(ada.viewer.user_id, 99)
    clock_of(guest).now += 1
    # when two more sign in
    first = await log_in(guest)
    second = await sign_in.login(next_operation(guest), email=EMAIL, password=PASSWORD)
    # then the two used longest ago have ended, with their access tokens
    assert len(await read_stored(models.Login)) == 100
    assert [await is_alive(guest, token) for token in (*tokens[:2], *tokens[-2:])] == [
        True, True, False, False,
    ]  # fmt: skip
    assert guest.runtime.accounts.revocations.is_login_revoked("login_98")
    # and the others go on
    assert await sign_in_as(guest, second)
    assert len(await sign_out.sessions(next_operation(first))) == 100


async def test_many_who_sign_in_at_once_leave_a_hundred(guest: Context) -> None:
    ada = await register_account(guest)
    assert ada.viewer is not None
    await add_logins(ada.viewer.user_id, 99)
    clock_of(guest).now += 1
    await asyncio.gather(*(log_in(guest) for _ in range(30)))
    stored: list[Any] = await read_stored(models.Login)
    assert len(stored) <= 100
    assert len([row for row in stored if row["last_used_at"] > AT]) == 30


async def test_signing_out_ends_the_token_of_a_session_that_a_restored_database_lacks(
    guest: Context,
) -> None:
    # given somebody whose session is in no backup
    ada = await register_account(guest)
    await models.Login.get_pymongo_collection().delete_many({})
    # when they sign out, then nothing was there to end, and their token ends all the same
    assert await sign_out.logout(next_operation(ada)) == 0
    assert ada.viewer is not None
    assert guest.runtime.accounts.revocations.is_revoked(ada.viewer)
