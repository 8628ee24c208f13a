from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher

import models
from resolvers.accounts import sign_in
from resolvers.accounts.authentication import authenticate
from resolvers.accounts.sign_in import SignInResult
from resolvers.catalog.imports import demo_users
from resolvers.context import Context, Runtime, Viewer
from services.accounts.passwords import Passwords
from services.accounts.tokens import RefreshToken
from services.errors import (
    AlreadyExists,
    ErrorCode,
    InvalidCredentials,
    InvalidToken,
    RateLimited,
    TokenReused,
    ValidationFailed,
)
from services.settings.settings import Environment
from tests.conftest import CountCommands
from tests.support.clock import Clock
from tests.support.runtimes import with_changes

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"
START = 1_800_000_000.0


@pytest.fixture
async def cheap(runtime: Runtime, clock: Clock) -> AsyncIterator[Runtime]:
    """The runtime with the test's clock and with passwords that cost little."""
    passwords = Passwords(memory_kib=64, passes=1)
    yield with_changes(runtime, clock=clock, accounts={"passwords": passwords})
    passwords.close()


@pytest.fixture
def guest(cheap: Runtime) -> Context:
    return Context(cheap, user_agent="Firefox on a laptop")


def again(context: Context, **changes: Any) -> Context:
    """Another operation of the same client."""
    return dataclasses.replace(context.for_event(), **changes)


async def ada(context: Context) -> SignInResult:
    signed_in = await sign_in.register(context, email=EMAIL, password=PASSWORD, display_name="Ada")
    assert signed_in is not None
    return signed_in


async def stored(document: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await document.get_pymongo_collection().find({}).to_list(None)
    return rows


async def everything() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return await stored(models.User), await stored(models.Login)


# ---- registering


async def test_registering_makes_an_account_and_signs_it_in(guest: Context) -> None:
    # when somebody registers with an untidy address and name
    signed_in = await sign_in.register(
        guest,
        email="  Ada@EXAMPLE.org ",
        password=PASSWORD,
        display_name="  Ada Lovelace ",
        device=models.Device(key="tv-1", name="Living room", kind=models.DeviceKind.TV),
    )
    assert signed_in is not None
    # then the account has the least rights, and the password is nowhere
    (user,), (login,) = await everything()
    assert user["password_hash"].startswith("$argon2id$")
    assert {**user, "password_hash": None} == {
        "_id": signed_in.viewer.id,
        "version": 1,
        "schema_version": 1,
        "created_at": datetime.fromtimestamp(START, UTC),
        "updated_at": datetime.fromtimestamp(START, UTC),
        "email": EMAIL,
        "email_verified": False,
        "password_hash": None,
        "display_name": "Ada Lovelace",
        "role": "USER",
        "tier": "FREE",
        "preferences": {
            "language": "en",
            "audio_languages": [],
            "subtitle_languages": [],
            "max_quality": None,
            "autoplay_next": True,
        },
        "session_epoch": 0,
        "key_epoch": 0,
        "second_factor": None,
        "second_factor_at": None,
        "deleted_at": None,
        "erase_at": None,
    }
    assert PASSWORD not in repr(user) + repr(login)
    # and one login holds the hash of its refresh token, not the token
    token = signed_in.tokens.refresh_token
    assert login["token_hash"] == RefreshToken.parse(token).hash
    assert login["device"] == {"key": "tv-1", "name": "Living room", "kind": "TV"}
    assert login["user_id"] == user["_id"]
    assert login["expires_at"] == datetime.fromtimestamp(START, UTC) + timedelta(days=30)
    assert token not in repr(login)
    # and the answer is the viewer with tokens that work
    assert signed_in.viewer.email == EMAIL
    assert signed_in.viewer.display_name == "Ada Lovelace"
    assert signed_in.tokens.expires_in_seconds == 900
    viewer = await authenticate(guest.runtime, f"Bearer {signed_in.tokens.access_token}")
    assert viewer == Viewer(user["_id"], models.Role.USER, models.AccountTier.FREE, login["_id"])


@pytest.mark.parametrize("address", [EMAIL, "ADA@Example.ORG", " ada@example.org"])
async def test_an_address_has_one_account(guest: Context, address: str) -> None:
    await ada(guest)
    before = await everything()
    with pytest.raises(AlreadyExists) as refused:
        await sign_in.register(
            again(guest), email=address, password="another velvet cactus", display_name="Eve"
        )
    assert refused.value.path == ["email"]
    assert await everything() == before


async def test_of_ten_racing_registrations_one_wins(guest: Context) -> None:
    answers = await asyncio.gather(*(ada(again(guest)) for _ in range(10)), return_exceptions=True)
    users, logins = await everything()
    assert sum(isinstance(answer, SignInResult) for answer in answers) == 1
    assert sum(isinstance(answer, AlreadyExists) for answer in answers) == 9
    assert (len(users), len(logins)) == (1, 1)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"email": "ada"}, ["email"]),
        ({"email": "ada@nowhere"}, ["email"]),
        ({"password": "x" * 11}, ["password"]),
        ({"password": "x" * 1025}, ["password"]),
        ({"password": "a zebra " * 129}, ["password"]),
        ({"password": "P@ssw0rd2026!"}, ["password"]),
        ({"password": "ada@example.org 1"}, ["password"]),
        ({"password": "\ud800" * 12}, ["password"]),
        ({"display_name": ""}, ["displayName"]),
        ({"display_name": "   "}, ["displayName"]),
        ({"display_name": "x" * 81}, ["displayName"]),
        ({"display_name": "x" * 100_000}, ["displayName"]),
        ({"display_name": "Ada\nAdmin"}, ["displayName"]),
        ({"display_name": "Ada\0"}, ["displayName"]),
        ({"display_name": "\ud800"}, ["displayName"]),
        ({"device": models.Device(key="")}, ["device", "key"]),
        ({"device": models.Device(key="x" * 129)}, ["device", "key"]),
        ({"device": models.Device(key="k", name="x" * 81)}, ["device", "name"]),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_an_unacceptable_registration_changes_nothing(
    guest: Context, change: dict[str, Any], path: list[str]
) -> None:
    fields: dict[str, Any] = {"email": EMAIL, "password": PASSWORD, "display_name": "Ada"}
    with pytest.raises(ValidationFailed) as refused:
        await sign_in.register(guest, **{**fields, **change})
    assert refused.value.path == path
    assert await everything() == ([], [])


