"""Changes of an account, each one atomic command that carries its own precondition.

What ends all sign-ins does so in the same command: the account's `session_epoch` grows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from models.accounts.documents import AccountTier, Role, User, UserRecord
from models.accounts.mails import RegistrationRecord
from models.mongo.reading import database_errors, projection, to_record
from models.mongo.updates import build_revision, encode_record

_SESSIONS = ("session_epoch",)
_EVERYTHING = ("session_epoch", "key_epoch")


async def edit_profile(
    user_id: str, changes: Mapping[str, Any], now: datetime
) -> UserRecord | None:
    """Set these fields (dotted for embedded ones); None if the account no longer exists."""
    return await _edit({"_id": user_id, "deleted_at": None}, dict(changes), now)


async def verify_email(
    user_id: str,
    email: str,
    now: datetime,
    registration: RegistrationRecord | None,
    *,
    drops_password: bool,
) -> UserRecord | None:
    """Mark the address as verified; None if the account has another address by now.

    The first proof may give the account the password and name of a registration, or take the
    password that somebody chose who proved nothing; both end all that came before.
    """
    where = {"_id": user_id, "email": email, "deleted_at": None}
    first: dict[str, Any] = {"email_verified": True}
    if registration is not None:
        first |= encode_record(registration)
    elif drops_password:
        first["password_hash"] = ""
    ends = _EVERYTHING if len(first) > 1 else ()
    user = await _edit(where | {"email_verified": False}, first, now, ends=ends)
    return user or await _edit(where, {"email_verified": True}, now)


async def forget_password(user_id: str, password_hash: str, now: datetime) -> None:
    """Clear the password of an unverified account that two people registered.

    Until one of them proves the address, no password opens the account.
    """
    where = {"_id": user_id, "email_verified": False, "password_hash": password_hash}
    await _edit(where, {"password_hash": ""}, now)


async def reset_password(user_id: str, email: str, password_hash: str, now: datetime) -> bool:
    """Set a new password, verify the mail's address, and end all sign-ins and API keys."""
    where = {"_id": user_id, "email": email, "deleted_at": None}
    changes = {"password_hash": password_hash, "email_verified": True}
    return await _edit(where, changes, now, ends=_EVERYTHING) is not None


async def change_password(
    user_id: str, old_hash: str, new_hash: str, now: datetime
) -> UserRecord | None:
    """Replace the password hash and end all sign-ins.

    Returns:
        The account, None if the password changed meanwhile or the account is deleted.
    """
    where = {"_id": user_id, "password_hash": old_hash, "deleted_at": None}
    return await _edit(where, {"password_hash": new_hash}, now, ends=_SESSIONS)


async def set_tier(user_id: str, tier: AccountTier, now: datetime) -> UserRecord | None:
    """Set the tier; None if the account no longer exists."""
    return await _edit({"_id": user_id, "deleted_at": None}, {"tier": tier.value}, now)


async def end_sessions(user_id: str, now: datetime) -> None:
    """End all sign-ins of an account, deleted or not, whatever their number."""
    await _edit({"_id": user_id}, {}, now, ends=_SESSIONS)


async def change_email(user_id: str, old: str, new: str, now: datetime) -> UserRecord | None:
    """Replace the address by one that was proved.

    Returns:
        The account, None if another has the address, or this one has no more the old one.
    """
    where = {"_id": user_id, "email": old, "deleted_at": None}
    return await _edit(where, {"email": new, "email_verified": True}, now)


async def set_role(user_id: str, role: Role, now: datetime) -> UserRecord | None:
    """Set the role and end all sign-ins; None if the account no longer exists."""
    where = {"_id": user_id, "deleted_at": None}
    return await _edit(where, {"role": role.value}, now, ends=_SESSIONS)


async def mark_deleted(user_id: str, password_hash: str, now: datetime) -> bool:
    """Mark the account as deleted: nobody can sign in or find it, and its address is free.

    Returns:
        False if the password changed since it was checked, or the account no longer exists.
    """
    blank = User(
        id=user_id, email=f"{user_id}@deleted.invalid", password_hash="", display_name=""
    ).model_dump(mode="json", include={"email", "email_verified", "display_name", "preferences"})
    emptied = {"password_hash": "", "second_factor": None, "second_factor_at": None}
    changes = {**blank, **emptied, "deleted_at": now, "erase_at": now}
    where = {"_id": user_id, "password_hash": password_hash, "deleted_at": None}
    return await _edit(where, changes, now, ends=_SESSIONS) is not None


async def _edit(
    where: Mapping[str, Any],
    changes: dict[str, Any],
    now: datetime,
    *,
    ends: Collection[str] = (),
) -> UserRecord | None:
    """Change an account; `ends` are the epochs that grow. None: not found, or an address taken."""
    with database_errors():
        try:
            row = await User.get_pymongo_collection().find_one_and_update(
                where,
                build_revision(User, changes, now, **dict.fromkeys(ends, 1)),
                projection(UserRecord, None),
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return None
    return to_record(row, UserRecord) if row else None
