"""One person's data: handed out whole and without secrets, deleted, and a role changed."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

import models
from models import AuditEvent
from resolvers import audit
from resolvers.accounts import mail_tokens, personal_data, sign_in
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context
from resolvers.playback import reports, sessions
from services.errors import InvalidCredentials, InvalidToken, NotFound, ValidationFailed
from tests.support.accounts import (
    EMAIL,
    PASSWORD,
    START,
    bearer,
    clock_of,
    create_key,
    log_in,
    next_operation,
    read_account,
    read_stored,
    register_account,
    send_pending_mails,
)
from tests.support.playback_fixtures import PHONE, film
from workers.erase_accounts import erase_accounts
from workers.flush_progress import flush_progress

EVE = "eve@example.org"


async def watched(context: Context) -> str:
    """Leaves traces wherever there are; the film has progress that is flushed, and then more."""
    assert context.viewer is not None
    playable = await film()
    started = await sessions.start_playback(context, playable, PHONE)
    await reports.report_progress(next_operation(context), started.session.id, 1, 120.0)
    await flush_progress(context.runtime)
    at = datetime.fromtimestamp(START, UTC)
    await models.add_to_watchlist(context.viewer.user_id, playable, at, 10)
    clock_of(context).now += 10
    await reports.report_progress(next_operation(context), started.session.id, 2, 130.0)
    return playable


def text_of(value: object) -> str:
    return orjson.dumps(value, default=str).decode()


async def test_an_export_has_all_of_one_person_and_nothing_of_another(guest: Context) -> None:
    # given two people, one of whom watched a film, and has a key
    eve = await register_account(guest, EVE)
    ada = await register_account(guest)
    playable = await watched(ada)
    await create_key(ada)
    await audit.record(next_operation(ada), AuditEvent.PASSWORD_CHANGED)
    assert ada.viewer is not None and eve.viewer is not None
    # when her data are asked for
    exported = await personal_data.export(guest, " Ada@Example.org ")
    # then each kind that is kept is there
    kinds = {name for name, rows in exported["collections"].items() if rows}
    assert kinds >= {"users", "logins", "api_keys", "viewing_progress", "watchlist", "audit"}
    assert set(exported["collections"]) == {each.name for each in models.PERSONAL_DATA}
    assert exported["format"] == "marquee-personal-data-1"
    assert exported["account"] == ada.viewer.user_id
    assert exported["cut_short"] == []
    assert exported["collections"]["users"][0]["email"] == EMAIL
    assert exported["collections"]["viewing_progress"][0]["position_seconds"] == 120.0
    # with what MongoDB does not have yet
    (on_its_way,) = exported["progress_not_yet_stored"]
    assert (on_its_way["playable_id"], on_its_way["position_seconds"]) == (playable, 130.0)
    # and nothing of the other person
    assert eve.viewer.user_id not in text_of(exported)
    assert EVE not in text_of(exported)


async def test_an_export_holds_no_secret(guest: Context) -> None:
    # given somebody with a password, a sign-in, a key and a code by mail
    ada = await register_account(guest)
    key = await create_key(ada)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    await send_pending_mails(guest)
    hashes = [
        (await read_stored(models.Login))[0]["token_hash"],
        (await read_stored(models.ApiKey))[0]["secret_hash"],
        (await read_stored(models.MailToken))[0]["token_hash"],
        (await read_account())["password_hash"],
    ]
    # when the data are asked for
    text = text_of(await personal_data.export(guest, EMAIL))
    # then none of these is in them
    assert [secret for secret in [*hashes, key.secret, PASSWORD] if secret in text] == []
    assert "$argon2" not in text


async def test_an_export_is_in_the_audit_log(guest: Context) -> None:
    ada = await register_account(guest)
    await personal_data.export(guest, EMAIL)
    assert ada.viewer is not None
    exported = AuditEvent.ACCOUNT_EXPORTED
    [entry] = [each for each in await models.audit_entries(100) if each.event is exported]
    assert (entry.actor, entry.subject) == (None, ada.viewer.user_id)
    assert entry.facts == {"by": "command line"}


@pytest.mark.parametrize("email,error", [(EVE, NotFound), ("no address", ValidationFailed)])
async def test_nothing_is_handed_out_of_nobody(
    guest: Context, email: str, error: type[Exception]
) -> None:
    await register_account(guest)
    await models.AuditEntry.get_pymongo_collection().delete_many({})
    for act in (personal_data.export, personal_data.delete):
        with pytest.raises(error):
            await act(guest, email)
    with pytest.raises(error):
        await personal_data.change_role(guest, email, models.Role.ADMIN)
    assert await models.audit_entries(10) == []
    assert (await read_account())["role"] == "USER"


async def test_a_deleted_account_is_closed_and_erased_and_its_owner_mailed(guest: Context) -> None:
    # given somebody signed in, with a key
    ada = await register_account(guest)
    await watched(ada)
    key = (await create_key(ada)).secret
    # when an operator deletes the account
    user_id = await personal_data.delete(guest, EMAIL)
    # then nothing opens it any more, and the person is told
    with pytest.raises(InvalidCredentials):
        await log_in(guest)
    with pytest.raises(InvalidToken):
        await authenticate(guest.runtime, f"Bearer {key}")
    assert ada.viewer is not None
    assert guest.runtime.accounts.revocations.is_revoked(ada.viewer)
    assert (await send_pending_mails(guest)).subjects == [f"{EMAIL}: Your account was deleted"]
    # and the data go when the worker comes by
    await flush_progress(guest.runtime)
    await erase_accounts(guest.runtime)
    assert await read_stored(models.ViewingProgress) == []
    assert await read_stored(models.WatchlistEntry) == []
    assert (await read_account())["email"] == f"{user_id}@deleted.invalid"
    # while the log says who was deleted, by whom
    entries = [
        (entry.event, entry.subject, entry.facts) for entry in await models.audit_entries(100)
    ]
    assert (AuditEvent.ACCOUNT_DELETED, user_id, {"by": "command line"}) in entries


async def test_a_changed_role_ends_the_sign_ins_with_the_old_one(guest: Context) -> None:
    # given an account that is signed in
    ada = await register_account(guest)
    # when it is made an operator's
    user_id = await personal_data.change_role(guest, EMAIL, models.Role.OPERATOR)
    # then its tokens are void, and the next sign-in has the right
    assert ada.viewer is not None
    assert guest.runtime.accounts.revocations.is_revoked(ada.viewer)
    clock_of(guest).now += 5
    signed_in = await sign_in.login(next_operation(guest), email=EMAIL, password=PASSWORD)
    viewer = await authenticate(guest.runtime, bearer(signed_in))
    assert viewer is not None and viewer.role is models.Role.OPERATOR
    # and the log says so
    entries = [
        (entry.event, entry.subject, entry.facts) for entry in await models.audit_entries(100)
    ]
    facts = {"role": "OPERATOR", "by": "command line"}
    assert (AuditEvent.ROLE_CHANGED, user_id, facts) in entries


async def test_nobodys_role_is_given_to_nobody(guest: Context) -> None:
    await register_account(guest)
    with pytest.raises(ValidationFailed):
        await personal_data.change_role(guest, EMAIL, models.Role.ANONYMOUS)
    assert (await read_account())["role"] == "USER"
