"""Playback sessions: started, stopped and read, Redis over MongoDB.

Reports are applied by reports.py. Viewers see and change their own sessions alone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import loaders
import models
from models.mongo import ids
from resolvers.context import Context
from resolvers.paging import require_kind
from resolvers.playback import reports, session_starts
from resolvers.playback.durations import measured_durations
from services.errors import (
    Conflict,
    NotFound,
    UpstreamUnavailable,
    ValidationFailed,
)
from services.playback.sessions import ViewingSession
from services.playback.state import Base, Report, device_json
from services.quality import Quality

_MAX_KEY_CHARACTERS = 128
_MAX_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class StartedPlayback:
    """An open session, and the progress it continues."""

    session: models.PlaybackSession
    progress: models.LiveProgress | None


async def start_playback(
    context: Context,
    playable_id: str,
    device: models.Device,
    *,
    quality: Quality | None = None,
    start_at_seconds: float | None = None,
    idempotency_key: str | None = None,
) -> StartedPlayback:
    """Open a session at a given or the stored position; the same key opens it only once.

    Raises:
        NotFound: there is no such title, or it does not play.
        Conflict: the idempotency key was used for another title.
        TooManyStreams: as many sessions play as the viewer's tier allows.
        ValidationFailed, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    _check_start(device, start_at_seconds, idempotency_key)
    title = await _playable(context, playable_id)
    progress, base = await _progress(context, playable_id)
    duration = await _duration_seconds(context, title, progress)
    now_ms = _now_ms(context)
    requested = ViewingSession(
        session_id=_session_id(viewer.user_id, idempotency_key),
        user_id=viewer.user_id,
        playable_id=playable_id,
        device_json=device_json(models.device_tag(device)),
        state=models.PlaybackState.PLAYING.value,
        position_seconds=_start_position(start_at_seconds, progress, duration),
        duration_seconds=duration,
        quality=quality.value if quality is not None else None,
        started_at_ms=now_ms,
        seen_at_ms=now_ms,
    )
    opened = await session_starts.open_session(context, viewer, requested, base)
    if opened.playable_id != playable_id:
        raise Conflict("This key already started another title.", path=["idempotencyKey"])
    return StartedPlayback(_describe(context, opened), progress)


async def stop_playback(
    context: Context, session_id: str, position_seconds: float | None = None
) -> reports.ReportResult:
    """End the session, with a last position if there is one. Repeating it changes nothing.

    Raises: as reports.report_progress.
    """
    if position_seconds is not None:
        reports.check_seconds(position_seconds, "positionSeconds")
    state = models.PlaybackState.STOPPED.value
    return await reports.apply_report(
        context, Report(session_id, None, position_seconds, None, state, None)
    )


async def playback_session(context: Context, session_id: str) -> models.PlaybackSession | None:
    """The viewer's own session; None an hour after its last report.

    Raises:
        ValidationFailed: the id is malformed.
        Unauthenticated, UpstreamUnavailable.
    """
    context.require(models.Role.USER)
    require_kind(session_id)
    return (await sessions_by_id(context, [session_id])).get(session_id)


async def now_playing(context: Context) -> list[models.PlaybackSession]:
    """The viewer's sessions with a report within three heartbeats, the newest report first.

    Raises:
        Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    sessions = await context.runtime.playback.sessions.list_playing(
        viewer.user_id, _now_ms(context)
    )
    return [_describe(context, session) for session in sessions]


async def sessions_by_id(
    context: Context, session_ids: Collection[str]
) -> dict[str, models.PlaybackSession]:
    """The viewer's own sessions among these ids that have not expired; for `node`."""
    viewer = context.viewer
    valid_ids = [id_ for id_ in session_ids if ids.kind_of(id_) == "session"]
    if viewer is None or not valid_ids:
        return {}
    sessions = await context.runtime.playback.sessions.read_many(viewer.user_id, valid_ids)
    missing_ids = [id_ for id_ in valid_ids if id_ not in sessions]
    if missing_ids:
        sessions |= await session_starts.find_missing(context, viewer, missing_ids)
    return {id_: _describe(context, session) for id_, session in sessions.items()}


async def _progress(
    context: Context, playable_id: str
) -> tuple[models.LiveProgress | None, Base | None]:
    """The viewer's progress and the base for reports.

    The base is None while MongoDB does not answer; reports then read it later.
    """
    try:
        progress = await context.load(loaders.ProgressByPlayableId, playable_id)
    except UpstreamUnavailable:
        return None, None
    return progress, models.progress_base(progress)


async def _playable(
    context: Context, playable_id: str
) -> models.MovieRecord | models.EpisodeRecord:
    require_kind(playable_id, path=["playableId"])
    playable = await context.load(loaders.PlayableById, playable_id)
    if playable is None:
        raise NotFound("There is no such film or episode.", path=["playableId"])
    return playable  # type: ignore[no-any-return]


async def _duration_seconds(
    context: Context,
    title: models.MovieRecord | models.EpisodeRecord,
    progress: models.LiveProgress | None,
) -> float:
    """The measured length of our own copy, else what a player told, else the run time, else 0."""
    measured = await measured_durations(context, [title.id])
    reported = progress.duration_seconds if progress is not None else None
    return measured.get(title.id) or reported or title.runtime_seconds or 0.0


def _start_position(
    start_at_seconds: float | None, progress: models.LiveProgress | None, duration_seconds: float
) -> float:
    """Where to start: as asked, else where it was stopped, else at 0 when it was completed."""
    if start_at_seconds is not None:
        return min(start_at_seconds, duration_seconds) if duration_seconds else start_at_seconds
    if progress is None or progress.completed:
        return 0.0
    return progress.position_seconds


def _session_id(user_id: str, idempotency_key: str | None) -> str:
    if idempotency_key is None:
        return ids.new("session")
    return ids.derive("session", user_id, idempotency_key)


def _describe(context: Context, session: ViewingSession) -> models.PlaybackSession:
    runtime = context.runtime
    is_silent = runtime.playback.sessions.is_silent(session, _now_ms(context))
    if is_silent and session.state != models.PlaybackState.STOPPED.value:
        session = session.replace(state=models.PlaybackState.EXPIRED.value)
    return models.playback_session(session, runtime.settings.playback_heartbeat_seconds)


def _now_ms(context: Context) -> int:
    return int(context.runtime.clock() * 1000)


def _check_start(
    device: models.Device, start_at_seconds: float | None, idempotency_key: str | None
) -> None:
    _check_text(device.key, ["device", "key"], _MAX_KEY_CHARACTERS)
    if device.name is not None:
        _check_text(device.name, ["device", "name"], _MAX_NAME_CHARACTERS)
    if start_at_seconds is not None:
        reports.check_seconds(start_at_seconds, "startAtSeconds")
    if idempotency_key is not None:
        _check_text(idempotency_key, ["idempotencyKey"], _MAX_KEY_CHARACTERS)


def _check_text(value: str, path: list[str], max_characters: int) -> None:
    if not value.strip() or len(value) > max_characters:
        raise ValidationFailed(f"`{path[-1]}` must be 1 to {max_characters} characters.", path=path)
