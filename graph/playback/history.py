"""Playback history and current sessions: seen and deleted by their viewer only."""

from __future__ import annotations

from typing import Annotated

import strawberry

import loaders
import models
from graph.accounts.accounts import Viewer
from graph.base.connections import connection
from graph.base.devices import Device
from graph.base.extension import extend
from graph.base.fields import plain, relation, resolver
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.paging import After, Before, First, Last, without_default
from graph.base.payloads import AcknowledgePayload, acknowledge
from graph.base.roots import Mutation
from graph.base.scalars import DateTime
from graph.catalog.catalog import Playable
from graph.catalog.inputs import unset_to_none
from graph.playback.sessions import PlaybackSession
from models import Role
from resolvers.paging import Page
from resolvers.playback import history, sessions


@node_type(
    "viewing",
    models.ViewingRecord,
    history.viewings_by_id,
    "One viewing of a title. Only its viewer sees it.",
)
class Viewing(Node):
    playable: Playable | None = relation(
        "playable_id",
        loaders.PlayableById,
        "The title watched; null if it left the catalogue.",
    )
    started_at: DateTime = plain("When the viewing started.")
    ended_at: DateTime | None = plain(
        "When the viewing stopped, or when its player last reported if it "
        "expired; null while it plays."
    )
    watched_seconds: float = plain(
        "Seconds of it actually watched, without seeks: at most twice the time since it began."
    )
    completed: bool = plain("Whether the title was watched to its end.")
    device: Device | None = plain("The device it was watched on; null if unknown.")


@connection(Viewing, "viewings", "viewing")
class ViewingConnection:
    pass


async def _history(
    info: Info,
    first: First = history.PAGE_SIZE,
    after: After = None,
    last: Last = None,
    before: Before = None,
    from_: Annotated[
        DateTime | None,
        strawberry.argument(
            name="from", description="Return viewings that started at this time or later."
        ),
    ] = None,
    to: Annotated[
        DateTime | None,
        strawberry.argument(description="Return viewings that started before this time."),
    ] = None,
) -> Page[models.ViewingRecord]:
    size = without_default(first, last, before, history.PAGE_SIZE)
    return await history.history(
        info.context, size, after, last=last, before=before, since=from_, until=to
    )


async def _now_playing(info: Info) -> list[models.PlaybackSession]:
    return await sessions.now_playing(info.context)


@extend(Viewer)
class ViewerPlayback:
    """Fields of Viewer about sessions and history."""

    history: ViewingConnection | None = resolver(
        _history,
        "The viewer's viewings, newest first. Up to a second behind; "
        "viewings stopped within five seconds are omitted.",
        requires=Role.USER,
    )
    now_playing: list[PlaybackSession] | None = resolver(
        _now_playing,
        "Sessions playing now on all devices, last reported first. Expired sessions are omitted.",
        requires=Role.USER,
        assumed_size=4,
    )


@strawberry.input(
    description="Viewings to delete from the history; give exactly one field.", one_of=True
)
class DeleteHistoryInput:
    viewing_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Id of one viewing."
    )
    playable_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Id of a film or episode: all its viewings."
    )
    before: DateTime | None = strawberry.field(
        default=strawberry.UNSET, description="All viewings that started before this time."
    )


async def _delete_history(
    info: Info,
    input: Annotated[
        DeleteHistoryInput, strawberry.argument(description="The viewings to delete.")
    ],
) -> AcknowledgePayload:
    call = history.delete_history(
        info.context,
        viewing_id=unset_to_none(input.viewing_id),
        playable_id=unset_to_none(input.playable_id),
        before=unset_to_none(input.before),
    )
    return await acknowledge(call)


@extend(Mutation)
class HistoryMutation:
    delete_history: AcknowledgePayload | None = resolver(
        _delete_history,
        "Permanently deletes viewings from the viewer's history. Progress does not change.",
        requires=Role.USER,
    )
