"""Changes of an account by its owner, each one atomic command; and active logins."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument

from models.accounts.documents import Login, LoginRecord, Role, User, UserRecord
from models.accounts.mails import RegistrationRecord
from models.mongo.reading import database_errors, find, projection, to_records


async def edit_profile(
    user_id: str, changes: Mapping[str, Any], now: datetime
) -> UserRecord | None:
    """Set these fields (dotted for embedded ones); None if the account no longer exists."""
    return await _edit({"_id": user_id, "deleted_at": None}, dict(changes), now)


async def verify_email(
    user_id: str, email: str, registration: RegistrationRecord | None, now: datetime
) -> UserRecord | None:
    """Mark the address as verified; None if the account has another address by now.

    The first proof of an address gives the account the password and name of the registration that
    was proved: somebody else may have registered the address before.
    """
    where = {"_id": user_id, "email": email, "deleted_at": None}
    if registration is not None:
        first = {
            "email_verified": True,
            "password_hash": registration.password_hash,
            "display_name": registration.display_name,
        }
        user = await _edit(where | {"email_verified": False}, first, now)
        if user is not None:
            return user
    return await _edit(where, {"email_verified": True}, now)


async def forget_password(user_id: str, password_hash: str, now: datetime) -> None:
    """Clear the password of an unverified account that two people registered.

    Until one of them proves the address, no password opens the account.
    """
    where = {"_id": user_id, "email_verified": False, "password_hash": password_hash}
    await _edit(where, {"password_hash": ""}, now)


async def reset_password(user_id: str, email: str, password_hash: str, now: datetime) -> bool:
    """Set a new password and verify the address that the reset mail was sent to."""
    where = {"_id": user_id, "email": email, "deleted_at": None}
    changes = {"password_hash": password_hash, "email_verified": True}
    return await _edit(where, changes, now) is not None


async def change_password(user_id: str, old_hash: str, new_hash: str, now: datetime) -> bool:
    """Replace the password hash; False if it changed meanwhile or the account is deleted."""
    where = {"_id": user_id, "password_hash": old_hash, "deleted_at": None}
    return await _edit(where, {"password_hash": new_hash}, now) is not None


async def set_role(user_id: str, role: Role, now: datetime) -> UserRecord | None:
    """Set the role; None if the account no longer exists."""
    return await _edit({"_id": user_id, "deleted_at": None}, {"role": role.value}, now)


async def mark_deleted(user_id: str, password_hash: str, now: datetime) -> bool:
    """Mark the account as deleted: nobody can sign in or find it, and its address is free.

    Returns:
        False if the password changed since it was checked, or the account no longer exists.
    """
    blank = User(
        id=user_id, email=f"{user_id}@deleted.invalid", password_hash="", display_name=""
    ).model_dump(mode="json", include={"email", "email_verified", "display_name", "preferences"})
    changes = {**blank, "password_hash": "", "deleted_at": now, "erase_at": now}
    where = {"_id": user_id, "password_hash": password_hash, "deleted_at": None}
    return await _edit(where, changes, now) is not None


async def _edit(
    where: Mapping[str, Any], changes: dict[str, Any], now: datetime
) -> UserRecord | None:
    with database_errors():
        row = await User.get_pymongo_collection().find_one_and_update(
            where,
            {"$set": {**changes, "updated_at": now}, "$inc": {"version": 1}},
            projection(UserRecord, None),
            return_document=ReturnDocument.AFTER,
        )
    return to_records([row], UserRecord)[0] if row else None


async def active_logins(user_id: str, now: datetime, most: int) -> list[LoginRecord]:
    """Active logins of a user, last used first."""
    order = [("last_used_at", -1)]
    return await find(Login, LoginRecord, _active(user_id, now), sort=order, limit=most)


async def active_login_ids(user_id: str, now: datetime, only: str | None = None) -> list[str]:
    """Ids of a user's active logins: all, or `only` that one if it is among them."""
    where = _active(user_id, now) | ({"_id": only} if only is not None else {})
    with database_errors():
        rows = await Login.get_pymongo_collection().find(where, {"_id": 1}).to_list(None)
    return [row["_id"] for row in rows]


async def revoke_logins(user_id: str, now: datetime, ids: Collection[str] | None = None) -> int:
    """Revoke these logins of the user, or all; returns how many were active.

    Revoked logins stay stored until they expire, so that their tokens are still recognised.
    """
    where = _active(user_id, now) | ({"_id": {"$in": list(ids)}} if ids is not None else {})
    changes = {"revoked_at": now, "updated_at": now, "sealed_successor": None}
    with database_errors():
        answer = await Login.get_pymongo_collection().update_many(
            where, {"$set": changes, "$inc": {"version": 1}}
        )
    return answer.modified_count


def _active(user_id: str, now: datetime) -> dict[str, Any]:
    return {"user_id": user_id, "revoked_at": None, "expires_at": {"$gt": now}}
