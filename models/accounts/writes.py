"""Accounts in MongoDB: every change is one atomic command that carries its own precondition."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from models.accounts.documents import CredentialRecord, Login, LoginRecord, User, UserRecord
from models.mongo.reading import Fields, database_errors, find

MAX_USED_HASHES = 32  # an older token is refused like any unknown one


@dataclass(frozen=True, slots=True)
class Rotation:
    """The current token of a login being replaced by its successor."""

    used_hash: str
    successor_hash: str
    sealed_successor: str
    user_agent: str | None
    now: datetime
    expires_at: datetime


async def insert_user(user: User) -> bool:
    """Insert a user; False if the address has an account (the unique index decides)."""
    with database_errors():
        try:
            await user.insert()
        except DuplicateKeyError:
            return False
    return True


async def insert_login(login: Login) -> None:
    """Insert a login."""
    with database_errors():
        await login.insert()


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
            {"$set": {"password_hash": new, "updated_at": now}, "$inc": {"version": 1}},
        )
    return bool(answer.modified_count)


async def login_of(token_hash: str) -> LoginRecord | None:
    """The login whose current or used refresh token has this hash, or None."""
    where = {"$or": [{"token_hash": token_hash}, {"used_hashes": token_hash}]}
    records = await find(Login, LoginRecord, where, limit=1)
    return records[0] if records else None


async def rotate_login(login_id: str, rotation: Rotation) -> bool:
    """Rotate the refresh token; of concurrent rotations of one token exactly one applies."""
    used = {"$each": [rotation.used_hash], "$slice": -MAX_USED_HASHES}
    with database_errors():
        changed = await Login.get_pymongo_collection().find_one_and_update(
            {
                "_id": login_id,
                "token_hash": rotation.used_hash,
                "revoked_at": None,
                "expires_at": {"$gt": rotation.now},
            },
            {
                "$set": {
                    "token_hash": rotation.successor_hash,
                    "sealed_successor": rotation.sealed_successor,
                    "rotated_by": rotation.user_agent,
                    "last_used_at": rotation.now,
                    "updated_at": rotation.now,
                    "expires_at": rotation.expires_at,
                },
                "$push": {"used_hashes": used},
                "$inc": {"version": 1},
            },
            {"_id": 1},
        )
    return changed is not None


async def revoke_login(login_id: str, now: datetime) -> bool:
    """Revoke the login; it stays stored until it expires, so its tokens are recognised."""
    with database_errors():
        answer = await Login.get_pymongo_collection().update_one(
            {"_id": login_id, "revoked_at": None},
            {
                "$set": {"revoked_at": now, "updated_at": now, "sealed_successor": None},
                "$inc": {"version": 1},
            },
        )
    return bool(answer.modified_count)
