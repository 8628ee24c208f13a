"""Accounts in MongoDB: every change is one atomic command that carries its own precondition."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from models.accounts.documents import AccountTier, CredentialRecord, Role, User, UserRecord
from models.mongo.reading import Fields, database_errors, find
from models.mongo.updates import build_revision


async def insert_user(user: User) -> bool:
    """Insert a user; False if the address has an account (the unique index decides)."""
    with database_errors():
        try:
            await user.insert()
        except DuplicateKeyError:
            return False
    return True


async def credential_of(email: str) -> CredentialRecord | None:
    """The credential of a folded address, or None."""
    records = await find(User, CredentialRecord, {"email": email}, limit=1)
    return records[0] if records else None


async def credential_by_id(user_id: str) -> CredentialRecord | None:
    """The credential of a user id, or None; deleted accounts have none."""
    where = {"_id": user_id, "deleted_at": None}
    records = await find(User, CredentialRecord, where, limit=1)
    return records[0] if records else None


async def users_by_id(ids: Collection[str], fields: Fields = None) -> dict[str, UserRecord]:
    """Users by id; deleted accounts are absent."""
    where = {"_id": {"$in": list(ids)}, "deleted_at": None}
    records = await find(User, UserRecord, where, fields=fields, limit=len(ids))
    return {user.id: user for user in records}


async def list_users(role: Role | None, tier: AccountTier | None, most: int) -> list[UserRecord]:
    """Accounts that are not deleted, of a role and a tier if given, newest first."""
    where: dict[str, Any] = {"deleted_at": None}
    where |= {"role": role.value} if role is not None else {}
    where |= {"tier": tier.value} if tier is not None else {}
    return await find(User, UserRecord, where, sort=[("created_at", -1)], limit=most)


async def registered_emails(emails: list[str]) -> set[str]:
    """Those of these folded addresses that have an account."""
    with database_errors():
        return set(
            await User.get_pymongo_collection().distinct("email", {"email": {"$in": emails}})
        )


async def replace_password_hash(user_id: str, old: str, new: str, now: datetime) -> bool:
    """Replace the hash; False if it was changed meanwhile."""
    with database_errors():
        answer = await User.get_pymongo_collection().update_one(
            {"_id": user_id, "password_hash": old},
            build_revision(User, {"password_hash": new}, now),
        )
    return bool(answer.modified_count)
