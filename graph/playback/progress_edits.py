"""What viewers do with progress besides playing: batches, marks, dismissals; and its news, live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Annotated

import strawberry

import models
from graph.base.errors import UserError
from graph.base.fields import plain, resolver, subscription
from graph.base.info import Info
from graph.base.payloads import capture_user_errors
from graph.base.scalars import DateTime
from graph.playback.progress import ViewingProgress
from graph.playback.sessions import ProgressAnswer, ProgressPayload
from models import Role
from resolvers.playback import marks, notifications, offline_batch
from resolvers.playback.reports import ReportResult
from services import errors


@strawberry.input(description="One film or episode, by its id.")
class PlayableInput:
    playable_id: strawberry.ID = strawberry.field(description="Its id.")


@strawberry.input(description="What was watched, and when.")
class MarkWatchedInput:
    id: strawberry.ID = strawberry.field(
        description="A film or an episode; or a season or a show, for all of it that was shown so "
        "far (of a show without its specials)."
    )
    watched_at: DateTime | None = strawberry.field(
        default=None, description="When it was watched; otherwise now."
    )


@strawberry.input(description="A position somebody reached without a connection.")
class OfflineProgressInput:
    playable_id: strawberry.ID = strawberry.field(description="The film or episode.")
    device_key: str = strawberry.field(
        description="The device's own name for itself: 1 to 128 characters."
    )
    event_id: strawberry.ID = strawberry.field(
        description="Chosen by the device, 1 to 128 characters: an event counts once, however "
        "often it is sent."
    )
    position_seconds: float = strawberry.field(description="The position in the title.")
    duration_seconds: float | None = strawberry.field(
        default=None, description="How long the title runs, as the player measures it."
    )
    occurred_at: DateTime = strawberry.field(description="When, by the device's clock.")


@strawberry.input(description="What was watched without a connection.")
class ReportProgressBatchInput:
    events: list[OfflineProgressInput] = strawberry.field(
        description="At most 500, in any order; what was watched later counts."
    )
    sent_at: DateTime = strawberry.field(
        description="Now, by the device's clock: if it is wrong, all times are moved alike."
    )


@strawberry.type(description="What became of a batch, or why it was refused whole.")
class ProgressBatchPayload:
    progress: list[ViewingProgress] = plain(
        "The progress stored now of the titles named.", assumed_size=50
    )
    applied: int = plain("How many events changed something.")
    ignored: int = plain("How many were sent before, or are older than what is stored.")
    errors: list[UserError] = plain("Why it was refused, nothing applied; empty if it was not.")


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    progress: list[models.LiveProgress]
    applied: int
    ignored: int
    errors: list[errors.UserError]


async def _report_progress_batch(
    info: Info,
    input: Annotated[
        ReportProgressBatchInput, strawberry.argument(description="What was watched.")
    ],
) -> BatchAnswer:
    events = [
        offline_batch.OfflineReport(
            one.playable_id,
            one.device_key,
            one.event_id,
            one.position_seconds,
            one.duration_seconds,
            one.occurred_at,
        )
        for one in input.events
    ]
    call = offline_batch.report_progress_batch(info.context, events, input.sent_at)
    done, failed = await capture_user_errors(call)
    if done is None:
        return BatchAnswer([], 0, 0, failed)
    return BatchAnswer(done.progress, done.applied, done.ignored, failed)


async def _mark_watched(
    info: Info,
    input: Annotated[MarkWatchedInput, strawberry.argument(description="What was watched.")],
) -> ProgressAnswer:
    return await _answer(marks.mark_watched(info.context, input.id, input.watched_at))


async def _mark_unwatched(
    info: Info,
    input: Annotated[
        PlayableInput,
        strawberry.argument(description="What was not watched; also a season's or show's id."),
    ],
) -> ProgressAnswer:
    return await _answer(marks.mark_unwatched(info.context, input.playable_id))


async def _dismiss(
    info: Info,
    input: Annotated[PlayableInput, strawberry.argument(description="What to leave out.")],
) -> ProgressAnswer:
    return await _answer(marks.dismiss(info.context, input.playable_id))


async def _answer(call: Awaitable[ReportResult]) -> ProgressAnswer:
    applied, failed = await capture_user_errors(call)
    if applied is None:
        return ProgressAnswer(None, False, failed)
    return ProgressAnswer(applied.progress, applied.applied, failed)


def _progress_changed(
    info: Info,
    playable_id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="Only of this title; of all without it."),
    ] = None,
) -> AsyncIterator[models.LiveProgress]:
    return notifications.stream_progress(info.context, playable_id)


@strawberry.type
class ProgressMutation:
    report_progress_batch: ProgressBatchPayload = resolver(
        _report_progress_batch,
        "Tells what was watched without a connection. All of it is taken or nothing, and it may be "
        "sent again.",
        requires=Role.USER,
    )
    mark_watched: ProgressPayload = resolver(
        _mark_watched,
        "Marks a film, an episode, a season or a show as watched; tells the progress of the last "
        "of it.",
        requires=Role.USER,
    )
    mark_unwatched: ProgressPayload = resolver(
        _mark_unwatched,
        "Forgets how far the viewer got, so that it begins anew; the history stays.",
        requires=Role.USER,
    )
    dismiss_from_continue_watching: ProgressPayload = resolver(
        _dismiss,
        "Leaves a title out of continueWatching until it is watched again; its position stays.",
        requires=Role.USER,
    )


@strawberry.type
class ProgressSubscription:
    progress_changed: ViewingProgress = subscription(
        _progress_changed,
        "The viewer's own progress whenever it changes, on whichever device; the newest state of "
        "each title only. With a title, it begins with the state of now, if there is any.",
        requires=Role.USER,
    )
