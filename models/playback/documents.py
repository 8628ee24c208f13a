"""Viewing progress as stored: one `viewing_progress` document per user and playable title.

A running playback session is in Redis only (services/playback/sessions.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache

from pymongo import IndexModel

from models.accounts.documents import Device, DeviceKind, DeviceRecord
from models.mongo import ids
from models.mongo.base import EPOCH, IdentifiedRecord, StoredDocument
from models.mongo.conversion import convert_by_name
from models.mongo.unknown_values import parse_known
from services.playback.sessions import ViewingSession
from services.playback.state import (
    PERMANENT_HOLD_MS,
    Base,
    BufferedProgress,
    DeviceTag,
    ProgressState,
    decode_device,
    device_json,
)
from services.quality import Quality


class PlaybackState(Enum):
    """States of a session; `text` is the value, an attribute read faster than the enum's."""

    def __init__(self, text: str) -> None:
        self.text = text

    PLAYING = "PLAYING"
    PAUSED = "PAUSED"
    BUFFERING = "BUFFERING"
    STOPPED = "STOPPED"
    EXPIRED = "EXPIRED"


class ViewingProgress(StoredDocument):
    """Progress of one user in one title; a write must raise `stamp_ms`.

    Fields have the meaning they have in services' ProgressState; an instant of 0 means never.
    """

    id_kind = "progress"
    user_id: str
    playable_id: str
    position_seconds: float
    duration_seconds: float | None = None
    percent: float = 0.0
    completed: bool = False
    watch_count: int = 0
    furthest_seconds: float = 0.0
    last_watched_at: datetime
    last_device: Device | None = None
    stamp_ms: int = 0
    session_id: str = ""
    sequence: int = -1
    session_counted: bool = False
    claimed_ms: int = 0
    held_until_ms: int = 0
    dismissed_at_ms: int = 0
    reset_at_ms: int = 0
    finished_at_ms: int = 0

    class Settings:
        name = "viewing_progress"
        indexes = [
            IndexModel([("user_id", 1), ("playable_id", 1)], name="user_playable", unique=True),
            IndexModel([("user_id", 1), ("last_watched_at", -1), ("_id", -1)], name="last_watched"),
        ]


class ProgressRecord(IdentifiedRecord, frozen=True):
    user_id: str = ""
    playable_id: str = ""
    position_seconds: float = 0.0
    duration_seconds: float | None = None
    percent: float = 0.0
    completed: bool = False
    watch_count: int = 0
    furthest_seconds: float = 0.0
    last_watched_at: datetime = EPOCH
    last_device: DeviceRecord | None = None
    version: int = 0
    stamp_ms: int = 0
    session_id: str = ""
    sequence: int = -1
    session_counted: bool = False
    claimed_ms: int = 0
    held_until_ms: int = 0
    dismissed_at_ms: int = 0
    reset_at_ms: int = 0
    finished_at_ms: int = 0


class LiveProgress(ProgressRecord, frozen=True):
    """Progress as its viewer sees it, Redis over MongoDB; `durable`: MongoDB has this state."""

    durable: bool = True


class PlaybackSession(IdentifiedRecord, frozen=True):
    """A session; its player should report every `heartbeat_interval_seconds`."""

    user_id: str
    playable_id: str
    device: DeviceRecord
    state: PlaybackState
    position_seconds: float
    duration_seconds: float | None
    quality: Quality | None
    started_at: datetime
    last_seen_at: datetime
    heartbeat_interval_seconds: int


@lru_cache(maxsize=16_384)
def progress_id(user_id: str, playable_id: str) -> str:
    """The id of a user's progress in a title."""
    return ids.derive("progress", user_id, playable_id)


def live_progress(buffered: BufferedProgress) -> LiveProgress:
    """Convert buffered progress to a record."""
    state = buffered.state
    return convert_by_name(
        state,
        LiveProgress,
        id=progress_id(buffered.user_id, buffered.playable_id),
        user_id=buffered.user_id,
        playable_id=buffered.playable_id,
        version=buffered.version,
        durable=buffered.durable,
        duration_seconds=state.duration_seconds,
        percent=state.percent,
        last_watched_at=instant(state.at_ms),
        last_device=_device_of_text(state.device_json),
    )


@lru_cache(maxsize=4_096)
def _device_of_text(text: str) -> DeviceRecord | None:
    return device_of(decode_device(text))


def progress_base(progress: ProgressRecord | None) -> Base:
    """Convert stored progress, or None, to the base that Redis continues from."""
    if progress is None:
        return Base()
    device = progress.last_device
    state = convert_by_name(
        progress,
        ProgressState,
        known_duration_seconds=progress.duration_seconds or 0.0,
        at_ms=milliseconds(progress.last_watched_at),
        device_json=device_json(None if device is None else device_tag(device)),
    )
    return Base(progress.version, state)


def is_later(one: ProgressRecord, other: ProgressRecord) -> bool:
    """Whether one progress is later: by sequence within a session, else by stamp.

    Its twin is in lua/change_progress.lua.
    """
    same = (one.session_id, one.claimed_ms) == (other.session_id, other.claimed_ms)
    if same and one.sequence != other.sequence and has_hold(one) and has_hold(other):
        return one.sequence > other.sequence
    return one.stamp_ms > other.stamp_ms


def has_hold(progress: ProgressRecord) -> bool:
    """Whether its session holds the position: no other session took it since its last report."""
    return 0 < progress.held_until_ms < PERMANENT_HOLD_MS


def playback_session(session: ViewingSession, heartbeat_seconds: int) -> PlaybackSession:
    """Convert a session from Redis to its public form."""
    return PlaybackSession(
        id=session.session_id,
        user_id=session.user_id,
        playable_id=session.playable_id,
        device=device_of(session.device) or DeviceRecord(),
        state=parse_known(PlaybackState, session.state, PlaybackState.PLAYING),
        position_seconds=session.position_seconds,
        duration_seconds=session.duration_seconds or None,
        quality=parse_known(Quality, session.quality, None),
        started_at=instant(session.started_at_ms),
        last_seen_at=instant(session.seen_at_ms),
        heartbeat_interval_seconds=heartbeat_seconds,
    )


def instant(at_ms: int) -> datetime:
    """Convert milliseconds since 1970 to a datetime, without rounding."""
    return EPOCH + timedelta(milliseconds=at_ms)


def milliseconds(at: datetime) -> int:
    """Convert a datetime to milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def device_tag(device: Device | DeviceRecord) -> DeviceTag:
    """Convert a device to the tag that services know."""
    return DeviceTag(device.key, device.name, device.kind.value)


def device_of(tag: DeviceTag | None) -> DeviceRecord | None:
    """Convert a device tag, or None, to a record."""
    if tag is None:
        return None
    return DeviceRecord(
        key=tag.key, name=tag.name, kind=parse_known(DeviceKind, tag.kind, DeviceKind.OTHER)
    )
