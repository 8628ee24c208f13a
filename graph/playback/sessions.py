"""Playback as clients see it: sessions start, report and stop."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import strawberry

import loaders
import models
from graph.base.devices import Device, DeviceInput
from graph.base.enums import describe_enum
from graph.base.errors import UserError
from graph.base.fields import plain, relation, resolver
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.payloads import capture_user_errors
from graph.base.scalars import DateTime
from graph.playback.progress import ViewingProgress
from models import Role
from resolvers.playback import reports, sessions
from services import errors
from services.quality import Quality

if TYPE_CHECKING:
    from graph.catalog.catalog import Playable

describe_enum(
    models.PlaybackState,
    "What a player is doing.",
    {
        "PLAYING": "It plays.",
        "PAUSED": "It waits for somebody.",
        "BUFFERING": "It waits for data.",
        "STOPPED": "It ended; the session takes no more reports.",
        "EXPIRED": "It was not heard of for three heartbeats, so it counts no more among the "
        "streams; a report within the hour brings it back. Told, never reported.",
    },
)


def _playable_id(session: strawberry.Parent[models.PlaybackSession]) -> str:
    return session.playable_id


@strawberry.type(
    description="One title playing on one device, until an hour after it was last heard."
)
class PlaybackSession(Node):
    playable: Annotated[Playable, strawberry.lazy("graph.catalog.catalog")] | None = relation(
        _playable_id, loaders.PlayableById, "What plays; null if it is gone.", needs=["playable_id"]
    )
    device: Device = plain("What it plays on.")
    state: models.PlaybackState = plain("What the player is doing.")
    position_seconds: float = plain("Where it is, or where to begin.")
    duration_seconds: float | None = plain("How long it runs, as far as known.")
    quality: Quality | None = plain("How fine the picture is, as the player told.")
    started_at: DateTime = plain("When it was opened.")
    last_seen_at: DateTime = plain("When its player last reported.")
    heartbeat_interval_seconds: int = plain(
        "How often to call reportProgress, also while it is paused; silent for three times as "
        "long, it expires."
    )

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.PlaybackSession)


@strawberry.input(description="What to play, and on what.")
class StartPlaybackInput:
    playable_id: strawberry.ID = strawberry.field(description="The film or episode.")
    device: DeviceInput = strawberry.field(description="The device it plays on.")
    quality: Quality | None = strawberry.field(
        default=None, description="How fine the picture will be."
    )
    start_at_seconds: float | None = strawberry.field(
        default=None, description="Where to begin; otherwise where it was left."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Chosen by the client: starting again with the same one, after a lost answer, "
        "gives the same session. 1 to 128 characters.",
    )


@strawberry.input(description="Where a player is.")
class ReportProgressInput:
    session_id: strawberry.ID = strawberry.field(description="The session startPlayback gave.")
    sequence: int = strawberry.field(
        description="Counts a session's reports up from 0; one that is not above the last is "
        "answered, but changes nothing, so a report may be sent again."
    )
    position_seconds: float = strawberry.field(description="The position in the title.")
    duration_seconds: float | None = strawberry.field(
        default=None, description="How long the title runs, as the player measures it."
    )
    state: models.PlaybackState = strawberry.field(
        default=models.PlaybackState.PLAYING, description="What the player is doing."
    )
    quality: Quality | None = strawberry.field(
        default=None, description="How fine the picture is now."
    )
    seeked: bool | None = strawberry.field(
        default=False, description="The viewer jumped here rather than watching up to it."
    )


@strawberry.input(description="The end of a session.")
class StopPlaybackInput:
    session_id: strawberry.ID = strawberry.field(description="The session startPlayback gave.")
    position_seconds: float | None = strawberry.field(
        default=None, description="The last position; otherwise the last one reported."
    )


@strawberry.type(description="A session that was started, or why not.")
class PlaybackPayload:
    session: PlaybackSession | None = plain("The new session; null if it failed.")
    progress: ViewingProgress | None = plain("How far the viewer got before; null if not begun.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@strawberry.type(description="Progress after a change, or why there was none.")
class ProgressPayload:
    progress: ViewingProgress | None = plain("The progress stored now; null if it failed.")
    applied: bool = plain("False if nothing changed: it failed, or was repeated or late.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class StartAnswer:
    session: models.PlaybackSession | None
    progress: models.LiveProgress | None
    errors: list[errors.UserError]


@dataclass(frozen=True, slots=True)
class ProgressAnswer:
    progress: models.LiveProgress | None
    applied: bool
    errors: list[errors.UserError]


async def _start_playback(
    info: Info,
    input: Annotated[StartPlaybackInput, strawberry.argument(description="What to play.")],
) -> StartAnswer:
    call = sessions.start_playback(
        info.context,
        input.playable_id,
        input.device.device(),
        quality=input.quality,
        start_at_seconds=input.start_at_seconds,
        idempotency_key=input.idempotency_key,
    )
    started, failed = await capture_user_errors(call)
    if started is None:
        return StartAnswer(None, None, failed)
    return StartAnswer(started.session, started.progress, failed)


async def _report_progress(
    info: Info,
    input: Annotated[ReportProgressInput, strawberry.argument(description="Where it is.")],
) -> ProgressAnswer:
    call = reports.report_progress(
        info.context,
        input.session_id,
        input.sequence,
        input.position_seconds,
        duration_seconds=input.duration_seconds,
        state=input.state,
        quality=input.quality,
        seeked=bool(input.seeked),
    )
    return await _answer(call)


async def _stop_playback(
    info: Info,
    input: Annotated[StopPlaybackInput, strawberry.argument(description="What ends.")],
) -> ProgressAnswer:
    call = sessions.stop_playback(info.context, input.session_id, input.position_seconds)
    return await _answer(call)


async def _answer(call: Awaitable[reports.ReportResult]) -> ProgressAnswer:
    applied, failed = await capture_user_errors(call)
    if applied is None:
        return ProgressAnswer(None, False, failed)
    return ProgressAnswer(applied.progress, applied.applied, failed)


async def _playback_session(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="The session's id.")],
) -> models.PlaybackSession | None:
    return await sessions.playback_session(info.context, id)


@strawberry.type
class PlaybackQuery:
    playback_session: PlaybackSession | None = resolver(
        _playback_session,
        "One of the viewer's own sessions; null an hour after it was last heard of.",
        requires=Role.USER,
    )


@strawberry.type
class PlaybackMutation:
    start_playback: PlaybackPayload = resolver(
        _start_playback,
        "Opens a session at the place where the title was left. An account may have only so many "
        "at once (TOO_MANY_STREAMS); stopping one makes room.",
    )
    report_progress: ProgressPayload = resolver(
        _report_progress,
        "Tells where a player is. What is acknowledged is not lost; it may be sent again.",
    )
    stop_playback: ProgressPayload = resolver(
        _stop_playback, "Ends a session; ending it again changes nothing."
    )
