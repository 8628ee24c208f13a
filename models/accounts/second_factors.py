"""Second factors of accounts, inside the account's document: each change is one atomic command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.accounts.documents import Login, SecondFactor, SecondFactorRecord, User
from models.mongo.reading import database_errors
from models.mongo.updates import build_revision, build_update


async def start_second_factor(user_id: str, secret: str, now: datetime) -> bool:
    """Store a secret that is to be confirmed; False if one is confirmed already."""
    factor = SecondFactor(secret=secret).model_dump(mode="json")
    return await _edit(user_id, {"second_factor_at": None}, {"second_factor": factor}, now)


async def confirm_second_factor(
    user_id: str, secret: str, step: int, recovery_hashes: list[str], now: datetime
) -> bool:
    """Make the secret the account's second factor; False if it is not the newest any more."""
    where = {"second_factor_at": None, "second_factor.secret": secret}
    factor = SecondFactor(secret=secret, last_step=step, recovery_hashes=recovery_hashes)
    changes = {"second_factor_at": now, "second_factor": factor.model_dump(mode="json")}
    return await _edit(user_id, where, changes, now)


async def use_step(user_id: str, step: int, now: datetime) -> bool:
    """Use the code of a time step; False if it, or a later one, was used before."""
    where = {"second_factor_at": {"$ne": None}, "second_factor.last_step": {"$lt": step}}
    return await _edit(user_id, where, {"second_factor.last_step": step}, now)


async def use_recovery_code(
    user_id: str, factor: SecondFactorRecord, recovery_hash: str, now: datetime
) -> bool:
    """Use a recovery code; of any number of concurrent uses exactly one returns True."""
    left = [one for one in factor.recovery_hashes if one != recovery_hash]
    where = {"second_factor.recovery_hashes": factor.recovery_hashes}
    return await _edit(user_id, where, {"second_factor.recovery_hashes": left}, now)


async def remove_second_factor(user_id: str, now: datetime) -> bool:
    """Remove the second factor; False if the account has none."""
    changes = {"second_factor_at": None, "second_factor": None}
    return await _edit(user_id, {"second_factor": {"$ne": None}}, changes, now)


async def mark_login(login_id: str) -> None:
    """Note that a sign-in has shown the second factor."""
    with database_errors():
        await Login.get_pymongo_collection().update_one(
            {"_id": login_id}, build_update(Login, {"has_second_factor": True})
        )


async def _edit(
    user_id: str, where: Mapping[str, Any], changes: dict[str, Any], now: datetime
) -> bool:
    with database_errors():
        answer = await User.get_pymongo_collection().update_one(
            {"_id": user_id, "deleted_at": None, **where}, build_revision(User, changes, now)
        )
    return answer.modified_count == 1