async def test_the_limits_themselves_are_accepted(guest: Context) -> None:
    signed_in = await sign_in.register(
        guest,
        email=EMAIL,
        password="vex1 lampuso",
        display_name="é" * 80,
        device=models.Device(key="k" * 128, name="n" * 80),
    )
    assert signed_in is not None
    assert signed_in.viewer.display_name == "é" * 80


# ---- signing in


async def test_signing_in_opens_another_login(guest: Context) -> None:
    first = await ada(guest)
    second = await sign_in.login(again(guest), email="ADA@example.org", password=PASSWORD)
    users, logins = await everything()
    assert second.viewer == first.viewer
    assert second.tokens.refresh_token != first.tokens.refresh_token
    assert len(users) == 1
    assert {login["user_id"] for login in logins} == {first.viewer.id}
    assert len(logins) == 2


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(
    guest: Context, count_commands: CountCommands
) -> None:
    # given one account
    await ada(guest)
    before = await everything()
    answers = []
    # when a wrong password and an unknown address are tried
    for email, password in ((EMAIL, "wrong horse battery"), ("eve@example.org", PASSWORD)):
        await count_commands.reset()
        with pytest.raises(InvalidCredentials) as refused:
            await sign_in.login(again(guest), email=email, password=password)
        error = refused.value
        answers.append(
            (error.code, error.message, error.path, error.retry_after_seconds, count_commands.mongo)
        )
    # then nothing in the answers, or in what was asked of the database, differs
    assert answers[0] == answers[1]
    assert answers[0] == (
        ErrorCode.INVALID_CREDENTIALS,
        "Wrong email address or password.",
        None,
        None,
        ["users.find", "audit.insert"],
    )
    assert await everything() == before


@pytest.mark.parametrize("password", ["", PASSWORD.upper(), PASSWORD + " ", PASSWORD[:-1]])
async def test_almost_the_password_is_a_wrong_one(guest: Context, password: str) -> None:
    await ada(guest)
    with pytest.raises(InvalidCredentials):
        await sign_in.login(again(guest), email=EMAIL, password=password)
    assert len(await stored(models.Login)) == 1


async def test_an_endless_password_is_refused_before_it_is_hashed(guest: Context) -> None:
    with pytest.raises(ValidationFailed):
        await sign_in.login(guest, email=EMAIL, password="x" * 1025)


