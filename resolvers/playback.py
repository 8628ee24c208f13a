"""Watching: sessions start, report and stop; progress is told as its viewer last left it.

Reports go to Redis in one call and reach MongoDB behind (workers/flush_progress.py); reads take
Redis over MongoDB. A viewer sees and moves only what is the viewer's own.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import loaders
import models
from models import ids
from resolvers.catalog import PAGE_SIZE, bounded, require_kind
from resolvers.context import Context
from services import cursors
from services.errors import (
    Conflict,
    InvalidCursor,
    NotFound,
    SessionNotFound,
    UpstreamUnavailable,
    ValidationFailed,
)
from services.progress_buffer import DeviceTag, Outcome, Report, Reported
from services.quality import Quality
from services.viewing_sessions import ViewingSession

MAX_SEQUENCE = 2**31 - 1  # GraphQL's largest Int
_MAX_SECONDS = 48 * 3600.0
_PAST_THE_END_SECONDS = 5  # players overshoot their own duration by a segment's rounding
_MAX_KEY_CHARACTERS = 128
_MAX_NAME_CHARACTERS = 80
_REPORTABLE = frozenset(models.PlaybackState) - {models.PlaybackState.EXPIRED}
_ORDER = "continue_watching"


@dataclass(frozen=True, slots=True)
class Started:
    session: models.PlaybackSession
    progress: models.LiveProgress | None


@dataclass(frozen=True, slots=True)
class Applied:
    """`applied` is False for a repeated or late report; `progress` is what is stored now."""

    progress: models.LiveProgress | None
    applied: bool


@dataclass(frozen=True, slots=True)
class ProgressConnection:
    """A page of progress and what is needed to make cursors of it."""

    nodes: list[models.LiveProgress]
    has_next_page: bool
    has_previous_page: bool
    secret: bytes

    @property
    def start_cursor(self) -> str | None:
        return self.cursor(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self.cursor(self.nodes[-1]) if self.nodes else None

    def cursor(self, progress: models.LiveProgress) -> str:
        at_ms = models.milliseconds(progress.last_watched_at)
        return cursors.encode(self.secret, _ORDER, cursors.Position(at_ms, progress.id))


async def start_playback(
    context: Context,
    playable_id: str,
    device: models.Device,
    *,
    quality: Quality | None = None,
    start_at_seconds: float | None = None,
    idempotency_key: str | None = None,
) -> Started:
    """Opens a session at the given or the stored position; the same key opens it only once.

    Raises:
        NotFound: there is no such title, or it does not play.
        Conflict: the idempotency key was used for another title.
        ValidationFailed, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    _check_start(device, start_at_seconds, idempotency_key)
    runtime_seconds = await _runtime_seconds(context, playable_id)
    progress = await context.load(loaders.ProgressByPlayableId, playable_id)
    duration = (progress and progress.duration_seconds) or runtime_seconds or 0
    now_ms = _now_ms(context)
    opened = await context.runtime.playback.sessions.start(
        ViewingSession(
            session_id=_session_id(viewer.user_id, idempotency_key),
            user_id=viewer.user_id,
            playable_id=playable_id,
            device=DeviceTag(device.key, device.name, device.kind.value),
            state=models.PlaybackState.PLAYING.value,
            position_seconds=_start_position(start_at_seconds, progress, duration),
            duration_seconds=duration,
            quality=quality.value if quality is not None else None,
            started_at_ms=now_ms,
            seen_at_ms=now_ms,
        ),
        models.progress_base(progress),
    )
    if opened.playable_id != playable_id:
        raise Conflict("This key already started another title.", path=["idempotencyKey"])
    return Started(_described(context, opened), progress)


async def report_progress(
    context: Context,
    session_id: str,
    sequence: int,
    position_seconds: float,
    *,
    duration_seconds: float | None = None,
    state: models.PlaybackState = models.PlaybackState.PLAYING,
    quality: Quality | None = None,
) -> Applied:
    """Moves the viewer's progress, once per sequence; one call to Redis.

    Raises:
        SessionNotFound: unknown, expired or another viewer's.
        UpstreamUnavailable: not stored for certain; send the same sequence again.
        ValidationFailed, Unauthenticated.
    """
    _check_report(sequence, position_seconds, duration_seconds, state)
    report = Report(
        session_id,
        sequence,
        position_seconds,
        duration_seconds,
        state.value,
        quality.value if quality is not None else None,
    )
    return await _apply(context, report)


