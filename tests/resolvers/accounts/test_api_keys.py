from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from models import AccountTier, Role
from resolvers.accounts import administration, api_keys
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context, Runtime, Viewer
from services.accounts.secret_codes import ApiKeyText
from services.cache.ttl_cache import TtlCache
from services.errors import (
    Forbidden,
    InvalidCredentials,
    InvalidToken,
    UpstreamUnavailable,
    ValidationFailed,
)
from tests.conftest import CountCommands
from tests.support.accounts import (
    EMAIL,
    PASSWORD,
    START,
    clock_of,
    create_key,
    next_operation,
    open_cheap_runtime,
    read_stored,
    register_account,
)
from tests.support.runtimes import with_changes

READ = frozenset({models.ApiKeyScope.READ})
SOON = datetime.fromtimestamp(START, UTC) + timedelta(hours=1)


@pytest.fixture
async def guest(runtime: Runtime) -> AsyncIterator[Context]:
    """Keys are remembered for a moment that does not pass by itself."""
    async with open_cheap_runtime(runtime) as cheap:
        now = [0.0]
        memory: TtlCache[Any] = TtlCache(fresh_seconds=1, stale_seconds=60, clock=lambda: now[0])
        context = Context(with_changes(cheap, accounts={"api_key_cache": memory}))
        MOMENTS[id(memory)] = now
        yield context
        del MOMENTS[id(memory)]


MOMENTS: dict[int, list[float]] = {}


def pass_seconds(context: Context, seconds: float) -> None:
    MOMENTS[id(context.runtime.accounts.api_key_cache)][0] += seconds
    clock_of(context).now += seconds


async def make(context: Context, expires_at: datetime | None = None) -> api_keys.NewApiKey:
    return await api_keys.create_api_key(
        next_operation(context), "  My script ", PASSWORD, expires_at=expires_at
    )


async def enter(context: Context, secret: str) -> Viewer | None:
    return await authenticate(context.runtime, f"Bearer {secret}")


async def test_a_key_is_shown_once_and_stored_as_a_hash(guest: Context) -> None:
    # when somebody makes a key
    ada = await register_account(guest)
    made = await make(ada, SOON)
    # then it names its prefix, and what is stored does not open anything
    text = ApiKeyText.parse(made.secret)
    assert text is not None and made.secret.startswith(f"marquee_{made.api_key.prefix}_")
    (row,) = await read_stored(models.ApiKey)
    assert row["secret_hash"] == text.hash
    assert made.secret.rpartition("_")[2] not in repr(row)
    # and the owner finds it, by list and by id, as others do not
    eve = await register_account(guest, "eve@example.org")
    assert await api_keys.api_keys(next_operation(ada)) == [made.api_key]
    assert await api_keys.api_keys_by_id(next_operation(ada), [made.api_key.id]) == {
        made.api_key.id: made.api_key
    }
    assert (made.api_key.name, made.api_key.expires_at) == ("My script", SOON)
    for other in (eve, guest):
        assert await api_keys.api_keys_by_id(next_operation(other), [made.api_key.id]) == {}


async def test_a_key_lets_a_program_in_as_a_plain_user(guest: Context) -> None:
    # given the key of an operator
    ada = await register_account(guest)
    await models.User.get_pymongo_collection().update_one({}, {"$set": {"role": "OPERATOR"}})
    made = await make(ada)
    # then it has the rights of a user and the limits of its owner
    viewer = await enter(guest, made.secret)
    assert ada.viewer is not None
    assert viewer == Viewer(
        ada.viewer.user_id, Role.USER, AccountTier.FREE, made.api_key.id, scopes=READ
    )
    # and is neither seen nor changed by itself
    program = next_operation(guest, viewer=viewer)
    assert await api_keys.api_keys_by_id(program, [made.api_key.id]) == {}


async def test_a_key_seen_lately_costs_nothing(
    guest: Context, count_commands: CountCommands
) -> None:
    # given a key
    made = await make(await register_account(guest))
    await count_commands.reset()
    # when it comes a hundred times within a second, then it was read once, and its use noted
    await asyncio.gather(*(enter(guest, made.secret) for _ in range(100)))
    assert count_commands.mongo == ["api_keys.find", "users.find", "api_keys.update"]
    assert await count_commands.redis_commands() == {}
    # and a second later once more, without another note
    pass_seconds(guest, 1)
    await enter(guest, made.secret)
    assert count_commands.mongo[3:] == ["api_keys.find", "users.find"]


