"""API keys in MongoDB, stored as hashes. Revoking a key deletes it."""

from __future__ import annotations

from datetime import datetime, timedelta

from pymongo import IndexModel

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find
from models.mongo.updates import build_update


class ApiKey(StoredDocument):
    id_kind = "apikey"
    user_id: str
    name: str
    prefix: str
    secret_hash: str
    last_used_at: datetime | None = None
    expires_at: datetime | None = None

    class Settings:
        name = "api_keys"
        indexes = [
            IndexModel([("secret_hash", 1)], name="secret_hash", unique=True),
            IndexModel([("user_id", 1), ("created_at", -1)], name="user"),
        ]


class ApiKeyRecord(IdentifiedRecord, frozen=True):
    """An API key without its hash."""

    user_id: str = ""
    name: str = ""
    prefix: str = ""
    created_at: datetime = EPOCH
    last_used_at: datetime | None = None
    expires_at: datetime | None = None


async def insert_api_key(key: ApiKey, most: int) -> bool:
    """Insert a key unless the account has `most` already; False: nothing changed."""
    collection = ApiKey.get_pymongo_collection()
    with database_errors():
        await key.insert()
        # After the insert: of two that race for the last place, neither can slip over the bound.
        count = await collection.count_documents({"user_id": key.user_id}, limit=most + 1)
        if count > most:
            await collection.delete_one({"_id": key.id})
    return count <= most


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
