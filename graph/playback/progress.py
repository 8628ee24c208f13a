"""How far a viewer got, as its viewer sees it: on titles, in lists, after a report.

`TitleProgress` and `ViewerProgress` are what earlier types get from this domain; so that they may
be mixed in there, nothing of them is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

import loaders
import models
from graph.base.devices import Device
from graph.base.fields import batched, computed, plain, relation, resolver
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.paging import After, First, PageInfo
from graph.base.scalars import DateTime
from models import Role
from resolvers.playback import continue_watching, next_up, progress

if TYPE_CHECKING:
    from graph.catalog.catalog import Playable
    from graph.catalog.shows import Episode


def _playable_id(progress: strawberry.Parent[models.LiveProgress]) -> str:
    return progress.playable_id


@strawberry.type(description="How far the viewer got in one title; seen by nobody else.")
class ViewingProgress(Node):
    playable: Annotated[Playable, strawberry.lazy("graph.catalog.catalog")] | None = relation(
        _playable_id, loaders.PlayableById, "The title; null if it is gone.", needs=["playable_id"]
    )
    position_seconds: float = plain("Where it was left.")
    duration_seconds: float | None = plain("How long it runs, as its player told.")
    percent: float = plain("How much of it lies before the position: 0 to 100.")
    completed: bool = plain("It was left at its end: at 90 percent or later.")
    watch_count: int = plain("How often it was watched to its end, at most once a session.")
    last_watched_at: DateTime = plain(
        "When it was last watched; of an episode that is next, when the one before it was."
    )
    last_device: Device | None = plain("What it was last watched on.")
    furthest_seconds: float = plain("The furthest position reached; marking unwatched forgets it.")
    version: int = plain(
        "Grows with every change; 0 for an episode that is next and was never begun: of that "
        "nothing is stored yet."
    )
    durable: bool = plain("This state is in the database, not only on its way there.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.LiveProgress)


Edge = tuple[continue_watching.ProgressConnection, continue_watching.Item]


def _cursor(edge: strawberry.Parent[Edge]) -> str:
    connection, item = edge
    return connection.cursor(item)


def _edge_node(edge: strawberry.Parent[Edge]) -> models.LiveProgress:
    return edge[1].progress


@strawberry.type(description="Progress in a list.")
class ViewingProgressEdge:
    cursor: str = computed(_cursor, "Its place in the list.")
    node: ViewingProgress = computed(_edge_node, "The progress.", child_projection="")


def _edges(connection: strawberry.Parent[continue_watching.ProgressConnection]) -> list[Edge]:
    return [(connection, item) for item in connection.items]


def _page_info(
    connection: strawberry.Parent[continue_watching.ProgressConnection],
) -> continue_watching.ProgressConnection:
    return connection


@strawberry.type(description="One page of progress.")
class ViewingProgressConnection:
    edges: list[ViewingProgressEdge] = computed(
        _edges, "The items with their cursors.", child_projection=""
    )
    nodes: list[ViewingProgress] = plain("The items.", needs=[], child_projection="")
    page_info: PageInfo = computed(_page_info, "Where the page stands in its list.")


def _own_id(title: strawberry.Parent[models.MovieRecord | models.EpisodeRecord]) -> str:
    return title.id


@strawberry.type
class TitleProgress:
    """What films and episodes get from this domain."""

    progress: ViewingProgress | None = relation(
        _own_id,
        loaders.ProgressByPlayableId,
        "How far the viewer got; null if not begun, or if nobody is signed in.",
        needs=["id"],
        is_private=True,
    )


async def _next_up(
    parents: strawberry.Parent[list[models.ShowRecord]],
    info: Info,
    rewatch: Annotated[
        bool | None,
        strawberry.argument(
            description="Go on after the episode watched last, also through episodes seen before, "
            "and after the last one begin again."
        ),
    ] = False,
) -> list[models.EpisodeRecord | None]:
    show_ids = [show.id for show in parents]
    episodes = await next_up.next_up_of_shows(info.context, show_ids, rewatch=bool(rewatch))
    return [episodes[show_id] for show_id in show_ids]


@strawberry.type
class ShowProgress:
    """What shows get from this domain."""

    next_up: Annotated[Episode, strawberry.lazy("graph.catalog.shows")] | None = batched(
        _next_up,
        "The episode after the last one the viewer completed, in order of season and number; while "
        "none is completed, the first one begun. Specials do not count, and what is not shown yet "
        "is not next. Null if nothing of it was watched, if nothing is left, or if nobody is "
        "signed in.",
        needs=["id"],
        is_private=True,
    )


async def _continue_watching(
    info: Info,
    first: First = 20,
    after: After = None,
    include_next_up: Annotated[
        bool | None,
        strawberry.argument(
            description="Also the next episodes of shows whose episode watched last is completed."
        ),
    ] = True,
) -> continue_watching.ProgressConnection:
    return await continue_watching.continue_watching(
        info.context, first, after, include_next_up=include_next_up is not False
    )


async def _progress(
    info: Info,
    playable_id: Annotated[strawberry.ID, strawberry.argument(description="The title's id.")],
) -> models.LiveProgress | None:
    return (await progress.progress_of(info.context, [playable_id]))[playable_id]


@strawberry.type
class ViewerProgress:
    """What the viewer gets from this domain."""

    continue_watching: ViewingProgressConnection | None = resolver(
        _continue_watching,
        "Films begun and not finished, and of each show the episode begun or the one that is next, "
        "last watched first. What was dismissed stays away until it is watched again.",
        requires=Role.USER,
    )
    progress: ViewingProgress | None = resolver(
        _progress, "How far the viewer got in one title; null if not begun.", requires=Role.USER
    )