async def test_a_hash_of_older_costs_is_renewed_at_the_next_sign_in(guest: Context) -> None:
    # given an account whose hash was made at other costs
    signed_in = await ada(guest)
    older = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash(PASSWORD)
    users = models.User.get_pymongo_collection()
    await users.update_one({"_id": signed_in.viewer.id}, {"$set": {"password_hash": older}})
    # when a wrong password is tried, then nothing changes
    with pytest.raises(InvalidCredentials):
        await sign_in.login(again(guest), email=EMAIL, password="wrong horse battery")
    assert (await stored(models.User))[0]["password_hash"] == older
    # when the owner signs in, then the hash is of today's costs and of the same password
    await sign_in.login(again(guest), email=EMAIL, password=PASSWORD)
    (user,) = await stored(models.User)
    assert "$m=64,t=1,p=1$" in user["password_hash"]
    assert user["version"] == 2
    assert await sign_in.login(again(guest), email=EMAIL, password=PASSWORD)


async def test_a_crowd_of_sign_ins_is_refused_with_a_retry_delay(cheap: Runtime) -> None:
    passwords = Passwords(memory_kib=64, passes=1, max_waiting=2)
    context = Context(with_changes(cheap, accounts={"passwords": passwords}))
    answers = await asyncio.gather(
        *(sign_in.login(again(context), email=EMAIL, password=PASSWORD) for _ in range(12)),
        return_exceptions=True,
    )
    passwords.close()
    kinds = {type(answer) for answer in answers}
    assert kinds <= {RateLimited, InvalidCredentials}
    assert RateLimited in kinds


# ---- staying signed in


async def test_refreshing_gives_new_tokens_for_the_same_login(guest: Context, clock: Clock) -> None:
    # given somebody signed in
    first = await ada(guest)
    clock.now += 3600
    # when the token is used
    second = await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    # then the login lives on under the new token, thirty days from now
    (login,) = await stored(models.Login)
    assert login["token_hash"] == RefreshToken.parse(second.tokens.refresh_token).hash
    assert login["used_hashes"] == [RefreshToken.parse(first.tokens.refresh_token).hash]
    assert login["expires_at"] == datetime.fromtimestamp(clock.now, UTC) + timedelta(days=30)
    assert login["version"] == 2
    assert second.tokens.refresh_token not in repr(login)
    assert second.viewer == first.viewer
    viewer = await authenticate(guest.runtime, f"Bearer {second.tokens.access_token}")
    assert viewer is not None and viewer.login_id == login["_id"]


async def test_refreshing_costs_two_reads_and_one_write(
    guest: Context, count_commands: CountCommands
) -> None:
    first = await ada(guest)
    await count_commands.reset()
    await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    assert count_commands.mongo == ["logins.find", "users.find", "logins.findAndModify"]


async def test_new_rights_arrive_with_the_next_refresh(guest: Context) -> None:
    first = await ada(guest)
    users = models.User.get_pymongo_collection()
    await users.update_one({"_id": first.viewer.id}, {"$set": {"role": "EDITOR", "tier": "API"}})
    second = await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    viewer = await authenticate(guest.runtime, f"Bearer {second.tokens.access_token}")
    assert viewer is not None
    assert (viewer.role, viewer.tier) == (models.Role.EDITOR, models.AccountTier.API)


async def test_ten_racing_refreshes_give_one_session(guest: Context) -> None:
    # given somebody signed in, with many tabs
    first = await ada(guest)
    # when all of them refresh at once
    answers = await asyncio.gather(
        *(sign_in.refresh_tokens(again(guest), first.tokens.refresh_token) for _ in range(10))
    )
    # then all have the same next token, of the one login, rotated once
    (login,) = await stored(models.Login)
    successors = {answer.tokens.refresh_token for answer in answers}
    assert len(successors) == 1
    assert login["token_hash"] == RefreshToken.parse(successors.pop()).hash
    assert len(login["used_hashes"]) == 1
    assert login["version"] == 2
    assert login["revoked_at"] is None


async def test_a_lost_answer_is_given_again_for_ten_seconds(guest: Context, clock: Clock) -> None:
    first = await ada(guest)
    second = await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    before = await everything()
    clock.now += 10
    repeated = await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    assert repeated.tokens.refresh_token == second.tokens.refresh_token
    assert await everything() == before


async def reuse(context: Context, used: SignInResult) -> None:
    """Presents a used token and proves that it ended its login."""
    (before,) = await stored(models.Login)
    with pytest.raises(TokenReused):
        await sign_in.refresh_tokens(context, used.tokens.refresh_token)
    (login,) = await stored(models.Login)
    assert login["revoked_at"] is not None
    assert login["token_hash"] == before["token_hash"]
    assert login["sealed_successor"] is None


async def test_a_used_token_after_ten_seconds_ends_its_login(guest: Context, clock: Clock) -> None:
    first = await ada(guest)
    second = await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    clock.now += 10.5
    await reuse(again(guest), first)
    # and the living token died with it, for thief and owner alike
    for token in (second.tokens.refresh_token, first.tokens.refresh_token):
        with pytest.raises(InvalidToken):
            await sign_in.refresh_tokens(again(guest), token)


