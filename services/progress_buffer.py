"""Progress as Redis has it, ahead of MongoDB: written by one Lua call, read by one pipeline.

Promise: what was acknowledged is in Redis without expiry, and in a stream, until a worker has
flushed it; the version of a (user, title) only grows. Redis away or full is an error.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from services import metrics
from services.errors import SessionNotFound, UpstreamUnavailable
from services.progress_keys import ProgressKeys
from services.redis_pool import Client, Failure, Guard
from services.scripts import Script, ScriptCalls

FLUSHED_SECONDS = 7 * 86400
_REPORT = Script("report_progress")
_UNFLUSHED = Script("unflushed_progress")
_UNFLUSHED_TITLES = 200  # of one user; a flush lag holds a handful
_NO_SESSION, _NO_BASE, _FULL = 0, 1, 2


class DeviceTag(msgspec.Struct, frozen=True, array_like=True):
    """Which player reported, in our own words: services know no models."""

    key: str
    name: str | None
    kind: str


class ProgressState(msgspec.Struct, frozen=True, array_like=True):
    """Packed by Lua (cmsgpack) and here alike; 0 stands for an unknown duration."""

    position_seconds: float = 0.0
    known_duration_seconds: float = 0.0
    completed: int = 0
    watch_count: int = 0
    furthest_seconds: float = 0.0
    at_ms: int = 0
    device_json: str = "null"

    @property
    def duration_seconds(self) -> float | None:
        return self.known_duration_seconds or None

    @property
    def percent(self) -> float:
        if not self.known_duration_seconds:
            return 0.0
        return min(100.0, 100 * self.position_seconds / self.known_duration_seconds)

    @property
    def device(self) -> DeviceTag | None:
        return _device.decode(self.device_json)


class Buffered(NamedTuple):
    """One user's progress in one title; `durable`: MongoDB has this version."""

    user_id: str
    playable_id: str
    version: int
    durable: bool
    state: ProgressState


class Report(NamedTuple):
    """One heartbeat. None: the next sequence, no new position, unknown duration, quality kept."""

    session_id: str
    sequence: int | None
    position_seconds: float | None
    duration_seconds: float | None
    state: str
    quality: str | None


class Base(NamedTuple):
    """What MongoDB has of a title (version 0: nothing), for Redis to count on from."""

    version: int = 0
    state: ProgressState = ProgressState()


class Outcome(Enum):
    APPLIED = "applied"
    REPEATED = "repeated"
    BASE_NEEDED = "base_needed"


class Reported(NamedTuple):
    """`progress` is None where nothing was ever reported, or a base is needed."""

    outcome: Outcome
    progress: Buffered | None


class ProgressBuffer:
    """One per process."""

    def __init__(
        self,
        redis: Client,
        scripts: ScriptCalls,
        keys: ProgressKeys,
        *,
        session_seconds: int,
        shard_entries: int,
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        self._keys = keys
        self._guard = Guard()
        self._limits = (session_seconds, shard_entries)

    async def report(
        self, user_id: str, report: Report, now_ms: int, base: Base | None = None
    ) -> Reported:
        """Applies one report if its sequence is new; a repeated one gets the stored state.

        Raises:
            SessionNotFound: no such session, or another user's.
            UpstreamUnavailable: Redis is away, or too much waits to be flushed.
        """
        keys = self._report_keys(user_id, report.session_id)
        try:
            answer = await self._scripts.call(
                _REPORT, 3, *keys, *self._packed(user_id, report, now_ms, base)
            )
        except UpstreamUnavailable:
            _FAILED.inc()
            raise
        reported = self._reported(user_id, answer)
        _COUNTERS[reported.outcome].inc()
        return reported

    async def read_many(
        self, user_id: str, playable_ids: Collection[str]
    ) -> dict[str, Buffered | None]:
        """What Redis holds of these titles, one pipeline; None: nothing was ever reported.

        Titles that Redis does not hold are absent: ask MongoDB.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        if not playable_ids:
            return {}
        self._refuse_while_away()
        pipeline = self._redis.pipeline(transaction=False)
        for playable_id in playable_ids:
            key = self._keys.progress(user_id, playable_id)
            pipeline.hmget(key, "version", "durable", "state")
        try:
            rows = await pipeline.execute()
        except Failure as error:
            self._guard.failed()
            raise UpstreamUnavailable("Redis did not answer in time.") from error
        return {
            playable_id: decode(user_id, playable_id, *row)
            for playable_id, row in zip(playable_ids, rows, strict=True)
            if row[0] is not None
        }

    async def unflushed(self, user_id: str) -> list[Buffered]:
        """What MongoDB may not have yet of this user, newest first.

        Raises:
            UpstreamUnavailable: Redis is away.
        """
        self._refuse_while_away()
        before, after = self._keys.progress(user_id, "\0").split("\0")
        rows = await self._scripts.call(
            _UNFLUSHED, 1, self._keys.unflushed(user_id), before, after, _UNFLUSHED_TITLES
        )
        decoded = (decode(user_id, row[0].decode(), *row[1:]) for row in rows)
        return [progress for progress in decoded if progress is not None]

    def _refuse_while_away(self) -> None:
        if not self._guard.allows():
            raise UpstreamUnavailable("Redis did not answer in time.")

    def _report_keys(self, user_id: str, session_id: str) -> tuple[str, str, str]:
        keys = self._keys
        return (
            keys.session(user_id, session_id),
            keys.unflushed(user_id),
            keys.stream(keys.shard(user_id)),
        )

    def _packed(
        self, user_id: str, report: Report, now_ms: int, base: Base | None
    ) -> tuple[bytes, ...]:
        version = base.version if base is not None else None
        _, sequence, position, duration, *rest = report
        packed = _packer.encode(
            (user_id, sequence, position, duration or 0, *rest, now_ms, *self._limits, version)
        )
        return (packed, pack(base.state)) if base is not None else (packed,)

    def _reported(self, user_id: str, answer: Any) -> Reported:
        if answer == _NO_SESSION:
            _UNKNOWN.inc()
            raise SessionNotFound("There is no such playback session: start playback again.")
        if answer == _FULL:
            _FAILED.inc()
            raise UpstreamUnavailable(
                "Too much progress waits to be stored; try again.", retry_after_seconds=10
            )
        if answer == _NO_BASE:
            return Reported(Outcome.BASE_NEEDED, None)
        applied, playable_id, *row = answer
        progress = decode(user_id, playable_id.decode(), *row)
        return Reported(Outcome.APPLIED if applied else Outcome.REPEATED, progress)


_FAILED = metrics.progress_reports_total.labels("failed")
_UNKNOWN = metrics.progress_reports_total.labels("session_not_found")
_COUNTERS = {outcome: metrics.progress_reports_total.labels(outcome.value) for outcome in Outcome}
_state = msgspec.msgpack.Decoder(ProgressState)
_device: msgspec.json.Decoder[DeviceTag | None] = msgspec.json.Decoder(DeviceTag | None)
_packer = msgspec.msgpack.Encoder()


def pack(state: ProgressState) -> bytes:
    return _packer.encode(state)


def decode(
    user_id: str, playable_id: str, version: Any, durable: Any, packed: bytes
) -> Buffered | None:
    """One stored row; None for version 0, which only says that there is nothing yet.

    Raises:
        ValueError: not written by us.
    """
    number = int(version)
    if number == 0:
        return None
    return Buffered(user_id, playable_id, number, number == int(durable), _state.decode(packed))


def device_json(device: DeviceTag | None) -> str:
    return msgspec.json.encode(device).decode()