async def test_the_last_use_is_noted_to_the_minute(guest: Context) -> None:
    made = await make(await register_account(guest))
    noted = []
    for _ in range(13):
        await enter(guest, made.secret)
        (row,) = await read_stored(models.ApiKey)
        noted.append(row["last_used_at"].timestamp() - START)
        pass_seconds(guest, 10)
    assert noted == [0] * 6 + [60] * 6 + [120]


async def test_a_revoked_key_is_refused_at_once_here(guest: Context) -> None:
    ada = await register_account(guest)
    made, other = await make(ada), await make(ada)
    await enter(guest, made.secret)
    await api_keys.revoke_api_key(next_operation(ada), made.api_key.id)
    with pytest.raises(InvalidToken):
        await enter(guest, made.secret)
    assert await enter(guest, other.secret)
    assert [key.id for key in await api_keys.api_keys(next_operation(ada))] == [other.api_key.id]


async def test_a_revoked_key_is_refused_within_a_second_elsewhere(guest: Context) -> None:
    # given another process that has just seen the key, and hears of nothing
    ada = await register_account(guest)
    made = await make(ada)
    memory: TtlCache[Any] = TtlCache(fresh_seconds=1, stale_seconds=60)
    other = with_changes(guest.runtime, accounts={"api_key_cache": memory})
    assert await authenticate(other, f"Bearer {made.secret}")
    await models.ApiKey.get_pymongo_collection().delete_many({})
    # when a second has passed, then it is refused there too
    began = time.monotonic()
    while time.monotonic() - began < 1.05:
        await asyncio.sleep(0.05)
    with pytest.raises(InvalidToken):
        await authenticate(other, f"Bearer {made.secret}")


async def test_only_the_owner_revokes(guest: Context) -> None:
    ada, eve = await register_account(guest), await register_account(guest, "eve@example.org")
    made = await make(ada)
    for key_id in (made.api_key.id, "apikey_nonsense"):
        await api_keys.revoke_api_key(next_operation(eve), key_id)
    for malformed in ("", "nonsense"):
        with pytest.raises(ValidationFailed):
            await api_keys.revoke_api_key(next_operation(eve), malformed)
    assert await enter(guest, made.secret)


async def test_a_key_ends_in_time(guest: Context) -> None:
    made = await make(await register_account(guest), SOON)
    pass_seconds(guest, 3599)
    assert await enter(guest, made.secret)
    pass_seconds(guest, 1)
    with pytest.raises(InvalidToken):
        await enter(guest, made.secret)


@pytest.mark.parametrize(
    ("name", "expires_at", "path"),
    [
        ("", None, ["name"]),
        ("two\nlines", None, ["name"]),
        ("x" * 81, None, ["name"]),
        ("script", datetime.fromtimestamp(START, UTC), ["expiresAt"]),
        ("script", datetime.fromtimestamp(START - 1, UTC), ["expiresAt"]),
        ("script", datetime.fromtimestamp(START + 366 * 86_400 + 1, UTC), ["expiresAt"]),
        ("script", datetime.max.replace(tzinfo=UTC), ["expiresAt"]),
    ],
)
async def test_an_unfit_key_is_not_made(
    guest: Context, name: str, expires_at: datetime | None, path: list[str]
) -> None:
    ada = await register_account(guest)
    with pytest.raises(ValidationFailed) as refused:
        await api_keys.create_api_key(next_operation(ada), name, PASSWORD, expires_at=expires_at)
    assert refused.value.path == path
    assert await read_stored(models.ApiKey) == []


@pytest.mark.parametrize("before", [0, 15, 20])
async def test_of_forty_in_a_race_exactly_as_many_are_made_as_there_may_be(
    guest: Context, before: int
) -> None:
    # given an account with some keys
    ada = await register_account(guest)
    for _ in range(before):
        await make(ada)
    # when forty more are asked for at once
    answers = await asyncio.gather(*(make(ada) for _ in range(40)), return_exceptions=True)
    # then those there is room for are made, and the others told so
    made = [answer for answer in answers if isinstance(answer, api_keys.NewApiKey)]
    refused = [answer for answer in answers if isinstance(answer, ValidationFailed)]
    assert (len(made), len(refused)) == (20 - before, 20 + before)
    assert len(await read_stored(models.ApiKey)) == 20
    # and with one revoked there is room again, for one
    (newest, *_) = await api_keys.api_keys(next_operation(ada))
    await api_keys.revoke_api_key(next_operation(ada), newest.id)
    await make(ada)
    with pytest.raises(ValidationFailed):
        await make(ada)


