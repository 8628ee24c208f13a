"""Reads of the history. Always from the primary: viewers read their own writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec

from models.mongo.base import EPOCH
from models.mongo.reading import find
from models.playback.positions import Place, match_newer, match_older
from models.playback.viewings import Viewing, ViewingRecord


async def read_history(
    user_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    before: Place | None = None,
    limit: int,
) -> list[ViewingRecord]:
    """Viewings of a user begun from `since` on and before `until`, newest first.

    `before` is the place to continue from.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where = _within(user_id, since, until)
    if before is not None:
        where["$or"] = match_older("started_at", before)
    order = [("started_at", -1), ("_id", -1)]
    return await find(Viewing, ViewingRecord, where, sort=order, limit=limit)


async def has_history_up_to(
    user_id: str, place: Place, *, since: datetime | None = None, until: datetime | None = None
) -> bool:
    """Whether the history has a viewing at the place, or a newer one.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where = _within(user_id, since, until) | {"$or": match_newer("started_at", place)}
    order = [("started_at", 1), ("_id", 1)]
    none = frozenset[str]()
    return bool(await find(Viewing, ViewingRecord, where, fields=none, sort=order, limit=1))


def _within(user_id: str, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    begun: dict[str, datetime] = {"$gte": since or EPOCH}  # a deleted one has no such time
    if until is not None:
        begun["$lt"] = until
    return {"user_id": user_id, "started_at": begun}


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
