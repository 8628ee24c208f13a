"""Playback sessions: one hash in Redis per running player, alive for an hour after each heartbeat.

The report script (progress_buffer.py) moves them; here they are opened and read. A session is its
user's own: the key is looked for in that user's shard, and the stored user compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from services.errors import UpstreamUnavailable
from services.progress_buffer import FLUSHED_SECONDS, Base, DeviceTag, device_json, pack
from services.progress_buffer import ProgressState as _State
from services.progress_keys import ProgressKeys
from services.redis_pool import Client, Failure
from services.scripts import Script, ScriptCalls

SESSION_SECONDS = 3600
_START = Script("start_viewing")


class ViewingSession(NamedTuple):
    """`sequence` is the last report's, -1 before the first; 0 stands for an unknown duration."""

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


class ViewingSessions:
    """One per process."""

    def __init__(self, redis: Client, scripts: ScriptCalls, keys: ProgressKeys) -> None:
        self._redis = redis
        self._scripts = scripts
        self._keys = keys

    async def start(self, session: ViewingSession, base: Base) -> ViewingSession:
        """Opens the session, unless it is open already: returns what is stored now.

        `base` is the title's progress as MongoDB has it, used only if Redis holds none: with it,
        reports do not need MongoDB.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        key = self._keys.session(session.user_id, session.session_id)
        progress_key = self._keys.progress(session.user_id, session.playable_id)
        flat = await self._scripts.call(
            _START, 2, key, progress_key, SESSION_SECONDS, FLUSHED_SECONDS,
            base.version, pack(base.state), *_fields(session, progress_key),
        )  # fmt: skip
        return _session(session.session_id, dict(zip(flat[::2], flat[1::2], strict=True)))

    async def read(self, user_id: str, session_id: str) -> ViewingSession | None:
        """The user's session; None if it ended, expired or is another user's.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        try:
            stored: dict[Any, Any] = await self._redis.hgetall(
                self._keys.session(user_id, session_id)
            )
        except Failure as error:
            raise UpstreamUnavailable("Redis did not answer in time.") from error
        if stored.get(b"user") != user_id.encode():
            return None
        return _session(session_id, stored)


def _fields(session: ViewingSession, progress_key: str) -> Sequence[str | int | float]:
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
    )  # fmt: skip


def _session(session_id: str, stored: dict[bytes, bytes]) -> ViewingSession:
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
