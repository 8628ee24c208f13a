"""Progress written past Redis while it is unavailable or full, and the repairs of that.

A repair names a title whose progress in MongoDB Redis has not seen. It is opened after the write
and before the report is acknowledged; it is closed only if nothing was written since it was read.
"""

from __future__ import annotations

from collections.abc import Collection

from pymongo import WriteConcern
from pymongo.errors import DuplicateKeyError

from models.mongo.base import IdentifiedRecord, StoredDocument, utc_now
from models.mongo.reading import database_errors, find
from models.mongo.updates import build_initial_values, build_row, build_update
from models.playback.documents import LiveProgress, ViewingProgress, progress_id
from models.playback.progress_writes import encode_progress

_MAJORITY = WriteConcern("majority")  # whatever the settings say: nothing else acknowledges it


class ProgressRepair(StoredDocument):
    """A repair, with the id of its progress; `version` grows with every write past Redis."""

    user_id: str
    playable_id: str

    class Settings:
        name = "progress_repairs"


class ProgressRepairRecord(IdentifiedRecord, frozen=True):
    user_id: str = ""
    playable_id: str = ""
    version: int = 0


async def replace_progress(progress: LiveProgress, read_stamp_ms: int | None) -> bool:
    """Write progress if MongoDB still has what was read (None: nothing); False if not.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; it may be written, trying again does no harm.
    """
    collection = ViewingProgress.get_pymongo_collection().with_options(write_concern=_MAJORITY)
    now = utc_now()
    changed = {**encode_progress(progress), "updated_at": now}
    with database_errors():
        if read_stamp_ms is not None:
            # what was stored before there were stamps has none
            as_read = {"_id": progress.id, "stamp_ms": read_stamp_ms or {"$in": [0, None]}}
            change = build_update(ViewingProgress, changed)
            return bool((await collection.update_one(as_read, change)).matched_count)
        names = {"user_id": progress.user_id, "playable_id": progress.playable_id}
        new = {"_id": progress.id, **names, **build_initial_values(now), **changed}
        try:
            await collection.insert_one(build_row(ViewingProgress, new))
        except DuplicateKeyError:
            return False
    return True


async def open_repair(user_id: str, playable_id: str) -> None:
    """Open the repair of a title, or raise its version.

    Raises:
        UpstreamUnavailable: MongoDB did not answer.
    """
    now = utc_now()
    collection = ProgressRepair.get_pymongo_collection().with_options(write_concern=_MAJORITY)
    change = build_update(
        ProgressRepair,
        {"updated_at": now},
        increments={"version": 1},
        on_insert={"user_id": user_id, "playable_id": playable_id, **build_initial_values(now)},
    )
    by_id = {"_id": progress_id(user_id, playable_id)}
    with database_errors():
        try:
            await collection.update_one(by_id, change, upsert=True)
        except DuplicateKeyError:  # another's insert of this moment
            await collection.update_one(by_id, change, upsert=True)


async def list_open_repairs(at_most: int, after_id: str = "") -> list[ProgressRepairRecord]:
    """List open repairs in order of id, after `after_id`.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time or refused.
    """
    behind = {"_id": {"$gt": after_id}}
    return await find(
        ProgressRepair, ProgressRepairRecord, behind, sort=[("_id", 1)], limit=at_most
    )


async def close_repairs(repairs: Collection[ProgressRepairRecord]) -> None:
    """Close repairs that Redis has; those written to since stay open.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; adopting again does no harm.
    """
    if not repairs:
        return
    seen = [{"_id": repair.id, "version": repair.version} for repair in repairs]
    with database_errors():
        await ProgressRepair.get_pymongo_collection().delete_many({"$or": seen})
