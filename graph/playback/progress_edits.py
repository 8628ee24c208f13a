"""Progress besides playing: offline batches, marks, dismissals, and changes live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import strawberry

import models
from graph.base.bounds import bound
from graph.base.extension import extend
from graph.base.fields import plain, resolver, subscription
from graph.base.info import Info
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation, Subscription
from graph.base.scalars import DateTime
from graph.playback.progress import ViewingProgress
from graph.playback.sessions import ProgressPayload
from models import Role
from resolvers.playback import marks, notifications, offline_batch
from resolvers.playback.reports import ReportResult
from services.errors import ValidationFailed


@strawberry.input(description="A film or an episode, by its global id.")
class PlayableInput:
    playable_id: strawberry.ID = strawberry.field(description="Global id of the film or episode.")


@strawberry.input(description="A title to mark as watched.")
class MarkWatchedInput:
    playable_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Id of a film or an episode; or of a season or a show, for all "
        "episodes aired so far (for a show without its specials). Required.",
    )
    id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The same as `playableId`.",
        deprecation_reason="Use `playableId`, as `markUnwatched` does.",
    )
    watched_at: DateTime | None = strawberry.field(
        default=None, description="When it was watched; null means now."
    )


@strawberry.input(description="A position reached while the device was offline.")
class OfflineProgressInput:
    playable_id: strawberry.ID = strawberry.field(description="Global id of the film or episode.")
    device_key: str = strawberry.field(
        description="The device's key, as in `DeviceInput`: 1 to 128 characters."
    )
    event_id: strawberry.ID = strawberry.field(
        description="Idempotency key chosen by the device, 1 to 128 characters: an event "
        "is applied once however often it is sent."
    )
    position_seconds: float = strawberry.field(description="Position in seconds from the start.")
    duration_seconds: float | None = strawberry.field(
        default=None, description="Running time in seconds as measured by the player."
    )
    occurred_at: DateTime = strawberry.field(
        description="When the position was reached, by the device's clock."
    )


@strawberry.input(description="Positions reached while the device was offline.")
class ReportProgressBatchInput:
    events: list[OfflineProgressInput] = strawberry.field(
        description="At most 500 events in any order; `occurredAt` decides which is newer.",
        directives=bound(items=500),
    )
    sent_at: DateTime = strawberry.field(
        description="Current time by the device's clock; event times are corrected by "
        "its offset from the server's clock."
    )


@payload(
    "Result of an offline batch; `errors` says why it was rejected.",
    errors="Why the batch was rejected as a whole; empty on success.",
    defaults={"progress": [], "applied": 0, "ignored": 0},
)
class ProgressBatchPayload:
    progress: list[ViewingProgress] = plain(
        "Progress after the batch, one per title in it.", assumed_size=50
    )
    applied: int = plain("Number of events that changed progress.")
    ignored: int = plain(
        "Number of events ignored as duplicates or older than the stored progress."
    )


async def _report_progress_batch(
    info: Info,
    input: Annotated[
        ReportProgressBatchInput, strawberry.argument(description="The offline events.")
    ],
) -> ProgressBatchPayload:
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
    return await build_payload(ProgressBatchPayload, call)


async def _mark_watched(
    info: Info,
    input: Annotated[MarkWatchedInput, strawberry.argument(description="The title to mark.")],
) -> ProgressPayload:
    return await build_payload(ProgressPayload, _mark_one_watched(info, input))


async def _mark_one_watched(info: Info, input: MarkWatchedInput) -> ReportResult:
    named = {"playableId": input.playable_id, "id": input.id}
    ids = {path: id_ for path, id_ in named.items() if id_ is not None}
    if len(set(ids.values())) != 1:
        raise ValidationFailed("Give one title, as `playableId`.", path=["playableId"])
    path, id_ = next(iter(ids.items()))
    return await marks.mark_watched(info.context, id_, input.watched_at, path=path)


async def _mark_unwatched(
    info: Info,
    input: Annotated[
        PlayableInput,
        strawberry.argument(
            description="The title to mark; the id may also be a season's or a show's."
        ),
    ],
) -> ProgressPayload:
    return await build_payload(
        ProgressPayload, marks.mark_unwatched(info.context, input.playable_id)
    )


async def _dismiss(
    info: Info,
    input: Annotated[PlayableInput, strawberry.argument(description="The title to dismiss.")],
) -> ProgressPayload:
    return await build_payload(ProgressPayload, marks.dismiss(info.context, input.playable_id))


def _progress_changed(
    info: Info,
    playable_id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="Id of the title to follow; null for all titles."),
    ] = None,
) -> AsyncIterator[models.LiveProgress]:
    return notifications.stream_progress(info.context, playable_id)


@extend(Mutation)
class ProgressMutation:
    report_progress_batch: ProgressBatchPayload | None = resolver(
        _report_progress_batch,
        "Reports positions reached while offline. The batch is applied as a "
        "whole or not at all, and may be sent again.",
        requires=Role.USER,
    )
    mark_watched: ProgressPayload | None = resolver(
        _mark_watched,
        "Marks a film, an episode, a season or a show as watched. Returns "
        "the progress of its last episode.",
        requires=Role.USER,
    )
    mark_unwatched: ProgressPayload | None = resolver(
        _mark_unwatched,
        "Resets the viewer's progress to unwatched. The history does not change.",
        requires=Role.USER,
    )
    dismiss_from_continue_watching: ProgressPayload | None = resolver(
        _dismiss,
        "Removes a title from `continueWatching` until it is watched again. "
        "Its position does not change.",
        requires=Role.USER,
    )


@extend(Subscription)
class ProgressSubscription:
    progress_changed: ViewingProgress = subscription(
        _progress_changed,
        "The viewer's progress whenever it changes on any device, and when it became durable; "
        "intermediate states of a title may be skipped. With `playableId`, "
        "the current state comes first, if there is one.",
        requires=Role.USER,
    )