async def stop_playback(
    context: Context, session_id: str, position_seconds: float | None = None
) -> Applied:
    """Ends the session, with a last position if one is given. Stopping again changes nothing.

    Raises: as report_progress.
    """
    if position_seconds is not None:
        _check_seconds(position_seconds, "positionSeconds")
    state = models.PlaybackState.STOPPED.value
    return await _apply(context, Report(session_id, None, position_seconds, None, state, None))


async def playback_session(context: Context, session_id: str) -> models.PlaybackSession | None:
    """The viewer's own session, or None once it expired."""
    viewer = context.require(models.Role.USER)
    if ids.kind_of(session_id) != "session":
        return None
    found = await context.runtime.playback.sessions.read(viewer.user_id, session_id)
    return _described(context, found) if found is not None else None


async def progress_of(
    context: Context, playable_ids: Collection[str]
) -> dict[str, models.LiveProgress | None]:
    """The viewer's progress by title; two reads at most. Nobody signed in: None for all."""
    return await context.load_many(loaders.ProgressByPlayableId, playable_ids)


async def sessions_by_id(
    context: Context, session_ids: Collection[str]
) -> dict[str, models.PlaybackSession]:
    """Those that are the viewer's own and alive; for `node`."""
    if context.viewer is None:
        return {}
    found = {id_: await playback_session(context, id_) for id_ in session_ids}
    return {id_: session for id_, session in found.items() if session is not None}


async def progress_by_id(
    context: Context, progress_ids: Collection[str]
) -> dict[str, models.LiveProgress]:
    """Those that are the viewer's own, Redis over MongoDB; for `node`."""
    if context.viewer is None:
        return {}
    user_id = context.viewer.user_id
    live = {one.id: one for one in (await _unflushed(context, user_id)).values()}
    rest = [id_ for id_ in progress_ids if id_ not in live]
    stored = await models.find_by_id(models.ViewingProgress, models.LiveProgress, rest)
    found = {id_: one for id_, one in stored.items() if one.user_id == user_id}
    return found | {id_: live[id_] for id_ in progress_ids if id_ in live}


