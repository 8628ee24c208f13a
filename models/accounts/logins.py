"""Sign-ins in MongoDB: one document each, rotated and ended by atomic commands.

All sign-ins of an account end with one update of the account (`session_epoch`), whatever their
number; ending their documents follows. What has ended is kept for a day, so that access tokens can
be revoked again after a failure half-way.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from models.accounts.documents import Login, LoginRecord
from models.mongo.reading import database_errors, find
from models.mongo.updates import build_bounded_push, build_update

MAX_USED_HASHES = 32  # an older token is refused like any unknown one
_ENDED_LIFETIME = timedelta(days=1)
_MOST_DISPLACED = 1_000  # at once; the next sign-in ends the others
_MOST_RECENT = 10_000


@dataclass(frozen=True, slots=True)
class Rotation:
    """The current token of a login being replaced by its successor."""

    used_hash: str
    successor_hash: str
    sealed_successor: str
    user_agent: str | None
    now: datetime
    expires_at: datetime


async def insert_login(login: Login) -> None:
    """Insert a login."""
    with database_errors():
        await login.insert()


async def login_of(token_hash: str) -> LoginRecord | None:
    """The login whose current or used refresh token has this hash, or None."""
    where = {"$or": [{"token_hash": token_hash}, {"used_hashes": token_hash}]}
    records = await find(Login, LoginRecord, where, limit=1)
    return records[0] if records else None


async def rotate_login(login_id: str, rotation: Rotation) -> bool:
    """Rotate the refresh token; of concurrent rotations of one token exactly one applies."""
    used = build_bounded_push(rotation.used_hash, MAX_USED_HASHES)
    with database_errors():
        changed = await Login.get_pymongo_collection().find_one_and_update(
            {
                "_id": login_id,
                "token_hash": rotation.used_hash,
                "revoked_at": None,
                "expires_at": {"$gt": rotation.now},
            },
            build_update(
                Login,
                {
                    "token_hash": rotation.successor_hash,
                    "sealed_successor": rotation.sealed_successor,
                    "rotated_by": rotation.user_agent,
                    "last_used_at": rotation.now,
                    "updated_at": rotation.now,
                    "expires_at": rotation.expires_at,
                },
                pushes={"used_hashes": used},
                increments={"version": 1},
            ),
            {"_id": 1},
        )
    return changed is not None


async def keep_login(login_id: str, session_epoch: int) -> None:
    """Carry a login over into a later epoch of its account."""
    with database_errors():
        await Login.get_pymongo_collection().update_one(
            {"_id": login_id},
            build_update(Login, {"session_epoch": session_epoch}, increments={"version": 1}),
        )


async def active_logins(user_id: str, now: datetime, most: int) -> list[LoginRecord]:
    """Active logins of a user, last used first."""
    order = [("last_used_at", -1)]
    return await find(Login, LoginRecord, _active(user_id, now), sort=order, limit=most)


async def displaced_login_ids(login: Login, most: int) -> list[str]:
    """Ids of active logins beyond `most`, this new one among them: those used longest ago.

    At most 1,000.
    """
    where = _active(login.user_id, login.created_at) | {"_id": {"$ne": login.id}}
    cursor = Login.get_pymongo_collection().find(where, {"_id": 1}).sort("last_used_at", -1)
    with database_errors():
        rows = await cursor.skip(most - 1).limit(_MOST_DISPLACED).to_list(None)
    return [row["_id"] for row in rows]


async def recent_login_ids(
    user_id: str, now: datetime, within: timedelta, only: str | None = None
) -> list[str]:
    """Ids of a user's logins that are active or ended `within` so long: all, or `only` that one.

    At most 10,000, the last used first.
    """
    ended = {"$or": [{"revoked_at": None}, {"revoked_at": {"$gt": now - within}}]}
    where = {"user_id": user_id, "expires_at": {"$gt": now}, **ended}
    where |= {"_id": only} if only is not None else {}
    cursor = Login.get_pymongo_collection().find(where, {"_id": 1})
    with database_errors():
        ordered = cursor.sort("last_used_at", -1).limit(_MOST_RECENT)
        rows = await ordered.batch_size(_MOST_RECENT + 2).to_list(None)  # one command
    return [row["_id"] for row in rows]


async def delete_logins(user_id: str, ids: Collection[str]) -> None:
    """Delete logins of a user whose tokens are revoked already."""
    with database_errors():
        await Login.get_pymongo_collection().delete_many(
            {"_id": {"$in": list(ids)}, "user_id": user_id}
        )


async def revoke_logins(
    user_id: str, now: datetime, *, only: str | None = None, but: str | None = None
) -> int:
    """Revoke a user's active logins: all, one, or all but one; returns how many there were."""
    where = _active(user_id, now)
    if only is not None:
        where["_id"] = only
    elif but is not None:
        where["_id"] = {"$ne": but}
    changes = {"revoked_at": now, "updated_at": now, "sealed_successor": None}
    with database_errors():
        answer = await Login.get_pymongo_collection().update_many(
            where,
            build_update(
                Login,
                changes,
                minima={"expires_at": now + _ENDED_LIFETIME},
                increments={"version": 1},
            ),
        )
    return answer.modified_count


def _active(user_id: str, now: datetime) -> dict[str, Any]:
    return {"user_id": user_id, "revoked_at": None, "expires_at": {"$gt": now}}
