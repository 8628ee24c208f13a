"""API keys in MongoDB, stored as hashes. Revoking a key deletes it.

Each key of an account has a place of its own (`slot`), unique in MongoDB: of any number who create
keys at once exactly as many succeed as there are places.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from enum import Enum

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find
from models.mongo.updates import build_update

_SECRET_INDEX = "secret_hash"  # noqa: S105 - an index, not a secret


class ApiKeyScope(Enum):
    """Rights of a key: READ queries and subscriptions, PLAYBACK mutations of a viewer's own."""

    READ = "READ"
    PLAYBACK = "PLAYBACK"


class ApiKey(StoredDocument):
    """A key. `key_epoch` is the account's when it was made: a password reset ends earlier ones."""

    id_kind = "apikey"
    user_id: str
    name: str
    prefix: str
    secret_hash: str
    scopes: list[ApiKeyScope] = []
    key_epoch: int = 0
    slot: int | None = None
    last_used_at: datetime | None = None
    expires_at: datetime | None = None

    class Settings:
        name = "api_keys"
        indexes = [
            IndexModel([("secret_hash", 1)], name=_SECRET_INDEX, unique=True),
            IndexModel([("user_id", 1), ("created_at", -1)], name="user"),
            IndexModel(
                [("user_id", 1), ("slot", 1)],
                name="slot",
                unique=True,
                partialFilterExpression={"slot": {"$type": "number"}},
            ),
        ]


class ApiKeyRecord(IdentifiedRecord, frozen=True):
    """An API key without its hash."""

    user_id: str = ""
    name: str = ""
    prefix: str = ""
    scopes: list[ApiKeyScope] = []
    key_epoch: int = 0
    created_at: datetime = EPOCH
    last_used_at: datetime | None = None
    expires_at: datetime | None = None


async def insert_api_key(key: ApiKey, most: int) -> bool:
    """Insert a key unless the account has `most` already; False: nothing changed."""
    with database_errors():
        while (slot := await _choose_slot(key.user_id, most)) is not None:
            key.slot = slot
            try:
                await key.insert()
            except DuplicateKeyError as error:
                if _SECRET_INDEX in str(error):
                    raise
                continue  # somebody took the place: fewer are free now
            return True
    return False


async def _choose_slot(user_id: str, most: int) -> int | None:
    """A free place, drawn so that two rarely choose the same; None if there is none."""
    collection = ApiKey.get_pymongo_collection()
    rows = await collection.find({"user_id": user_id}, {"slot": 1}).limit(most + 1).to_list(None)
    taken = {row.get("slot") for row in rows}
    free = [slot for slot in range(most) if slot not in taken]
    return secrets.choice(free) if len(rows) < most else None


async def api_keys_of(user_id: str, most: int) -> list[ApiKeyRecord]:
    """Keys of a user, newest first."""
    order = [("created_at", -1), ("_id", -1)]
    return await find(ApiKey, ApiKeyRecord, {"user_id": user_id}, sort=order, limit=most)


async def api_key_of(secret_hash: str) -> ApiKeyRecord | None:
    """The key with this hash, or None."""
    records = await find(ApiKey, ApiKeyRecord, {"secret_hash": secret_hash}, limit=1)
    return records[0] if records else None


async def use_api_key(key_id: str, now: datetime, unless_within: timedelta) -> None:
    """Record a use of the key, unless one was recorded within `unless_within`."""
    lately = {"$not": {"$gt": now - unless_within}}
    with database_errors():
        await ApiKey.get_pymongo_collection().update_one(
            {"_id": key_id, "last_used_at": lately}, build_update(ApiKey, {"last_used_at": now})
        )


async def delete_api_keys(user_id: str) -> None:
    """Delete all keys of a user."""
    with database_errors():
        await ApiKey.get_pymongo_collection().delete_many({"user_id": user_id})


async def delete_api_key(user_id: str, key_id: str) -> bool:
    """Delete one key of a user; False if the user has no such key."""
    with database_errors():
        answer = await ApiKey.get_pymongo_collection().delete_one(
            {"_id": key_id, "user_id": user_id}
        )
    return answer.deleted_count == 1
