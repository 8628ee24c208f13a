"""Playback by session: where each began, and the viewer's history.

`playback_sessions` has what is known at a session's start, for whatever must go on without Redis;
`viewings` has its outcome, written by the flush worker. All expire: sessions, and markers of
deleted viewings, after 30 days, viewings after HISTORY_DAYS.
"""

from __future__ import annotations

from datetime import datetime

from pymongo import IndexModel

from models.accounts.documents import Device, DeviceRecord
from models.mongo import ids
from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.playback.documents import device_of, instant
from services.playback.viewings import ViewingEntry

_RETENTION_SECONDS = 30 * 86400


class StoredSession(StoredDocument):
    """A session at its start. `address` is truncated (services/limits/address_prefixes.py).

    `in_redis` is False from a start without Redis until Redis knows the session.
    """

    id_kind = "session"
    user_id: str
    playable_id: str
    device: Device
    quality: str | None = None
    address: str | None = None
    user_agent: str | None = None
    started_at: datetime
    start_position_seconds: float = 0.0
    duration_seconds: float | None = None
    in_redis: bool = True

    class Settings:
        name = "playback_sessions"
        indexes = [
            IndexModel([("user_id", 1), ("started_at", -1)], name="user"),
            IndexModel(
                [("started_at", 1)], name="forgotten", expireAfterSeconds=_RETENTION_SECONDS
            ),
        ]


class Viewing(StoredDocument):
    """The outcome of a session. `stamp_ms` is its last report: only a later one may write.

    A deleted viewing keeps its ids, `deleted_at` and a stamp above all others.
    """

    id_kind = "viewing"
    user_id: str
    playable_id: str
    started_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None = None
    watched_seconds: float = 0.0
    completed: bool = False
    device: Device | None = None
    stamp_ms: int = 0
    deleted_at: datetime | None = None
    expires_at: datetime | None = None
    is_counted: bool = False  # as a view of its title; models/playback/views.py

    class Settings:
        name = "viewings"
        indexes = [
            IndexModel([("user_id", 1), ("started_at", -1), ("_id", -1)], name="history"),
            IndexModel([("user_id", 1), ("playable_id", 1)], name="user_playable"),
            IndexModel(
                [("deleted_at", 1)], name="forgotten", expireAfterSeconds=_RETENTION_SECONDS
            ),
            IndexModel([("expires_at", 1)], name="expires", expireAfterSeconds=0),
        ]


class StoredSessionRecord(IdentifiedRecord, frozen=True):
    user_id: str = ""
    playable_id: str = ""
    device: DeviceRecord = DeviceRecord()
    quality: str | None = None
    address: str | None = None
    user_agent: str | None = None
    started_at: datetime = EPOCH
    start_position_seconds: float = 0.0
    duration_seconds: float | None = None
    in_redis: bool = True


class ViewingRecord(IdentifiedRecord, frozen=True):
    user_id: str = ""
    playable_id: str = ""
    started_at: datetime = EPOCH
    last_seen_at: datetime = EPOCH
    ended_at: datetime | None = None
    watched_seconds: float = 0.0
    completed: bool = False
    device: DeviceRecord | None = None
    stamp_ms: int = 0


def viewing_id(session_id: str, started_at_ms: int) -> str:
    """The id of a viewing; a session key used again after it expired is another viewing."""
    return ids.derive("viewing", session_id, started_at_ms)


def viewing_record(user_id: str, playable_id: str, entry: ViewingEntry) -> ViewingRecord:
    """Convert an entry of the progress stream to a record."""
    return ViewingRecord(
        id=viewing_id(*entry.key),
        user_id=user_id,
        playable_id=playable_id,
        started_at=instant(entry.started_at_ms),
        last_seen_at=instant(entry.seen_ms),
        ended_at=instant(entry.ended_at_ms) if entry.ended_at_ms else None,
        watched_seconds=entry.watched_seconds,
        completed=bool(entry.completed),
        device=device_of(entry.device),
        stamp_ms=entry.seen_ms,
    )
