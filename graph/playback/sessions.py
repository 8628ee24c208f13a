"""Playback as clients see it: sessions start, report and stop."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import strawberry

import loaders
import models
from graph.base.devices import Device, DeviceInput
from graph.base.enums import describe_enum
from graph.base.extension import extend
from graph.base.fields import plain, relation, resolver
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation, Query
from graph.base.scalars import DateTime
from graph.catalog.catalog import Playable
from graph.playback.progress import ViewingProgress
from models import Role
from resolvers.playback import reports, sessions
from services.quality import Quality

_STATES = {
    "PLAYING": "Playing.",
    "PAUSED": "Paused by the viewer.",
    "BUFFERING": "Waiting for data.",
    "STOPPED": "Ended; the session accepts no further reports.",
}
_EXPIRED = (
    "No report for three heartbeat intervals; no longer counted as a stream. A report within the "
    "hour revives it."
)


class ReportedState(Enum):
    """The states that a player may report; `stored` is the session's state of the same name."""

    def __init__(self, text: str) -> None:
        self.stored = models.PlaybackState(text)

    PLAYING = "PLAYING"
    PAUSED = "PAUSED"
    BUFFERING = "BUFFERING"
    STOPPED = "STOPPED"


describe_enum(ReportedState, "State of a player, as it reports it.", _STATES, name="PlaybackState")
describe_enum(
    models.PlaybackState,
    "State of a playback session.",
    {**_STATES, "EXPIRED": _EXPIRED},
    name="PlaybackSessionState",
)


@node_type(
    "session",
    models.PlaybackSession,
    sessions.sessions_by_id,
    "A playback session: one title on one device. It is deleted an hour after its last report.",
)
class PlaybackSession(Node):
    playable: Playable | None = relation(
        "playable_id",
        loaders.PlayableById,
        "The title playing; null if it left the catalogue.",
    )
    device: Device = plain("The device it plays on.")
    state: models.PlaybackState = plain("State of the session.")
    position_seconds: float = plain("Position in seconds; for a new session, where to start.")
    duration_seconds: float | None = plain("Running time in seconds; null if unknown.")
    quality: Quality | None = plain(
        "Picture quality as reported by the player; null if it was not reported."
    )
    started_at: DateTime = plain("When the session started.")
    last_seen_at: DateTime = plain("When the player last reported.")
    heartbeat_interval_seconds: int = plain(
        "Seconds between calls of `reportProgress`, also while paused. After "
        "three intervals without a report the session expires."
    )


@strawberry.input(description="The title to play and the device to play it on.")
class StartPlaybackInput:
    playable_id: strawberry.ID = strawberry.field(description="Global id of the film or episode.")
    device: DeviceInput = strawberry.field(description="The device that plays.")
    quality: Quality | None = strawberry.field(
        default=None, description="Picture quality the player starts with; null if unknown."
    )
    start_at_seconds: float | None = strawberry.field(
        default=None,
        description="Position to start at in seconds; null resumes at the stored position.",
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Key chosen by the client, 1 to 128 characters: repeating the "
        "mutation with the same key returns the same session.",
    )


@strawberry.input(description="A progress report of a player.")
class ReportProgressInput:
    session_id: strawberry.ID = strawberry.field(
        description="Id of the session that `startPlayback` returned."
    )
    sequence: int = strawberry.field(
        description="Number of the report within its session, counting up from 0. A "
        "report with a number not above the last one changes nothing, so a "
        "report may be sent again."
    )
    position_seconds: float = strawberry.field(description="Position in seconds from the start.")
    duration_seconds: float | None = strawberry.field(
        default=None, description="Running time in seconds as measured by the player."
    )
    state: ReportedState = strawberry.field(
        default=ReportedState.PLAYING, description="State of the player."
    )
    quality: Quality | None = strawberry.field(
        default=None, description="Current picture quality; null if unknown."
    )
    seeked: bool | None = strawberry.field(
        default=False,
        description="Whether the viewer seeked to this position rather than watching up to it.",
    )


@strawberry.input(description="The session to end.")
class StopPlaybackInput:
    session_id: strawberry.ID = strawberry.field(
        description="Id of the session that `startPlayback` returned."
    )
    position_seconds: float | None = strawberry.field(
        default=None, description="Final position in seconds; null means the last one reported."
    )


@payload("Result of starting playback; `errors` says why it failed.")
class PlaybackPayload:
    session: PlaybackSession | None = plain("The new session; null on failure.")
    progress: ViewingProgress | None = plain(
        "The viewer's progress before this session; null if not started."
    )


@payload(
    "Result of a change to progress; `errors` says why it failed.", defaults={"applied": False}
)
class ProgressPayload:
    progress: ViewingProgress | None = plain("The progress after the change; null on failure.")
    applied: bool = plain(
        "Whether the progress changed; false for a failed, repeated or outdated report."
    )


async def _start_playback(
    info: Info,
    input: Annotated[
        StartPlaybackInput, strawberry.argument(description="The title and the device.")
    ],
) -> PlaybackPayload:
    call = sessions.start_playback(
        info.context,
        input.playable_id,
        input.device.device(),
        quality=input.quality,
        start_at_seconds=input.start_at_seconds,
        idempotency_key=input.idempotency_key,
    )
    return await build_payload(PlaybackPayload, call)


async def _report_progress(
    info: Info,
    input: Annotated[ReportProgressInput, strawberry.argument(description="The report.")],
) -> ProgressPayload:
    call = reports.report_progress(
        info.context,
        input.session_id,
        input.sequence,
        input.position_seconds,
        duration_seconds=input.duration_seconds,
        state=input.state.stored,
        quality=input.quality,
        seeked=bool(input.seeked),
    )
    return await build_payload(ProgressPayload, call)


async def _stop_playback(
    info: Info,
    input: Annotated[
        StopPlaybackInput, strawberry.argument(description="The session and its final position.")
    ],
) -> ProgressPayload:
    call = sessions.stop_playback(info.context, input.session_id, input.position_seconds)
    return await build_payload(ProgressPayload, call)


async def _playback_session(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Global id of the session.")],
) -> models.PlaybackSession | None:
    return await sessions.playback_session(info.context, id)


@extend(Query)
class PlaybackQuery:
    playback_session: PlaybackSession | None = resolver(
        _playback_session,
        "One of the viewer's own sessions; null if it does not exist or its "
        "last report is over an hour old.",
        requires=Role.USER,
    )


@extend(Mutation)
class PlaybackMutation:
    start_playback: PlaybackPayload | None = resolver(
        _start_playback,
        "Starts a session at the stored position. The number of concurrent "
        "sessions per account is limited (TOO_MANY_STREAMS); `stopPlayback` "
        "frees one.",
        requires=Role.USER,
    )
    report_progress: ProgressPayload | None = resolver(
        _report_progress,
        "Reports the position of a player. An acknowledged report is not "
        "lost; a report may be sent again.",
        requires=Role.USER,
    )
    stop_playback: ProgressPayload | None = resolver(
        _stop_playback, "Ends a session. Idempotent.", requires=Role.USER
    )
