from __future__ import annotations

import asyncio

import pytest

import models
from loaders import UserByIdUnscoped
from resolvers.context import Context
from tests.conftest import CountCommands


@pytest.fixture
async def users(context: Context) -> list[str]:
    made = [
        models.User(
            id=f"user_{number}",
            email=f"{number}@example.org",
            password_hash="$argon2id$secret",
            display_name=f"User {number}",
        )
        for number in range(5)
    ]
    for user in made:
        assert await models.insert_user(user)
    return [user.id for user in made]


async def test_many_users_cost_one_find_and_no_redis(
    context: Context, users: list[str], count_commands: CountCommands
) -> None:
    # when one operation asks for all of them, in both ways, and for one that is not there
    records = await context.load_many(UserByIdUnscoped, [*users, "user_none"])
    one_by_one = await asyncio.gather(
        *(context.load(UserByIdUnscoped, user_id) for user_id in users)
    )
    # then one command answered all
    assert [records[user_id].display_name for user_id in users] == [f"User {n}" for n in range(5)]
    assert records["user_none"] is None
    assert one_by_one == [records[user_id] for user_id in users]
    assert count_commands.mongo == ["users.find"]
    assert await count_commands.redis_commands() == {}


async def test_nothing_private_is_cached_for_another_operation(
    context: Context, users: list[str], count_commands: CountCommands
) -> None:
    loader = context.loader(UserByIdUnscoped)
    await loader.keep(await loader.fetch(users, None))
    await loader.many(users)
    await context.for_event().load_many(UserByIdUnscoped, users)
    assert count_commands.mongo == ["users.find", "users.find"]
    assert await context.runtime.redis.keys("*") == []


async def test_a_user_record_holds_no_hash(context: Context, users: list[str]) -> None:
    user = await context.load(UserByIdUnscoped, users[0])
    assert "secret" not in repr(user)
    assert not hasattr(user, "password_hash")