async def test_a_used_token_from_another_browser_ends_its_login(guest: Context) -> None:
    first = await ada(guest)
    await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    await reuse(again(guest, user_agent="curl/8"), first)


async def test_a_token_used_two_turns_ago_ends_its_login(guest: Context) -> None:
    first = await ada(guest)
    second = await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    await sign_in.refresh_tokens(again(guest), second.tokens.refresh_token)
    await reuse(again(guest), first)


async def test_a_reused_token_leaves_other_logins_alone(guest: Context, clock: Clock) -> None:
    first = await ada(guest)
    other = await sign_in.login(again(guest), email=EMAIL, password=PASSWORD)
    await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    clock.now += 60
    with pytest.raises(TokenReused):
        await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    assert await sign_in.refresh_tokens(again(guest), other.tokens.refresh_token)


async def test_the_used_tokens_remembered_are_bounded(guest: Context) -> None:
    first = latest = await ada(guest)
    for _ in range(33):
        latest = await sign_in.refresh_tokens(again(guest), latest.tokens.refresh_token)
    (login,) = await stored(models.Login)
    assert len(login["used_hashes"]) == 32
    # a token forgotten is refused like any unknown one
    with pytest.raises(InvalidToken):
        await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    assert await sign_in.refresh_tokens(again(guest), latest.tokens.refresh_token)


async def test_a_refresh_token_ends_when_it_is_not_used(guest: Context, clock: Clock) -> None:
    first = await ada(guest)
    before = await everything()
    clock.now += 30 * 86400
    with pytest.raises(InvalidToken):
        await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    assert await everything() == before


@pytest.mark.parametrize("token", [None, "", "nonsense", "A" * 43, "x" * 100_000])
async def test_an_unknown_refresh_token_is_refused(guest: Context, token: str | None) -> None:
    await ada(guest)
    before = await everything()
    with pytest.raises(InvalidToken):
        await sign_in.refresh_tokens(again(guest), token)
    assert await everything() == before


async def test_an_access_token_is_no_refresh_token_nor_the_reverse(guest: Context) -> None:
    signed_in = await ada(guest)
    with pytest.raises(InvalidToken):
        await sign_in.refresh_tokens(again(guest), signed_in.tokens.access_token)
    with pytest.raises(InvalidToken):
        await authenticate(guest.runtime, f"Bearer {signed_in.tokens.refresh_token}")


async def test_a_deleted_account_refreshes_nothing(guest: Context) -> None:
    first = await ada(guest)
    await models.User.get_pymongo_collection().delete_many({})
    before = await everything()
    with pytest.raises(InvalidToken):
        await sign_in.refresh_tokens(again(guest), first.tokens.refresh_token)
    assert await everything() == before


# ---- who asks


async def test_no_header_is_anonymous(cheap: Runtime) -> None:
    assert await authenticate(cheap, None) is None
    assert await authenticate(cheap, "") is None


async def test_the_scheme_is_read_in_any_case(guest: Context) -> None:
    token = (await ada(guest)).tokens.access_token
    for header in (f"bearer {token}", f"BEARER  {token} "):
        assert await authenticate(guest.runtime, header)


async def test_a_repeated_bearer_asks_no_database(
    guest: Context, count_commands: CountCommands
) -> None:
    header = f"Bearer {(await ada(guest)).tokens.access_token}"
    await count_commands.reset()
    first = await authenticate(guest.runtime, header)
    assert await authenticate(guest.runtime, header) == first
    assert count_commands.mongo == []
    assert await count_commands.redis_commands() == {}


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic YTpi", "nonsense", "Bearer a.b.c"])
async def test_a_header_without_a_token_of_ours_is_refused(cheap: Runtime, header: str) -> None:
    with pytest.raises(InvalidToken):
        await authenticate(cheap, header)


async def test_a_sign_in_ends_in_time_however_often_it_is_refreshed(
    guest: Context, clock: Clock
) -> None:
    # given sign-ins that last for ten days, and refresh tokens for four
    seconds = {"sign_in_seconds": 10 * 86400, "refresh_token_seconds": 4 * 86400}
    settings = guest.runtime.settings.model_copy(update=seconds)
    guest = again(guest, runtime=dataclasses.replace(guest.runtime, settings=settings))
    tokens = (await ada(guest)).tokens
    began_at = clock.now
    # when it is refreshed every three days
    for _ in range(3):
        clock.now += 3 * 86400
        tokens = (await sign_in.refresh_tokens(again(guest), tokens.refresh_token or "")).tokens
    # then each token lives as long as it may, the last one no longer than the sign-in
    (login,) = await stored(models.Login)
    assert login["expires_at"] == datetime.fromtimestamp(began_at + 10 * 86400, UTC)
    # and with the sign-in's end it is over
    clock.now += 86400
    with pytest.raises(InvalidToken):
        await sign_in.refresh_tokens(again(guest), tokens.refresh_token or "")


