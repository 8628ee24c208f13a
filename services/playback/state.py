"""State of a viewer's progress, as Redis, the streams and the conflict rule share it.

Packed alike here (msgspec) and in Lua (cmsgpack): fields are identified by their position, new ones
go to the end, and what an older version packed reads with their defaults.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from services.errors import ValidationFailed

FLUSHED_SECONDS = 7 * 86400  # how long Redis keeps what MongoDB has
PERMANENT_HOLD_MS = 253_402_300_799_000  # the year 9999: also no earlier session takes over


class DeviceTag(msgspec.Struct, frozen=True, array_like=True):
    """Player that reported; services do not know the models' device."""

    key: str
    name: str | None
    kind: str


class ProgressState(msgspec.Struct, frozen=True, array_like=True):
    """Progress in one title; 0 stands for an unknown duration and for an instant that never was.

    `stamp_ms` orders changes wherever they were made: the time, but always above the one before.
    `session_id` and `sequence` are the last applied report's; `session_counted`: that session
    added to `watch_count`. The holder of the position, until when and since when: conflict_rule.py.
    `finished_at_ms` is the latest end that a mark or an offline event told.
    """

    position_seconds: float = 0.0
    known_duration_seconds: float = 0.0
    completed: int = 0
    watch_count: int = 0
    furthest_seconds: float = 0.0
    at_ms: int = 0
    device_json: str = "null"
    stamp_ms: int = 0
    session_id: str = ""
    sequence: int = -1
    session_counted: int = 0
    claimed_ms: int = 0
    held_until_ms: int = 0
    dismissed_at_ms: int = 0
    reset_at_ms: int = 0
    finished_at_ms: int = 0

    @property
    def duration_seconds(self) -> float | None:
        """Length in seconds; None: unknown."""
        return self.known_duration_seconds or None

    @property
    def percent(self) -> float:
        """Position in percent of the length, at most 100; 0 where the length is unknown."""
        if not self.known_duration_seconds:
            return 0.0
        return min(100.0, 100 * self.position_seconds / self.known_duration_seconds)

    @property
    def device(self) -> DeviceTag | None:
        """Player of the last applied change."""
        return decode_device(self.device_json)


class BufferedProgress(NamedTuple):
    """One user's progress in one title; `durable`: MongoDB has this state.

    `is_verified`: it was written or compared with MongoDB since Redis was restarted or replaced;
    otherwise MongoDB may have a later state.
    """

    user_id: str
    playable_id: str
    version: int
    durable: bool
    state: ProgressState
    is_verified: bool = True


class Base(NamedTuple):
    """State in MongoDB (version 0: none), from which Redis continues."""

    version: int = 0
    state: ProgressState = ProgressState()


class SessionState(msgspec.Struct, frozen=True):
    """A playback session as the rule sees it; a new one needs the first four and a duration.

    `position_seconds` is the last reported one, before the first report where it began;
    `claimed_ms` is when it began or last sought; `finished`: it reached the end; `is_blind`: it
    began while nobody knew the stored progress.
    """

    session_id: str
    device_json: str
    started_ms: int
    position_seconds: float
    duration_seconds: float = 0.0
    state: str = "PLAYING"
    quality: str | None = None
    sequence: int = -1
    seen_ms: int = 0
    claimed_ms: int = 0
    watched_seconds: float = 0.0
    counted: bool = False
    finished: bool = False
    is_blind: bool = False


class Report(NamedTuple):
    """One heartbeat; None: next sequence, same position, unknown duration, same quality."""

    session_id: str
    sequence: int | None
    position_seconds: float | None
    duration_seconds: float | None
    state: str
    quality: str | None
    seeked: bool = False


class Rules(NamedTuple):
    """Thresholds of completion, and of the conflict rule (conflict_rule.py)."""

    completed_percent: float = 90
    completed_least_seconds: float = 300
    short_session_seconds: float = 60
    hold_seconds: float = 30


class ReportOutcome(Enum):
    """Outcome of a report. UNCHANGED: new, but the stored position stays. REPEATED: seen before.

    `text` is the value, an attribute read faster than the enum's.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    APPLIED = "applied"
    UNCHANGED = "kept"  # the metric's label keeps its name
    REPEATED = "repeated"
    BASE_NEEDED = "base_needed"


class BufferReply(NamedTuple):
    """Answer to a report; `progress` is None where there is none, or a base is needed."""

    outcome: ReportOutcome
    progress: BufferedProgress | None


def pack_state(state: ProgressState) -> bytes:
    """Encode a state as msgpack, as the Lua scripts read it."""
    return _packer.encode(state)


def decode_progress(
    user_id: str,
    playable_id: str,
    version: Any,
    durable_ms: Any,
    packed: bytes,
    is_verified: int = 1,
) -> BufferedProgress | None:
    """Decode one stored row; None for version 0, which says that there is nothing yet.

    `durable_ms` is the stamp that MongoDB has; None: Redis never changed what came from there.

    Raises:
        ValueError: not written by us.
    """
    number = int(version)
    if number == 0:
        return None
    state = _state.decode(packed)
    durable = durable_ms is None or int(durable_ms) == state.stamp_ms
    return BufferedProgress(user_id, playable_id, number, durable, state, bool(is_verified))


def device_json(device: DeviceTag | None) -> str:
    """Encode a device as JSON text; "null" for None."""
    return msgspec.json.encode(device).decode()


def decode_device(text: str) -> DeviceTag | None:
    """Decode a device from JSON text, as `device_json` made it."""
    return _device.decode(text)


def validate_seconds(*seconds: float | None) -> None:
    """Refuse values that are no length of time: stored, they would stay for ever.

    Raises:
        ValidationFailed: negative, infinite or not a number.
    """
    for value in seconds:
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValidationFailed("Positions and durations are seconds from 0.")


_state = msgspec.msgpack.Decoder(ProgressState)
_device: msgspec.json.Decoder[DeviceTag | None] = msgspec.json.Decoder(DeviceTag | None)
_packer = msgspec.msgpack.Encoder()
