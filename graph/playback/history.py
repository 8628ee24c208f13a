"""What a viewer plays now and has played: seen by its viewer only, and deleted by its viewer.

`ViewerPlayback` is what the viewer gets from here; so that it may be mixed in there, what comes
later is named lazily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

import loaders
import models
from graph.base.devices import Device
from graph.base.fields import computed, plain, relation, resolver
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.paging import After, First, PageInfo
from graph.base.payloads import Acknowledgement, AcknowledgePayload, acknowledge
from graph.base.scalars import DateTime
from graph.catalog.inputs import unset_to_none
from models import Role
from resolvers.playback import history, sessions

if TYPE_CHECKING:
    from graph.catalog.catalog import Playable
    from graph.playback.sessions import PlaybackSession


def _playable_id(viewing: strawberry.Parent[models.ViewingRecord]) -> str:
    return viewing.playable_id


@strawberry.type(description="One time that a title was watched; seen by its viewer only.")
class Viewing(Node):
    playable: Annotated[Playable, strawberry.lazy("graph.catalog.catalog")] | None = relation(
        _playable_id, loaders.PlayableById, "The title; null if it is gone.", needs=["playable_id"]
    )
    started_at: DateTime = plain("When it was started.")
    ended_at: DateTime | None = plain(
        "When it was stopped, or last heard of if its player fell silent; null while it plays."
    )
    watched_seconds: float = plain("How long it was really watched, jumps left out.")
    completed: bool = plain("The title was finished in it.")
    device: Device | None = plain("What it was watched on.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.ViewingRecord)


Edge = tuple[history.History, models.ViewingRecord]


def _cursor(edge: strawberry.Parent[Edge]) -> str:
    page, viewing = edge
    return page.cursor(viewing)


def _edge_node(edge: strawberry.Parent[Edge]) -> models.ViewingRecord:
    return edge[1]


@strawberry.type(description="A viewing in a list.")
class ViewingEdge:
    cursor: str = computed(_cursor, "Its place in the list.")
    node: Viewing = computed(_edge_node, "The viewing.", child_projection="")


def _edges(page: strawberry.Parent[history.History]) -> list[Edge]:
    return [(page, viewing) for viewing in page.nodes]


def _page_info(page: strawberry.Parent[history.History]) -> history.History:
    return page


@strawberry.type(description="One page of viewings.")
class ViewingConnection:
    edges: list[ViewingEdge] = computed(
        _edges, "The items with their cursors.", child_projection=""
    )
    nodes: list[Viewing] = plain("The items.", needs=[], child_projection="")
    page_info: PageInfo = computed(_page_info, "Where the page stands in its list.")


async def _history(
    info: Info,
    first: First = 50,
    after: After = None,
    from_: Annotated[
        DateTime | None,
        strawberry.argument(name="from", description="Only what was started then or later."),
    ] = None,
    to: Annotated[
        DateTime | None, strawberry.argument(description="Only what was started before then.")
    ] = None,
) -> history.History:
    return await history.history(info.context, first, after, since=from_, until=to)


async def _now_playing(info: Info) -> list[models.PlaybackSession]:
    return await sessions.now_playing(info.context)


@strawberry.type
class ViewerPlayback:
    """What the viewer gets from this domain."""

    history: ViewingConnection | None = resolver(
        _history,
        "What the viewer watched, the newest first: a second behind, and without what was left "
        "within five seconds.",
        requires=Role.USER,
    )
    now_playing: (
        list[Annotated[PlaybackSession, strawberry.lazy("graph.playback.sessions")]] | None
    ) = resolver(
        _now_playing,
        "What plays now, on all devices, the last heard of first; silent players are left out.",
        requires=Role.USER,
        assumed_size=4,
    )


@strawberry.input(description="What to take out of the history: exactly one of these.", one_of=True)
class DeleteHistoryInput:
    viewing_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="This viewing."
    )
    playable_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="All viewings of this film or episode."
    )
    before: DateTime | None = strawberry.field(
        default=strawberry.UNSET, description="All that was started before then."
    )


async def _delete_history(
    info: Info,
    input: Annotated[DeleteHistoryInput, strawberry.argument(description="What to take out.")],
) -> Acknowledgement:
    call = history.delete_history(
        info.context,
        viewing_id=unset_to_none(input.viewing_id),
        playable_id=unset_to_none(input.playable_id),
        before=unset_to_none(input.before),
    )
    return await acknowledge(call)


@strawberry.type
class HistoryMutation:
    delete_history: AcknowledgePayload = resolver(
        _delete_history,
        "Takes viewings out of the viewer's history for good; progress stays where it is.",
    )
