"""The watchlist as clients see it: on titles, as the viewer's list, and its changes."""

from __future__ import annotations

from typing import Annotated

import strawberry

import loaders
import models
from graph.accounts.accounts import Viewer
from graph.base.connections import connection
from graph.base.extension import extend
from graph.base.fields import plain, relation, resolver
from graph.base.info import Info, requested_fields
from graph.base.paging import After, Before, First, Last, without_default
from graph.base.payloads import NodeInput, build_payload, payload
from graph.base.roots import Mutation
from graph.catalog.catalog import Title
from models import Role
from resolvers.paging import PAGE_SIZE, Page
from resolvers.playback import watchlist


@extend(Title)
class TitleWatchlist:
    """Fields of films and shows about the watchlist."""

    on_watchlist: bool | None = relation(
        "id",
        loaders.OnWatchlistByTitleId,
        "Whether the title is on the viewer's watchlist; null if nobody is signed in.",
        is_private=True,
    )


@connection(Title, "films and shows", "film or show", items="titles", edges_of="a list of titles")
class TitleConnection:
    pass


async def _watchlist(
    info: Info,
    first: First = PAGE_SIZE,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Page[models.TitleRecord]:
    return await watchlist.watchlist(
        info.context,
        without_default(first, last, before),
        after,
        requested_fields(info),
        last=last,
        before=before,
    )


@extend(Viewer)
class ViewerWatchlist:
    """Fields of Viewer about the watchlist."""

    watchlist: TitleConnection | None = resolver(
        _watchlist,
        "The viewer's watchlist, newest first, at most 1000 titles. Titles "
        "that left the catalogue are omitted, so a page may be short.",
        requires=Role.USER,
    )


@payload("Result of a change to the watchlist; `errors` says why it failed.")
class TitlePayload:
    title: Title | None = plain("The title; null on failure, or if it left the catalogue.")


async def _add(
    info: Info,
    input: Annotated[NodeInput, strawberry.argument(description="Id of the film or show to add.")],
) -> TitlePayload:
    return await build_payload(TitlePayload, watchlist.add_to_watchlist(info.context, input.id))


async def _remove(
    info: Info,
    input: Annotated[NodeInput, strawberry.argument(description="Id of the title to remove.")],
) -> TitlePayload:
    return await build_payload(
        TitlePayload, watchlist.remove_from_watchlist(info.context, input.id)
    )


@extend(Mutation)
class WatchlistMutation:
    add_to_watchlist: TitlePayload | None = resolver(
        _add, "Adds a film or show to the viewer's watchlist. Idempotent.", requires=Role.USER
    )
    remove_from_watchlist: TitlePayload | None = resolver(
        _remove,
        "Removes a title from the viewer's watchlist. Idempotent.",
        requires=Role.USER,
    )
