"""Texts that clients registered under their SHA-256, for when Redis has lost them.

They expire a month after their last use, and those used least lately go beyond a number of bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from models.mongo.base import IdentifiedRecord, StoredDocument, utc_now
from models.mongo.reading import database_errors, find_by_id
from models.mongo.updates import build_initial_values, build_revision, build_update

MAX_STORED_BYTES = 64 * 1024 * 1024
_LIFETIME = timedelta(days=30)
_OVERHEAD_BYTES = 300  # of a document beside its text


class RegisteredDocument(StoredDocument):
    """A text; its id is its SHA-256 in hexadecimal."""

    text: str
    size: int
    used_at: datetime
    expires_at: datetime

    class Settings:
        name = "registered_documents"
        indexes = [
            IndexModel([("used_at", 1), ("size", 1)], name="used"),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class RegisteredDocumentRecord(IdentifiedRecord, frozen=True):
    text: str = ""


async def find_registered_document(sha256: str) -> str | None:
    """Return the text of this SHA-256; None if there is none.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    found = await find_by_id(RegisteredDocument, RegisteredDocumentRecord, [sha256])
    return found[sha256].text if sha256 in found else None


async def store_registered_document(sha256: str, text: str) -> None:
    """Store a text under its SHA-256, if it is not there.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    now = utc_now()
    size = len(text.encode()) + _OVERHEAD_BYTES
    change = build_update(
        RegisteredDocument,
        {"used_at": now, "expires_at": now + _LIFETIME, "updated_at": now},
        on_insert={"text": text, "size": size, **build_initial_values(now)},
        increments={"version": 1},
    )
    collection = RegisteredDocument.get_pymongo_collection()
    with database_errors():
        try:
            await collection.update_one({"_id": sha256}, change, upsert=True)
        except DuplicateKeyError:
            return  # another process was faster


async def mark_registered_used(ids: Collection[str], now: datetime, earlier: datetime) -> None:
    """Note that these were used, where that was not noted since `earlier`."""
    change = build_revision(
        RegisteredDocument, {"used_at": now, "expires_at": now + _LIFETIME}, now
    )
    where = {"_id": {"$in": list(ids)}, "used_at": {"$lt": earlier}}
    with database_errors():
        await RegisteredDocument.get_pymongo_collection().update_many(where, change)


async def trim_registered(max_bytes: int = MAX_STORED_BYTES) -> int:
    """Delete those used least lately beyond so many bytes; returns how many.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    pipeline: list[dict[str, Any]] = [
        {"$sort": {"used_at": -1, "size": -1}},
        {"$project": {"_id": 0, "used_at": 1, "size": 1}},
        {
            "$setWindowFields": {
                "sortBy": {"used_at": -1},
                "output": {
                    "total": {"$sum": "$size", "window": {"documents": ["unbounded", "current"]}}
                },
            }
        },
        {"$match": {"total": {"$gt": max_bytes}}},
        {"$limit": 1},
    ]
    collection = RegisteredDocument.get_pymongo_collection()
    with database_errors():
        rows = await (await collection.aggregate(pipeline)).to_list()
        if not rows:
            return 0
        answer = await collection.delete_many({"used_at": {"$lte": rows[0]["used_at"]}})
    return answer.deleted_count
