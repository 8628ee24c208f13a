from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

import models
from models import AccountTier, Role
from resolvers.accounts import api_keys
from resolvers.accounts.authentication import authenticate
from resolvers.context import Context, Runtime, Viewer
from services.accounts.secret_codes import ApiKeyText
from services.cache.ttl_cache import TtlCache
from services.errors import InvalidToken, UpstreamUnavailable, ValidationFailed
from tests.conftest import CountCommands
from tests.support.accounts import (
    START,
    clock_of,
    next_operation,
    open_cheap_runtime,
    read_stored,
    register_account,
)
from tests.support.runtimes import with_changes

SOON = datetime.fromtimestamp(START, UTC) + timedelta(hours=1)


@pytest.fixture
async def guest(runtime: Runtime) -> AsyncIterator[Context]:
    """Keys are remembered for a moment that does not pass by itself."""
    async with open_cheap_runtime(runtime) as cheap:
        now = [0.0]
        memory: TtlCache[models.ApiKeyRecord | None] = TtlCache(
            fresh_seconds=1, stale_seconds=60, clock=lambda: now[0]
        )
        context = Context(with_changes(cheap, accounts={"api_key_cache": memory}))
        MOMENTS[id(memory)] = now
        yield context
        del MOMENTS[id(memory)]


MOMENTS: dict[int, list[float]] = {}


def pass_seconds(context: Context, seconds: float) -> None:
    MOMENTS[id(context.runtime.accounts.api_key_cache)][0] += seconds
    clock_of(context).now += seconds


async def make(context: Context, expires_at: datetime | None = None) -> api_keys.NewApiKey:
    return await api_keys.create_api_key(next_operation(context), "  My script ", expires_at)


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
    # then it has the rights of a user and the limits of a program
    viewer = await enter(guest, made.secret)
    assert ada.viewer is not None
    assert viewer == Viewer(ada.viewer.user_id, Role.USER, AccountTier.API, made.api_key.id)
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
    assert count_commands.mongo == ["api_keys.find", "api_keys.update"]
    assert await count_commands.redis_commands() == {}
    # and a second later once more, without another note
    pass_seconds(guest, 1)
    await enter(guest, made.secret)
    assert count_commands.mongo[2:] == ["api_keys.find"]


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
    memory: TtlCache[models.ApiKeyRecord | None] = TtlCache(fresh_seconds=1, stale_seconds=60)
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
    for key_id in (made.api_key.id, "apikey_nonsense", ""):
        await api_keys.revoke_api_key(next_operation(eve), key_id)
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
    ],
)
async def test_an_unfit_key_is_not_made(
    guest: Context, name: str, expires_at: datetime | None, path: list[str]
) -> None:
    ada = await register_account(guest)
    with pytest.raises(ValidationFailed) as refused:
        await api_keys.create_api_key(next_operation(ada), name, expires_at)
    assert refused.value.path == path
    assert await read_stored(models.ApiKey) == []


async def test_twenty_keys_are_enough_also_in_a_race(guest: Context) -> None:
    ada = await register_account(guest)
    for _ in range(15):
        await make(ada)
    answers = await asyncio.gather(*(make(ada) for _ in range(10)), return_exceptions=True)
    count = len(await read_stored(models.ApiKey))
    assert count <= 20
    assert count - 15 == sum(isinstance(answer, api_keys.NewApiKey) for answer in answers)
    # and with one revoked there is room again
    for _ in range(20 - count):
        await make(ada)
    with pytest.raises(ValidationFailed):
        await make(ada)
    (newest, *_) = await api_keys.api_keys(next_operation(ada))
    await api_keys.revoke_api_key(next_operation(ada), newest.id)
    await make(ada)


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
