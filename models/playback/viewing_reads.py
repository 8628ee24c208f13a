"""Reads of the history. Always from the primary: viewers read their own writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec

from models.mongo.base import EPOCH
from models.mongo.reading import find
from models.playback.documents import instant
from models.playback.viewings import Viewing, ViewingRecord


async def read_history(
    user_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[ViewingRecord]:
    """Viewings of a user begun from `since` on and before `until`, newest first.

    `before` is the position to go on from: milliseconds of `started_at`, and an id.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    begun: dict[str, datetime] = {"$gte": since or EPOCH}  # a deleted one has no such time
    if until is not None:
        begun["$lt"] = until
    where: dict[str, Any] = {"user_id": user_id, "started_at": begun}
    if before is not None:
        at, last_id = instant(before[0]), before[1]
        where["$or"] = [{"started_at": {"$lt": at}}, {"started_at": at, "_id": {"$lt": last_id}}]
    order = [("started_at", -1), ("_id", -1)]
    return await find(Viewing, ViewingRecord, where, sort=order, limit=limit)


async def viewings_by_id(user_id: str, ids: Collection[str]) -> dict[str, ViewingRecord]:
    """Viewings by id: the user's own that are not deleted; one command.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where = {"_id": {"$in": list(ids)}, "user_id": user_id, "deleted_at": None}
    rows = await find(Viewing, ViewingRecord, where, limit=len(ids))
    return {row.id: row for row in rows}


def infer_ends(viewings: Iterable[ViewingRecord], seen_since: datetime) -> list[ViewingRecord]:
    """Set the end of unfinished viewings last seen before `seen_since` to that last moment."""
    return [
        msgspec.structs.replace(one, ended_at=one.last_seen_at)
        if one.ended_at is None and one.last_seen_at < seen_since
        else one
        for one in viewings
    ]
