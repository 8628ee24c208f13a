"""Reads of the history. Always from the primary: viewers read their own writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import msgspec

from models.mongo.base import EPOCH
from models.mongo.reading import find
from models.playback.positions import Place, match_side, sort_by
from models.playback.viewings import Viewing, ViewingRecord


async def read_history(
    user_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    position: Place | None = None,
    backwards: bool = False,
    limit: int,
) -> list[ViewingRecord]:
    """Viewings of a user begun from `since` on and before `until`, newest first.

    Args:
        position: the place to continue from.
        backwards: the newer ones, oldest first.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where = _within(user_id, since, until)
    if position is not None:
        where["$or"] = match_side("started_at", position, is_newer=backwards)
    order = sort_by("started_at", is_newest_first=not backwards)
    return await find(Viewing, ViewingRecord, where, sort=order, limit=limit)


async def has_history_beside(
    user_id: str,
    place: Place,
    *,
    is_newer: bool,
    since: datetime | None = None,
    until: datetime | None = None,
) -> bool:
    """Whether the history has a viewing at the place, or a newer (else an older) one.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    side = match_side("started_at", place, is_newer=is_newer, includes_place=True)
    where = _within(user_id, since, until) | {"$or": side}
    order = sort_by("started_at", is_newest_first=not is_newer)
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
