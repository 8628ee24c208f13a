"""Writes of viewing progress: many in one unordered command, in any order, repeatable.

Each write is guarded by `stamp_ms < new` and by the sequence of reports within a session, so stored
progress never goes back, whichever write comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from models.mongo.base import utc_now
from models.mongo.reading import collect_refused_writes, database_errors
from models.mongo.updates import build_initial_values, build_update, encode_record
from models.playback.documents import ProgressRecord, ViewingProgress, has_hold
from services.playback.state import PERMANENT_HOLD_MS

_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class ProgressWrites:
    """Counts of a write. `older`: MongoDB had this state or a newer one. `refused`: bad keys."""

    written: int
    older: int
    refused: frozenset[tuple[str, str]]


async def write_progress(records: Sequence[ProgressRecord]) -> ProgressWrites:
    """Write the newest progress of each (user, title); each key once, at most 1000.

    A duplicate key is another writer's insert of the same moment, perhaps of an older state: those
    are written once more as plain updates, which decides.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; any part may be written, so write all again.
    """
    if not records:
        return ProgressWrites(0, 0, frozenset())
    written, failed = await _send(records, upsert=True)
    raced = [records[i] for i, code in failed.items() if code == _DUPLICATE_KEY]
    refused = [records[i] for i, code in failed.items() if code != _DUPLICATE_KEY]
    if raced:
        more, failed = await _send(raced, upsert=False)
        written += more
        refused += [raced[i] for i in failed]
    keys = frozenset((record.user_id, record.playable_id) for record in refused)
    return ProgressWrites(written, len(records) - written - len(refused), keys)


async def _send(records: Sequence[ProgressRecord], *, upsert: bool) -> tuple[int, dict[int, int]]:
    """Number written, and the error code of each that was not, by position."""
    operations = [_operation(record, upsert=upsert) for record in records]
    collection = ViewingProgress.get_pymongo_collection()
    with database_errors():
        try:
            result = await collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            failed, done = collect_refused_writes(error), error.details
            return done["nMatched"] + done["nUpserted"], failed
    return result.matched_count + result.upserted_count, {}


def _operation(record: ProgressRecord, *, upsert: bool) -> UpdateOne:
    now = utc_now()
    newer: dict[str, Any] = {
        "user_id": record.user_id,
        "playable_id": record.playable_id,
        # not `$lt`: what was stored before there were stamps is older than any
        "stamp_ms": {"$not": {"$gte": record.stamp_ms}},
    }
    if has_hold(record):
        newer["$nor"] = [_match_later_report(record)]
    change = build_update(
        ViewingProgress,
        {**encode_progress(record), "updated_at": now},
        on_insert={"_id": record.id, **build_initial_values(now)},
    )
    return UpdateOne(newer, change, upsert=upsert)


def _match_later_report(record: ProgressRecord) -> dict[str, Any]:
    """Match a later report of the same session that was written past Redis."""
    return {
        "session_id": record.session_id,
        "claimed_ms": record.claimed_ms,
        "held_until_ms": {"$gt": 0, "$lt": PERMANENT_HOLD_MS},
        "sequence": {"$gt": record.sequence},
    }


def encode_progress(record: ProgressRecord) -> dict[str, Any]:
    """The record's values as the document stores them, without what identifies it."""
    return encode_record(record, of=ProgressRecord, exclude={"user_id", "playable_id"})
