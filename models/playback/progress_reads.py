"""Reads of viewing progress. Always from the primary: viewers read their own writes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from models.mongo.reading import find
from models.playback.documents import LiveProgress, ViewingProgress, instant


async def progress_by_playable(
    user_id: str, playable_ids: Collection[str]
) -> dict[str, LiveProgress]:
    """Stored progress of a user by title; one command.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where = {"user_id": user_id, "playable_id": {"$in": list(playable_ids)}}
    rows = await find(ViewingProgress, LiveProgress, where, limit=len(playable_ids))
    return {row.playable_id: row for row in rows}


async def watched_progress(
    user_id: str, *, before: tuple[int, str] | None, limit: int
) -> list[LiveProgress]:
    """All progress of a user, last watched first.

    `before` is the position to go on from: milliseconds of `last_watched_at`, and an id.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    where: dict[str, Any] = {"user_id": user_id}
    if before is not None:
        at, last_id = instant(before[0]), before[1]
        where["$or"] = [
            {"last_watched_at": {"$lt": at}},
            {"last_watched_at": at, "_id": {"$lt": last_id}},
        ]
    order = [("last_watched_at", -1), ("_id", -1)]
    return await find(ViewingProgress, LiveProgress, where, sort=order, limit=limit)
