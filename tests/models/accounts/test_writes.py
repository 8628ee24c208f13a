from __future__ import annotations

from datetime import UTC, datetime, timedelta

import models
from resolvers.context import Runtime

NOW = datetime(2027, 1, 15, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


async def test_a_password_changed_meanwhile_is_not_overwritten(runtime: Runtime) -> None:
    # given a hash that was changed after somebody read it
    await models.insert_user(
        models.User(id="user_1", email="a@b.org", password_hash="changed", display_name="A")
    )
    users = models.User.get_pymongo_collection()
    before = await users.find_one({"_id": "user_1"})
    # when the reader renews what it read
    renewed = await models.replace_password_hash("user_1", "read before", "renewed", NOW)
    # then the change stays
    assert renewed is False
    assert await users.find_one({"_id": "user_1"}) == before


async def test_the_expiry_index_removes_logins_and_the_email_index_is_unique(
    runtime: Runtime,
) -> None:
    users = await models.User.get_pymongo_collection().index_information()
    logins = await models.Login.get_pymongo_collection().index_information()
    assert users["email"]["unique"] is True
    assert logins["expires"]["expireAfterSeconds"] == 0
    assert logins["token_hash"]["unique"] is True


async def test_revoking_twice_keeps_the_first_time(runtime: Runtime) -> None:
    await models.insert_login(
        models.Login(
            id="login_1", user_id="user_1", token_hash="h", last_used_at=NOW, expires_at=LATER
        )
    )
    assert await models.revoke_logins("user_1", NOW, only="login_1") == 1
    assert await models.revoke_logins("user_1", NOW, only="login_1") == 0
    login = await models.login_of("h")
    assert login is not None and login.revoked_at == NOW
    # and it goes a day later, not a month
    assert login.expires_at == NOW + timedelta(days=1)