async def test_an_access_token_ends_in_time(guest: Context, clock: Clock) -> None:
    header = f"Bearer {(await ada(guest)).tokens.access_token}"
    clock.now += 899
    assert await authenticate(guest.runtime, header)
    clock.now += 1
    with pytest.raises(InvalidToken):
        await authenticate(guest.runtime, header)


@pytest.mark.parametrize("claims", [("KING", "FREE"), ("USER", "GOLD"), ("user", "FREE")])
async def test_rights_this_version_does_not_know_are_refused(
    cheap: Runtime, claims: tuple[str, str]
) -> None:
    role, tier = claims
    token = cheap.accounts.access_tokens.issue(
        user_id="user_1", role=role, tier=tier, login_id="login_1", now=START
    )
    with pytest.raises(InvalidToken):
        await authenticate(cheap, f"Bearer {token}")


async def test_the_viewer_is_read_once_and_stored_in_no_shared_cache(
    guest: Context, count_commands: CountCommands
) -> None:
    # given somebody signed in
    signed_in = await ada(guest)
    who = await authenticate(guest.runtime, f"Bearer {signed_in.tokens.access_token}")
    context = again(guest, viewer=who)
    # when an operation asks for the viewer twice
    await count_commands.reset()
    viewers = [await sign_in.viewer(context), await sign_in.viewer(context)]
    # then MongoDB was asked once, and Redis holds nothing
    assert viewers == [signed_in.viewer, signed_in.viewer]
    assert count_commands.mongo == ["users.find"]
    assert await guest.runtime.redis.keys("*") == []
    # and the next operation sees what changed meanwhile
    users = models.User.get_pymongo_collection()
    await users.update_one({}, {"$set": {"display_name": "Countess"}})
    changed = await sign_in.viewer(again(context))
    assert changed is not None and changed.display_name == "Countess"


async def test_nobody_and_the_deleted_have_no_viewer(guest: Context) -> None:
    signed_in = await ada(guest)
    who = await authenticate(guest.runtime, f"Bearer {signed_in.tokens.access_token}")
    await models.User.get_pymongo_collection().delete_many({})
    assert await sign_in.viewer(guest) is None
    assert await sign_in.viewer(again(guest, viewer=who)) is None


# ---- demo users


async def test_demo_users_are_made_once(guest: Context) -> None:
    assert await demo_users.ensure_demo_users(guest) == 4
    before = await everything()
    assert await demo_users.ensure_demo_users(guest) == 0
    assert await everything() == before
    assert {(user["email"], user["role"], user["tier"]) for user in before[0]} == {
        ("viewer@marquee.test", "USER", "FREE"),
        ("premium@marquee.test", "USER", "PREMIUM"),
        ("editor@marquee.test", "EDITOR", "FREE"),
        ("operator@marquee.test", "OPERATOR", "FREE"),
    }
    signed_in = await sign_in.login(
        again(guest), email="operator@marquee.test", password="marquee-demo-password"
    )
    assert signed_in.viewer.role is models.Role.OPERATOR
    assert signed_in.viewer.email_verified is True


async def test_a_missing_demo_user_is_made_anew(guest: Context) -> None:
    await demo_users.ensure_demo_users(guest)
    await models.User.get_pymongo_collection().delete_one({"email": "editor@marquee.test"})
    assert await demo_users.ensure_demo_users(guest) == 1


async def test_two_processes_may_make_demo_users_at_once(guest: Context) -> None:
    counts = await asyncio.gather(*(demo_users.ensure_demo_users(again(guest)) for _ in range(3)))
    assert sum(counts) == 4
    assert len(await stored(models.User)) == 4


async def test_production_has_no_demo_users(cheap: Runtime) -> None:
    production = cheap.settings.model_copy(update={"environment": Environment.PRODUCTION})
    context = Context(dataclasses.replace(cheap, settings=production))
    assert await demo_users.ensure_demo_users(context) == 0
    assert await everything() == ([], [])
    with pytest.raises(ValidationFailed):
        await sign_in.register(context, email="a@marquee.test", password=PASSWORD, display_name="A")