async def test_a_key_needs_the_password(guest: Context) -> None:
    # given a sign-in that somebody else took over
    ada = await register_account(guest)
    for wrong in ("", PASSWORD + " ", "wrong horse battery"):
        with pytest.raises(InvalidCredentials) as refused:
            await create_key(ada, wrong)
        assert refused.value.path == ["password"]
    assert await read_stored(models.ApiKey) == []


async def test_a_key_without_an_end_gets_one(guest: Context) -> None:
    made = await make(await register_account(guest))
    assert made.api_key.expires_at == datetime.fromtimestamp(START, UTC) + timedelta(days=366)


@pytest.mark.parametrize("tier", AccountTier)
async def test_a_key_has_the_tier_that_its_account_has_now(
    guest: Context, tier: AccountTier
) -> None:
    ada = await register_account(guest)
    made = await make(ada)
    assert (await enter(guest, made.secret) or ada.viewer).tier is AccountTier.FREE  # type: ignore[union-attr]
    await administration.set_tier(next_operation(guest), EMAIL, tier)
    pass_seconds(guest, 1)
    viewer = await enter(guest, made.secret)
    assert viewer is not None and viewer.tier is tier


async def test_a_key_made_while_the_password_was_reset_opens_nothing(guest: Context) -> None:
    # given a key stored after the reset by somebody whose old password was right before it
    ada = await register_account(guest)
    made = await make(ada)
    await models.User.get_pymongo_collection().update_one({}, {"$inc": {"key_epoch": 1}})
    # then it is refused
    with pytest.raises(InvalidToken):
        await enter(guest, made.secret)


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        (None, {"READ"}),
        ([models.ApiKeyScope.PLAYBACK], {"PLAYBACK"}),
        ([models.ApiKeyScope.PLAYBACK, models.ApiKeyScope.READ] * 3, {"READ", "PLAYBACK"}),
    ],
)
async def test_a_key_has_the_scopes_it_was_made_with(
    guest: Context, scopes: list[models.ApiKeyScope] | None, granted: set[str]
) -> None:
    made = await create_key(await register_account(guest), scopes=scopes)
    assert sorted(scope.value for scope in made.api_key.scopes) == sorted(granted)
    viewer = await enter(guest, made.secret)
    program = next_operation(guest, viewer=viewer)
    for scope in models.ApiKeyScope:
        if scope.value in granted:
            program.require_scope(scope)
        else:
            with pytest.raises(Forbidden):
                program.require_scope(scope)


async def test_a_key_without_any_scope_is_not_made(guest: Context) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await create_key(await register_account(guest), scopes=[])
    assert refused.value.path == ["scopes"]


@pytest.mark.parametrize(
    "text",
    [
        "marquee_",
        "marquee_00000000_" + "A" * 43,
        "marquee_00000000_" + "A" * 100_000,
        "marquee_ZZZZZZZZ_" + "A" * 43,
        "marquee_00000000_" + "é" * 43,
        "MARQUEE_00000000_" + "A" * 43,
    ],
    ids=lambda text: text[:30],
)
async def test_what_is_no_key_is_refused(guest: Context, text: str) -> None:
    await make(await register_account(guest))
    with pytest.raises(InvalidToken) as refused:
        await enter(guest, text)
    assert refused.value.message == "The token is not valid: sign in again."


async def test_one_letter_off_is_no_key(guest: Context) -> None:
    made = await make(await register_account(guest))
    wrong = made.secret[:-1] + ("A" if made.secret[-1] != "A" else "B")
    with pytest.raises(InvalidToken):
        await enter(guest, wrong)


async def test_a_known_key_works_on_for_a_minute_without_the_database(guest: Context) -> None:
    # given a key that was just seen, and reads that fail from now on
    memory: TtlCache[str] = TtlCache(fresh_seconds=1, stale_seconds=60, clock=lambda: moment[0])
    moment = [0.0]

    async def viewer_id() -> str:
        return "known"

    async def away() -> str:
        raise UpstreamUnavailable("The database did not answer in time.")

    assert await memory.get("key", viewer_id) == "known"
    # then it is known for a minute, and others are not
    moment[0] = 59.9
    assert await memory.get("key", away) == "known"
    with pytest.raises(UpstreamUnavailable):
        await memory.get("another", away)
    moment[0] = 60.0
    with pytest.raises(UpstreamUnavailable):
        await memory.get("key", away)


async def test_unknown_keys_do_not_fill_the_memory() -> None:
    memory: TtlCache[None] = TtlCache(fresh_seconds=1, stale_seconds=60, max_entries=100)

    async def nothing() -> None: ...

    for number in range(1000):
        await memory.get(str(number), nothing)
    assert len(memory._entries) <= 100
