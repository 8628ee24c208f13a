"""Signing out, changing one's account, and its end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from resolvers.accounts import address_change, mail_tokens, profile, sign_in, sign_out
from resolvers.accounts.authentication import authenticate
from resolvers.context import Browser, Context, Runtime
from resolvers.playback import reports, sessions
from services.errors import (
    Conflict,
    Forbidden,
    InvalidCredentials,
    InvalidToken,
    Unauthenticated,
    ValidationFailed,
)
from services.quality import Quality
from tests.support.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    START,
    clock_of,
    create_key,
    log_in,
    next_operation,
    read_account,
    read_stored,
    register_account,
    send_pending_mails,
    sign_in_as,
)
from tests.support.playback_fixtures import PHONE, film
from workers.erase_accounts import erase_accounts
from workers.flush_progress import flush_progress


def is_revoked(context: Context) -> bool:
    assert context.viewer is not None
    return context.runtime.accounts.revocations.is_revoked(context.viewer)


async def active_login_ids() -> list[str]:
    return [row["_id"] for row in await read_stored(models.Login) if row["revoked_at"] is None]


# ---- sessions


async def test_sessions_are_the_living_sign_ins_last_used_first(guest: Context) -> None:
    # given somebody signed in on a television, later on another device, and one long ago
    ada = await register_account(guest)
    clock_of(guest).now += 60
    tv = models.Device(key="tv-1", name="Living room", kind=models.DeviceKind.TV)
    signed_in = await sign_in.login(
        next_operation(guest), email=EMAIL, password=PASSWORD, device=tv
    )
    on_tv = await sign_in_as(guest, signed_in)
    ended = await log_in(guest)
    await sign_out.logout(ended)
    await register_account(guest, "eve@example.org")
    # when the first device asks, then it sees both, and which it is itself
    assert ada.viewer is not None and on_tv.viewer is not None
    at = datetime.fromtimestamp(START, UTC)
    later = at + timedelta(minutes=1)
    device = models.DeviceRecord(key="tv-1", name="Living room", kind=models.DeviceKind.TV)
    assert await sign_out.sessions(next_operation(ada)) == [
        sign_out.Session(on_tv.viewer.login_id, device, later, later, False),
        sign_out.Session(ada.viewer.login_id, None, at, at, True),
    ]


async def test_sessions_shown_are_bounded(guest: Context) -> None:
    ada = await register_account(guest)
    assert ada.viewer is not None
    template = (await read_stored(models.Login))[0]
    await models.Login.get_pymongo_collection().insert_many(
        {**template, "_id": f"login_{number}", "token_hash": str(number)} for number in range(150)
    )
    assert len(await sign_out.sessions(next_operation(ada))) == 100


async def test_others_sign_ins_do_not_exist(guest: Context) -> None:
    ada, eve = await register_account(guest), await register_account(guest, "eve@example.org")
    assert ada.viewer is not None and eve.viewer is not None
    ids = [ada.viewer.login_id, eve.viewer.login_id, "login_nonsense"]
    assert list(await sign_out.sessions_by_id(next_operation(ada), ids)) == [ada.viewer.login_id]
    assert await sign_out.sessions_by_id(next_operation(guest), ids) == {}
    # nor can they be ended
    assert await sign_out.logout(next_operation(ada), eve.viewer.login_id) == 0
    assert len(await active_login_ids()) == 2
    assert not is_revoked(eve)


async def test_signing_out_ends_this_sign_in_and_no_other(guest: Context) -> None:
    # given somebody signed in twice
    signed_in = await sign_in.register(guest, email=EMAIL, password=PASSWORD, display_name="Ada")
    assert signed_in is not None
    first, second = await sign_in_as(guest, signed_in), await log_in(guest)
    assert second.viewer is not None
    # when one signs out
    assert await sign_out.logout(next_operation(first)) == 1
    # then its tokens are refused, and the other goes on
    assert is_revoked(first) and not is_revoked(second)
    with pytest.raises(InvalidToken):
        await sign_in.refresh_tokens(next_operation(guest), signed_in.tokens.refresh_token)
    assert await active_login_ids() == [second.viewer.login_id]
    # and doing it again ends nothing
    assert await sign_out.logout(next_operation(first)) == 0


async def test_one_device_may_sign_another_out(guest: Context) -> None:
    ada, lost = await register_account(guest), await log_in(guest)
    assert lost.viewer is not None
    assert await sign_out.logout(next_operation(ada), lost.viewer.login_id) == 1
    assert is_revoked(lost) and not is_revoked(ada)


async def test_signing_out_everywhere_ends_all_and_nobody_elses(guest: Context) -> None:
    ada, eve = await register_account(guest), await register_account(guest, "eve@example.org")
    others = [await log_in(guest) for _ in range(3)]
    assert eve.viewer is not None
    assert await sign_out.logout(next_operation(ada), everywhere=True) == 4
    assert [is_revoked(one) for one in (ada, *others, eve)] == [True] * 4 + [False]
    assert await active_login_ids() == [eve.viewer.login_id]
    # and one may come back at once
    assert not is_revoked(await log_in(guest))


async def test_one_and_all_at_once_is_a_mistake(guest: Context) -> None:
    ada = await register_account(guest)
    with pytest.raises(ValidationFailed):
        await sign_out.logout(next_operation(ada), "login_1", everywhere=True)
    assert len(await active_login_ids()) == 1


async def test_a_browser_forgets_its_cookies_when_it_signs_itself_out(guest: Context) -> None:
    ada, other = await register_account(guest), await log_in(guest)
    assert other.viewer is not None
    browser = Browser("token")
    await sign_out.logout(next_operation(ada, browser=browser), other.viewer.login_id)
    assert not browser.forgets
    await sign_out.logout(next_operation(ada, browser=browser))
    assert browser.forgets


async def test_nobody_has_no_sessions_to_end(guest: Context) -> None:
    for call in (sign_out.logout(next_operation(guest)), sign_out.sessions(next_operation(guest))):
        with pytest.raises(Unauthenticated):
            await call


# ---- name and preferences


async def test_what_is_given_changes_and_the_rest_stays(guest: Context) -> None:
    ada = await register_account(guest)
    before = await read_account()
    user = await profile.update_profile(
        next_operation(ada),
        {
            "display_name": " Countess ",
            "audio_languages": ["de", "en", "de"],
            "max_quality": Quality.P720,
            "autoplay_next": False,
        },
    )
    assert user.display_name == "Countess"
    assert user.preferences == models.PreferencesRecord(
        audio_languages=["de", "en"], max_quality=Quality.P720, autoplay_next=False
    )
    after = await read_account()
    assert after == {
        **before,
        "display_name": "Countess",
        "preferences": {
            "language": "en",
            "audio_languages": ["de", "en"],
            "subtitle_languages": [],
            "max_quality": "P720",
            "autoplay_next": False,
        },
        "version": 2,
        "updated_at": after["updated_at"],
    }
    # and null goes back to the default
    empty = dict.fromkeys(("language", "audio_languages", "max_quality", "autoplay_next"))
    user = await profile.update_profile(next_operation(ada), empty)
    assert user.preferences == models.PreferencesRecord()


async def test_an_account_of_before_has_the_default_preferences(guest: Context) -> None:
    ada = await register_account(guest)
    await models.User.get_pymongo_collection().update_one({}, {"$unset": {"preferences": 1}})
    user = await profile.update_profile(next_operation(ada), {"language": "de"})
    assert user.preferences == models.PreferencesRecord(language="de")


@pytest.mark.parametrize(
    "changes",
    [
        {"display_name": None},
        {"display_name": ""},
        {"display_name": "Ada\nAdmin"},
        {"audio_languages": [f"x{number:02}" for number in range(21)]},
    ],
)
async def test_an_unfit_change_changes_nothing(guest: Context, changes: dict[str, Any]) -> None:
    ada = await register_account(guest)
    before = await read_account()
    with pytest.raises(ValidationFailed):
        await profile.update_profile(next_operation(ada), {"language": "de", **changes})
    assert await read_account() == before


async def test_nothing_given_changes_nothing(guest: Context) -> None:
    ada = await register_account(guest)
    before = await read_account()
    assert (await profile.update_profile(next_operation(ada), {})).display_name == "Ada"
    assert await read_account() == before


# ---- the password


async def test_a_changed_password_ends_all_other_sign_ins(guest: Context) -> None:
    # given somebody signed in twice, who had asked for a reset
    ada, elsewhere = await register_account(guest), await log_in(guest)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    (code,) = (await send_pending_mails(guest)).codes
    # when the password is changed on one device
    await profile.change_password(next_operation(ada), PASSWORD, NEW_PASSWORD)
    # then that one goes on, the other does not
    assert not is_revoked(ada) and is_revoked(elsewhere)
    assert ada.viewer is not None and await active_login_ids() == [ada.viewer.login_id]
    # and only the new password opens it, the reset code is void, and the owner is told
    with pytest.raises(InvalidCredentials):
        await log_in(guest)
    assert (await log_in(guest, password=NEW_PASSWORD)).viewer
    with pytest.raises(InvalidToken):
        await mail_tokens.reset_password(next_operation(guest), code, PASSWORD)
    assert (await send_pending_mails(guest)).subjects[-1] == f"{EMAIL}: Your password was changed"


@pytest.mark.parametrize(
    ("current", "new", "error", "path"),
    [
        ("wrong horse battery", NEW_PASSWORD, InvalidCredentials, ["currentPassword"]),
        ("", NEW_PASSWORD, InvalidCredentials, ["currentPassword"]),
        (PASSWORD, "short", ValidationFailed, ["newPassword"]),
        (PASSWORD, "password1234", ValidationFailed, ["newPassword"]),
        (PASSWORD, "lamp zebra " * 120, ValidationFailed, ["newPassword"]),
    ],
)
async def test_a_password_that_does_not_change_ends_nothing(
    guest: Context, current: str, new: str, error: type[Exception], path: list[str]
) -> None:
    ada, elsewhere = await register_account(guest), await log_in(guest)
    before = await read_account(), await read_stored(models.Login)
    with pytest.raises(error) as refused:
        await profile.change_password(next_operation(ada), current, new)
    assert refused.value.path == path  # type: ignore[attr-defined]
    assert (await read_account(), await read_stored(models.Login)) == before
    assert not is_revoked(elsewhere)
    assert await read_stored(models.MailRequest) == []


async def test_of_two_racing_changes_one_stands(guest: Context) -> None:
    ada, other = await register_account(guest), await log_in(guest)
    answers = await asyncio.gather(
        profile.change_password(next_operation(ada), PASSWORD, NEW_PASSWORD),
        profile.change_password(next_operation(other), PASSWORD, "another zebra lamp"),
        return_exceptions=True,
    )
    kinds = {type(answer) for answer in answers}
    assert kinds <= {type(None), Conflict, InvalidCredentials}
    assert [answer is None for answer in answers].count(True) == 1


# ---- the end


async def watched(context: Context) -> None:
    """Leaves a trace everywhere: progress, a viewing, a watchlist entry, a key, a job."""
    assert context.viewer is not None
    playable = await film()
    started = await sessions.start_playback(context, playable, PHONE)
    await reports.report_progress(next_operation(context), started.session.id, 1, 120.0)
    clock_of(context).now += 60
    await reports.report_progress(next_operation(context), started.session.id, 2, 180.0)
    await flush_progress(context.runtime)
    at = datetime.fromtimestamp(START, UTC)
    await models.add_to_watchlist(context.viewer.user_id, playable, at, 10)
    await create_key(context)
    job = models.Job(id="job_1", kind="x", created_by=context.viewer.user_id, heartbeat_at=at)
    await job.insert()
    repair = models.ProgressRepair(
        id="progress_1", user_id=context.viewer.user_id, playable_id=playable
    )
    await repair.insert()


async def traces(user_id: str, runtime: Runtime, email: str = EMAIL) -> set[str]:
    """Where anything names this person."""
    counts = {
        document.get_collection_name()
        for document in models.DOCUMENTS
        if any(user_id in repr(row) or email in repr(row) for row in await read_stored(document))
    }
    keys: Any = await runtime.state_redis.keys("*")
    for key in keys:
        if user_id.encode() in key:
            counts.add(key.decode())
    return counts


async def delete(context: Context) -> str:
    """Deletes the account; tells its id. The mail about it is out."""
    assert context.viewer is not None
    await profile.delete_account(next_operation(context), PASSWORD)
    await send_pending_mails(context)
    return context.viewer.user_id


async def test_a_deleted_account_is_nobodys_at_once(guest: Context) -> None:
    # given somebody signed in twice, with a key
    ada, elsewhere = await register_account(guest), await log_in(guest)
    key = (await create_key(ada)).secret
    # when the account is deleted, and before anything is erased
    await profile.delete_account(
        next_operation(ada, browser=(browser := Browser("token"))), PASSWORD
    )
    # then no token, key, password or code opens it
    assert is_revoked(ada) and is_revoked(elsewhere)
    assert browser.forgets
    with pytest.raises(InvalidToken):
        await authenticate(guest.runtime, f"Bearer {key}")
    with pytest.raises(InvalidCredentials):
        await log_in(guest)
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    assert (await send_pending_mails(guest)).subjects == [f"{EMAIL}: Your account was deleted"]
    assert await sign_in.viewer(next_operation(ada)) is None
    # and nothing personal is in what is left of it
    remaining = await read_account()
    assert (remaining["email"], remaining["display_name"], remaining["password_hash"]) == (
        f"{remaining['_id']}@deleted.invalid",
        "",
        "",
    )
    # and the address is free for somebody else
    assert (await register_account(guest)).viewer != ada.viewer


async def test_everything_about_the_person_is_erased(guest: Context) -> None:
    # given two people who left traces everywhere
    ada = await register_account(guest)
    await watched(ada)
    eve = await register_account(guest, "eve@example.org")
    assert eve.viewer is not None
    await models.WatchlistEntry(
        id="entry_1", user_id=eve.viewer.user_id, title_id="movie_1", added_at=datetime.now(UTC)
    ).insert()
    assert ada.viewer is not None
    assert {each.name for each in models.PERSONAL_DATA} - await traces(
        ada.viewer.user_id, guest.runtime
    ) == {"mail_requests", "mail_tokens", "revocations"}
    await mail_tokens.request_password_reset(next_operation(guest), EMAIL)
    await send_pending_mails(guest)
    await address_change.request_email_change(next_operation(ada), "a@b.example", PASSWORD)
    of_eve = await traces(eve.viewer.user_id, guest.runtime, "eve@example.org")
    # when one deletes the account and the worker comes by
    user_id = await delete(ada)
    await erase_accounts(guest.runtime)
    # then nothing is left but the mark, and what refuses the tokens of the account
    assert await traces(user_id, guest.runtime) == {"users", "revocations", "audit"}
    assert (await read_stored(models.Job))[0]["created_by"] is None
    # and nothing of the other person is gone
    assert await traces(eve.viewer.user_id, guest.runtime, "eve@example.org") == of_eve


async def test_what_was_still_under_way_is_erased_too(guest: Context) -> None:
    # given reports that have not been flushed when the account is deleted
    ada = await register_account(guest)
    playable = await film()
    started = await sessions.start_playback(ada, playable, PHONE)
    await reports.report_progress(next_operation(ada), started.session.id, 1, 120.0)
    user_id = await delete(ada)
    await erase_accounts(guest.runtime)
    # when they are flushed afterwards
    await flush_progress(guest.runtime)
    assert "viewing_progress" in await traces(user_id, guest.runtime)
    # then the worker erases them when it comes again
    clock_of(guest).now += 61
    await erase_accounts(guest.runtime)
    assert await traces(user_id, guest.runtime) == {"users", "revocations", "audit"}


async def test_the_mark_goes_when_nothing_can_come_back(guest: Context) -> None:
    user_id = await delete(await register_account(guest))
    for _ in range(200):
        await erase_accounts(guest.runtime)
        if not await read_stored(models.User):
            break
        clock_of(guest).now += 60
    assert 7200 <= clock_of(guest).now - START <= 3 * 3600
    assert await traces(user_id, guest.runtime) == {"revocations", "audit"}


async def test_an_erasure_that_was_interrupted_goes_on(guest: Context) -> None:
    # given a worker that took the account and died
    ada = await register_account(guest)
    await watched(ada)
    user_id = await delete(ada)
    at = datetime.fromtimestamp(clock_of(guest).now, UTC)
    assert await models.take_deleted_user(at, timedelta(seconds=60))
    await erase_accounts(guest.runtime)
    assert "watchlist" in await traces(user_id, guest.runtime)
    # when its time is over, then another does it
    clock_of(guest).now += 61
    await erase_accounts(guest.runtime)
    assert await traces(user_id, guest.runtime) == {"users", "revocations", "audit"}


@pytest.mark.parametrize("password", ["", "wrong horse battery"])
async def test_without_the_password_nothing_is_deleted(guest: Context, password: str) -> None:
    ada = await register_account(guest)
    before = await read_account(), await read_stored(models.Login)
    with pytest.raises(InvalidCredentials):
        await profile.delete_account(next_operation(ada), password)
    assert (await read_account(), await read_stored(models.Login)) == before
    assert not is_revoked(ada)


async def test_deleting_needs_somebody_signed_in_by_password(guest: Context) -> None:
    ada = await register_account(guest)
    secret = (await create_key(ada)).secret
    program = next_operation(guest, viewer=await authenticate(guest.runtime, f"Bearer {secret}"))
    before = await read_account()
    for context, error in ((program, Forbidden), (guest, Unauthenticated)):
        for call in (
            profile.delete_account(next_operation(context), PASSWORD),
            profile.change_password(next_operation(context), PASSWORD, NEW_PASSWORD),
            profile.update_profile(next_operation(context), {"language": "de"}),
            sign_out.logout(next_operation(context), everywhere=True),
            create_key(context),
        ):
            with pytest.raises(error):
                await call
    assert await read_account() == before
    assert len(await active_login_ids()) == len(await read_stored(models.ApiKey)) == 1
