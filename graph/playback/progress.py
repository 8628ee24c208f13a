"""Viewing progress as its viewer sees it: on titles, in lists, after a report."""

from __future__ import annotations

from typing import Annotated

import strawberry

import loaders
import models
from graph.accounts.accounts import Viewer
from graph.base.connections import connection
from graph.base.devices import Device
from graph.base.extension import extend
from graph.base.fields import batched, plain, relation, resolver
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.paging import After, Before, First, Last, without_default
from graph.base.scalars import DateTime
from graph.catalog.catalog import Playable
from graph.catalog.shows import Episode, TvShow
from models import Role
from resolvers.paging import PAGE_SIZE, Page
from resolvers.playback import continue_watching, next_up, progress


@node_type(
    "progress",
    models.LiveProgress,
    progress.progress_by_id,
    "The viewer's progress in one title. Only the viewer sees it.",
)
class ViewingProgress(Node):
    playable: Playable | None = relation(
        "playable_id",
        loaders.PlayableById,
        "The title; null if it left the catalogue.",
    )
    position_seconds: float = plain("Last position in seconds.")
    duration_seconds: float | None = plain(
        "Running time in seconds as reported by the player; null if it was not reported."
    )
    percent: float = plain("Position as a percentage of the running time: 0 to 100.")
    completed: bool = plain("Whether the last position is at 90 percent or later.")
    watch_count: int = plain("Number of times the title was completed, at most once per session.")
    last_watched_at: DateTime = plain(
        "When the title was last watched; for a next-up episode, when the episode before it was."
    )
    last_device: Device | None = plain("The device it was last watched on; null if unknown.")
    furthest_seconds: float = plain(
        "Furthest position reached in seconds; `markUnwatched` resets it."
    )
    version: int = plain(
        "Version that grows with every change; 0 for a next-up episode that has no stored progress."
    )
    durable: bool = plain(
        "Whether this state is already in the database rather than only buffered."
    )


@connection(ViewingProgress, "progress", "progress")
class ViewingProgressConnection:
    pass


@extend(Playable)
class TitleProgress:
    """Fields of films and episodes about progress."""

    progress: ViewingProgress | None = relation(
        "id",
        loaders.ProgressByPlayableId,
        "The viewer's progress; null if not started, or if nobody is signed in.",
        is_private=True,
    )


async def _next_up(
    parents: strawberry.Parent[list[models.ShowRecord]],
    info: Info,
    rewatch: Annotated[
        bool | None,
        strawberry.argument(
            description="Whether to continue after the episode watched last even if "
            "later ones were already completed, starting over after the "
            "final episode."
        ),
    ] = False,
) -> list[models.EpisodeRecord | None]:
    show_ids = [show.id for show in parents]
    episodes = await next_up.next_up_of_shows(info.context, show_ids, rewatch=bool(rewatch))
    return [episodes[show_id] for show_id in show_ids]


@extend(TvShow)
class ShowProgress:
    """Fields of shows about progress."""

    next_up: Episode | None = batched(
        _next_up,
        "The episode to watch next: the one after the last completed episode "
        "by season and number, or the first started one if none is "
        "completed. Specials and unaired episodes are skipped. Null if the "
        "show was not started, if no episode remains, or if nobody is signed "
        "in.",
        needs=["id"],
        is_private=True,
    )


async def _continue_watching(
    info: Info,
    first: First = PAGE_SIZE,
    after: After = None,
    last: Last = None,
    before: Before = None,
    include_next_up: Annotated[
        bool | None,
        strawberry.argument(
            description="Whether to include the next episode of shows whose last watched "
            "episode is completed."
        ),
    ] = True,
) -> Page[models.LiveProgress]:
    return await continue_watching.continue_watching(
        info.context,
        without_default(first, last, before),
        after,
        last=last,
        before=before,
        include_next_up=include_next_up is not False,
    )


async def _progress(
    info: Info,
    playable_id: Annotated[
        strawberry.ID, strawberry.argument(description="Global id of the film or episode.")
    ],
) -> models.LiveProgress | None:
    return await progress.title_progress(info.context, playable_id)


@extend(Viewer)
class ViewerProgress:
    """Fields of Viewer about progress."""

    continue_watching: ViewingProgressConnection | None = resolver(
        _continue_watching,
        "Unfinished films and, per show, the started or next episode, last "
        "watched first. Dismissed titles are omitted until watched again.",
        requires=Role.USER,
    )
    progress: ViewingProgress | None = resolver(
        _progress, "The viewer's progress in one title; null if not started.", requires=Role.USER
    )