async def continue_watching(
    context: Context, first: int | None = None, after: str | None = None
) -> ProgressConnection:
    """What the viewer began and did not finish, last watched first.

    Redis is read before MongoDB: what is flushed between the two is then in the second.

    Raises:
        ValidationFailed, InvalidCursor, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    size = bounded(first, "first", PAGE_SIZE)
    secret = context.runtime.settings.secret_bytes
    before = _position(secret, after) if after is not None else None
    live = await _unflushed(context, viewer.user_id)
    stored = await models.unfinished_progress(
        viewer.user_id, before=before, without=list(live), limit=size + 1
    )
    wanted = [one for one in live.values() if _belongs(one, before)]
    rows = sorted(wanted + stored, key=_place, reverse=True)[: size + 1]
    return ProgressConnection(rows[:size], len(rows) > size, after is not None, secret)


async def _apply(context: Context, report: Report) -> Applied:
    viewer = context.require(models.Role.USER)
    if ids.kind_of(report.session_id) != "session":
        raise SessionNotFound("There is no such playback session: start playback again.")
    reported = await context.progress_buffer.report(viewer.user_id, report, _now_ms(context))
    if reported.outcome is Outcome.BASE_NEEDED:
        reported = await _apply_on_base(context, viewer.user_id, report)
    if reported.progress is None:
        return Applied(None, reported.outcome is Outcome.APPLIED)
    progress = models.live_progress(reported.progress)
    context.loader(loaders.ProgressByPlayableId).renew(progress)
    return Applied(progress, reported.outcome is Outcome.APPLIED)


async def _apply_on_base(context: Context, user_id: str, report: Report) -> Reported:
    """Redis let go of a flushed title while its session lived: MongoDB has the newest of it."""
    session = await context.runtime.playback.sessions.read(user_id, report.session_id)
    if session is None:
        raise SessionNotFound("There is no such playback session: start playback again.")
    stored = await models.progress_by_playable(user_id, [session.playable_id])
    base = models.progress_base(stored.get(session.playable_id))
    return await context.progress_buffer.report(user_id, report, _now_ms(context), base)


async def _runtime_seconds(context: Context, playable_id: str) -> int | None:
    require_kind(playable_id, path=["playableId"])
    playable = await context.load(loaders.PlayableById, playable_id)
    if playable is None:
        raise NotFound("There is no such film or episode.", path=["playableId"])
    return playable.runtime_seconds  # type: ignore[no-any-return]


async def _unflushed(context: Context, user_id: str) -> dict[str, models.LiveProgress]:
    try:
        rows = await context.progress_buffer.unflushed(user_id)
    except UpstreamUnavailable:
        return {}  # MongoDB alone: the last seconds may be missing
    return {row.playable_id: models.live_progress(row) for row in rows}


def _belongs(progress: models.LiveProgress, before: tuple[int, str] | None) -> bool:
    unfinished = not progress.completed and progress.position_seconds > 0
    return unfinished and (before is None or _place(progress) < before)


def _place(progress: models.LiveProgress) -> tuple[int, str]:
    return models.milliseconds(progress.last_watched_at), progress.id


def _position(secret: bytes, after: str) -> tuple[int, str]:
    value, last_id = cursors.decode(secret, _ORDER, after, "after")
    if not isinstance(value, int):
        raise InvalidCursor("`after` is not a cursor of this list.", path=["after"])
    return value, last_id


def _start_position(
    asked_seconds: float | None, progress: models.LiveProgress | None, duration_seconds: float
) -> float:
    """Where it was left, unless it was finished or another place is asked for."""
    if asked_seconds is not None:
        return min(asked_seconds, duration_seconds) if duration_seconds else asked_seconds
    if progress is None or progress.completed:
        return 0.0
    return progress.position_seconds


def _session_id(user_id: str, idempotency_key: str | None) -> str:
    if idempotency_key is None:
        return ids.new("session")
    return ids.derive("session", user_id, idempotency_key)


def _described(context: Context, session: ViewingSession) -> models.PlaybackSession:
    return models.playback_session(session, context.runtime.settings.playback_heartbeat_seconds)


def _now_ms(context: Context) -> int:
    return int(context.runtime.clock() * 1000)


def _check_start(
    device: models.Device, start_at_seconds: float | None, idempotency_key: str | None
) -> None:
    _check_text(device.key, ["device", "key"], _MAX_KEY_CHARACTERS)
    if device.name is not None:
        _check_text(device.name, ["device", "name"], _MAX_NAME_CHARACTERS)
    if start_at_seconds is not None:
        _check_seconds(start_at_seconds, "startAtSeconds")
    if idempotency_key is not None:
        _check_text(idempotency_key, ["idempotencyKey"], _MAX_KEY_CHARACTERS)


def _check_report(
    sequence: int,
    position_seconds: float,
    duration_seconds: float | None,
    state: models.PlaybackState,
) -> None:
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise ValidationFailed("`sequence` counts up from 0.", path=["sequence"])
    _check_seconds(position_seconds, "positionSeconds")
    if state not in _REPORTABLE:
        raise ValidationFailed("A player cannot report this state.", path=["state"])
    if duration_seconds is None:
        return
    _check_seconds(duration_seconds, "durationSeconds")
    if duration_seconds == 0:
        raise ValidationFailed("`durationSeconds` must be above 0.", path=["durationSeconds"])
    if position_seconds > duration_seconds + _PAST_THE_END_SECONDS:
        raise ValidationFailed("The position is beyond the end.", path=["positionSeconds"])


def _check_seconds(value: float, name: str) -> None:
    if not math.isfinite(value) or not 0 <= value <= _MAX_SECONDS:
        raise ValidationFailed(f"`{name}` must be seconds from 0 to two days.", path=[name])


def _check_text(value: str, path: list[str], most: int) -> None:
    if not value.strip() or len(value) > most:
        raise ValidationFailed(f"`{path[-1]}` must be 1 to {most} characters.", path=path)
