"""The viewer's watchlist of films and shows, newest first.

Adding and removing may be repeated. Only the viewer sees or changes it; watching changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

import loaders
import models
from resolvers.context import Context
from resolvers.paging import PAGE_SIZE, Page, require_kind, validate_size
from services import cursors
from services.errors import NotFound, ValidationFailed

MAX_TITLES = 1_000
_ORDER = "watchlist"


async def watchlist(
    context: Context,
    first: int | None = None,
    after: str | None = None,
    fields: loaders.Fields = None,
) -> Page[models.TitleRecord]:
    """One page of the viewer's own list, newest first.

    Raises:
        ValidationFailed, InvalidCursor, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    size = validate_size(first, "first", PAGE_SIZE)
    secret = context.runtime.settings.secret_bytes
    before = cursors.decode_instant(secret, _ORDER, after)
    entries = await models.read_watchlist(viewer.user_id, before=before, limit=size + 1)
    page = entries[:size]
    titles = await context.load_many(loaders.TitleById, [entry.title_id for entry in page], fields)
    return Page(
        page,
        len(entries) > size,
        after is not None,
        secret,
        _ORDER,
        position_of=_position,
        node_of=lambda entry: titles[entry.title_id],
    )


async def add_to_watchlist(context: Context, title_id: str) -> models.TitleRecord:
    """Add a title and return it; one that is on the list already keeps its place.

    Raises:
        NotFound: there is no such film or show.
        ValidationFailed: the list is full, or this is no id.
        Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    title = await _title(context, title_id)
    at = datetime.fromtimestamp(context.runtime.clock(), UTC)
    if not await models.add_to_watchlist(viewer.user_id, title_id, at, MAX_TITLES):
        raise ValidationFailed(f"A watchlist holds {MAX_TITLES} titles.", path=["id"])
    context.loader(loaders.OnWatchlistByTitleId).renew(title_id, True)
    return title


async def remove_from_watchlist(context: Context, title_id: str) -> models.TitleRecord | None:
    """Remove a title and return it; None if it is no longer in the catalogue.

    Raises:
        NotFound: there is no such film or show, on the list or off it.
        ValidationFailed, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    require_kind(title_id)
    title: models.TitleRecord | None = await context.load(loaders.TitleById, title_id)
    was_listed = await models.remove_from_watchlist(viewer.user_id, title_id)
    if title is None and not was_listed:
        raise NotFound("There is no such film or show.", path=["id"])
    context.loader(loaders.OnWatchlistByTitleId).renew(title_id, False)
    return title


async def _title(context: Context, title_id: str) -> models.TitleRecord:
    require_kind(title_id)
    title: models.TitleRecord | None = await context.load(loaders.TitleById, title_id)
    if title is None:
        raise NotFound("There is no such film or show.", path=["id"])
    return title


def _position(entry: models.WatchlistEntryRecord) -> cursors.Position:
    return cursors.Position(models.milliseconds(entry.added_at), entry.id)
