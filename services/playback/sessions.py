"""Playback sessions: one hash in Redis per running player.

It expires an hour after the last heartbeat. The report script (buffer.py) updates them; here they
are opened, counted and read. One that is silent for three heartbeats counts no more against the
user's streams, but may come back. A session is its user's own: its key is in that user's shard, and
the stored user is compared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from services.errors import TooManyStreams
from services.playback.keys import ProgressKeys
from services.playback.progress_scripts import progress_script
from services.playback.state import Base, DeviceTag, decode_device, pack_state
from services.redis.link import RedisLink
from services.redis.scripts import Script

SESSION_SECONDS = 3600
MOST_STREAMS = 100  # of one user, whatever the settings say
_START = progress_script("start_viewing")
_PLAYING = Script("playback", "playing_sessions")
_MISSED_HEARTBEATS = 3
_STORED_NAMES = {
    "user_id": "user",
    "playable_id": "playable",
    "device_json": "device",
    "position_seconds": "position",
    "duration_seconds": "duration",
    "started_at_ms": "started_at",
    "seen_at_ms": "seen_at",
    "watched_seconds": "watched",
    "is_finished": "finished",
}


class ViewingSession(msgspec.Struct, frozen=True, kw_only=True, rename=_STORED_NAMES):
    """Playback session; `sequence` is the last report's, -1 before; duration 0: unknown.

    Stored by name, in the words of the Lua scripts; what is empty or absent has its default.
    """

    session_id: str
    user_id: str
    playable_id: str
    state: str
    position_seconds: float
    started_at_ms: int
    seen_at_ms: int
    device_json: str = "null"
    duration_seconds: float = 0.0
    quality: str | None = None
    sequence: int = -1
    watched_seconds: float = 0.0
    is_finished: bool = False

    @property
    def device(self) -> DeviceTag | None:
        """Player that plays it."""
        return decode_device(self.device_json)

    def replace(self, **changes: Any) -> ViewingSession:
        """Copy the session with these fields changed."""
        return msgspec.structs.replace(self, **changes)


class ViewingSessions:
    """Playback sessions of all users, one object per process."""

    def __init__(self, redis: RedisLink, keys: ProgressKeys, *, heartbeat_seconds: int) -> None:
        self._redis = redis
        self._keys = keys
        self.silent_after_ms = heartbeat_seconds * _MISSED_HEARTBEATS * 1000

    def is_silent(self, session: ViewingSession, now_ms: int) -> bool:
        """Say whether the session missed three heartbeats, so that it counts no more."""
        return now_ms - session.seen_at_ms > self.silent_after_ms

    async def start(
        self, session: ViewingSession, base: Base | None, most_streams: int = MOST_STREAMS
    ) -> ViewingSession:
        """Open the session unless it is open already; returns what is stored now.

        `base` is the title's progress as MongoDB has it, used if Redis holds none, or none that is
        verified: with it, reports do not need MongoDB. None: it is not known.

        Raises:
            TooManyStreams: the user's other sessions are as many as may play.
            UpstreamUnavailable: Redis is away.
        """
        user_id = session.user_id
        progress_key = self._keys.progress(user_id, session.playable_id)
        flat = await self._redis.scripts.call(
            _START, 4,
            self._keys.session(user_id, session.session_id), progress_key,
            self._keys.viewing(user_id), self._keys.unflushed(user_id),
            session.session_id, session.playable_id, SESSION_SECONDS,
            session.seen_at_ms, self.silent_after_ms, most_streams,
            base.version if base is not None else "",
            pack_state(base.state) if base is not None else "",
            *_encode_fields(session, progress_key), "playing", self._keys.viewing(user_id),
        )  # fmt: skip
        if not flat:
            raise TooManyStreams.of(most_streams)
        return _decode_session(session.session_id, _pair_fields(flat))

    async def read_many(
        self, user_id: str, session_ids: Collection[str]
    ) -> dict[str, ViewingSession]:
        """Read the user's sessions in one pipeline; expired and foreign ones are absent.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        if not session_ids:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        for session_id in session_ids:
            pipeline.hgetall(self._keys.session(user_id, session_id))
        with self._redis.translate_errors():
            rows: list[dict[Any, Any]] = await pipeline.execute()
        return {
            session_id: _decode_session(session_id, row)
            for session_id, row in zip(session_ids, rows, strict=True)
            if row.get(b"user") == user_id.encode()
        }

    async def read(self, user_id: str, session_id: str) -> ViewingSession | None:
        """Read the user's session; None if it is expired or another user's.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        return (await self.read_many(user_id, [session_id])).get(session_id)

    async def list_playing(self, user_id: str, now_ms: int) -> list[ViewingSession]:
        """List the sessions that count against the user's streams, latest report first.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        before, after = self._keys.session(user_id, "\0").split("\0")
        rows = await self._redis.scripts.call(
            _PLAYING, 1, self._keys.viewing(user_id),
            before, after, now_ms - self.silent_after_ms, MOST_STREAMS,
        )  # fmt: skip
        return [_decode_session(id_.decode(), _pair_fields(flat)) for id_, flat in rows]


def _pair_fields(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _encode_fields(session: ViewingSession, progress_key: str) -> list[str | int | float]:
    fields = msgspec.to_builtins(session) | {"progress": progress_key}
    del fields["session_id"]  # part of the key
    stored = {name: value for name, value in fields.items() if value is not None}
    return [part for name, value in stored.items() for part in (name, _encode_value(value))]


def _encode_value(value: str | int | float) -> str | int | float:
    return int(value) if isinstance(value, bool) else value


def _decode_session(session_id: str, stored: Mapping[bytes, bytes]) -> ViewingSession:
    fields = {name.decode(): value.decode() for name, value in stored.items() if value}
    return msgspec.convert(fields | {"session_id": session_id}, ViewingSession, strict=False)
