"""Watchlists in MongoDB: one entry per user and title, whose id is made of both.

So a title is on a list once, even if two requests add it together, and is found without a lookup.
Always read from the primary: viewers read their own writes.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find
from models.playback.positions import Place, match_side, sort_by


class WatchlistEntry(StoredDocument):
    user_id: str
    title_id: str
    added_at: datetime

    class Settings:
        name = "watchlist"
        indexes = [
            IndexModel([("user_id", 1), ("added_at", -1), ("_id", -1)], name="newest_first"),
        ]


class WatchlistEntryRecord(IdentifiedRecord, frozen=True):
    user_id: str = ""
    title_id: str = ""
    added_at: datetime = EPOCH


def _entry_id(user_id: str, title_id: str) -> str:
    return f"{user_id}:{title_id}"


async def add_to_watchlist(user_id: str, title_id: str, at: datetime, most: int) -> bool:
    """Add the title, unless listed; False if the list is full and nothing changed.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time; adding again does no harm.
    """
    entry = WatchlistEntry(
        id=_entry_id(user_id, title_id), user_id=user_id, title_id=title_id, added_at=at
    )
    collection = WatchlistEntry.get_pymongo_collection()
    with database_errors():
        try:
            await entry.insert()
        except DuplicateKeyError:
            return True
        # After the insert: of two that race for the last place, neither can slip over the bound.
        count = await collection.count_documents({"user_id": user_id}, limit=most + 1)
        if count > most:
            await collection.delete_one({"_id": entry.id})
    return count <= most


async def remove_from_watchlist(user_id: str, title_id: str) -> bool:
    """Remove the title; False if it was not listed.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time; removing again does no harm.
    """
    collection = WatchlistEntry.get_pymongo_collection()
    with database_errors():
        answer = await collection.delete_one({"_id": _entry_id(user_id, title_id)})
    return answer.deleted_count == 1


async def on_watchlist(user_id: str, title_ids: Collection[str]) -> set[str]:
    """Those of these titles that are on the user's list; one command.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where = {"_id": {"$in": [_entry_id(user_id, title_id) for title_id in title_ids]}}
    fields = frozenset({"title_id"})
    rows = await find(
        WatchlistEntry, WatchlistEntryRecord, where, fields=fields, limit=len(title_ids)
    )
    return {row.title_id for row in rows}


async def read_watchlist(
    user_id: str, *, position: Place | None, limit: int, backwards: bool = False
) -> list[WatchlistEntryRecord]:
    """Entries, newest first.

    Args:
        position: the place to continue from.
        backwards: the newer ones, oldest first.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where: dict[str, Any] = {"user_id": user_id}
    if position is not None:
        where["$or"] = match_side("added_at", position, is_newer=backwards)
    order = sort_by("added_at", is_newest_first=not backwards)
    return await find(WatchlistEntry, WatchlistEntryRecord, where, sort=order, limit=limit)


async def read_watchlist_beside(
    user_id: str, place: Place, *, is_newer: bool, limit: int
) -> list[WatchlistEntryRecord]:
    """The entry at a place and those that are newer (else older), the nearest first.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    side = match_side("added_at", place, is_newer=is_newer, includes_place=True)
    where = {"user_id": user_id, "$or": side}
    order = sort_by("added_at", is_newest_first=not is_newer)
    return await find(WatchlistEntry, WatchlistEntryRecord, where, sort=order, limit=limit)
