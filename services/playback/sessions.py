"""Playback sessions: one hash in Redis per running player.

It expires an hour after the last heartbeat. The report script (buffer.py) updates them; here they
are opened, counted and read. One that is silent for three heartbeats counts no more against the
user's streams, but may come back. A session is its user's own: its key is in that user's shard, and
the stored user is compared.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from services.errors import TooManyStreams
from services.playback.keys import ProgressKeys
from services.playback.progress_scripts import progress_script
from services.playback.state import Base, DeviceTag, device_json, pack_state
from services.playback.state import ProgressState as _State
from services.redis.link import RedisLink
from services.redis.scripts import Script

SESSION_SECONDS = 3600
MOST_STREAMS = 100  # of one user, whatever the settings say
_START = progress_script("start_viewing")
_PLAYING = Script("playback", "playing_sessions")
_MISSED_HEARTBEATS = 3


class ViewingSession(NamedTuple):
    """Playback session; `sequence` is the last report's, -1 before; duration 0: unknown.

    `watched_seconds` and `is_finished` are set where a session that Redis lost is opened again.
    """

    session_id: str
    user_id: str
    playable_id: str
    device: DeviceTag | None
    state: str
    position_seconds: float
    duration_seconds: float
    quality: str | None
    started_at_ms: int
    seen_at_ms: int
    sequence: int = -1
    watched_seconds: float = 0.0
    is_finished: bool = False


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


def _encode_fields(session: ViewingSession, progress_key: str) -> Sequence[str | int | float]:
    return (
        "user", session.user_id,
        "playable", session.playable_id,
        "progress", progress_key,
        "device", device_json(session.device),
        "state", session.state,
        "sequence", session.sequence,
        "position", session.position_seconds,
        "duration", session.duration_seconds,
        "quality", session.quality or "",
        "started_at", session.started_at_ms,
        "seen_at", session.seen_at_ms,
        "watched", session.watched_seconds,
        "finished", int(session.is_finished),
    )  # fmt: skip


def _decode_session(session_id: str, stored: dict[bytes, bytes]) -> ViewingSession:
    text = {name.decode(): value.decode() for name, value in stored.items()}
    return ViewingSession(
        session_id=session_id,
        user_id=text["user"],
        playable_id=text["playable"],
        device=_State(device_json=text["device"]).device,
        state=text["state"],
        position_seconds=float(text["position"]),
        duration_seconds=float(text["duration"]),
        quality=text["quality"] or None,
        started_at_ms=int(text["started_at"]),
        seen_at_ms=int(text["seen_at"]),
        sequence=int(text["sequence"]),
    )
