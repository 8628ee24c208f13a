"""The viewer's watchlist of films and shows, newest first.

Adding and removing may be repeated. Only the viewer sees or changes it; watching changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import loaders
import models
from resolvers.context import Context
from resolvers.paging import PAGE_SIZE, Page, PageArguments, require_kind
from services import cursors
from services.errors import NotFound, ValidationFailed

MAX_TITLES = 1_000
_ORDER = "watchlist"
_NO_FIELDS: loaders.Fields = frozenset()


async def watchlist(
    context: Context,
    first: int | None = None,
    after: str | None = None,
    fields: loaders.Fields = None,
    *,
    last: int | None = None,
    before: str | None = None,
) -> Page[models.TitleRecord]:
    """One page of the viewer's own list, newest first.

    Raises:
        ValidationFailed, InvalidCursor, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    arguments = PageArguments(first, after, last, before)
    size = arguments.size()
    secret = context.runtime.settings.secret_bytes
    place = cursors.decode_instant(secret, _ORDER, *arguments.cursor)
    backwards = arguments.is_backwards
    listed = await _read_listed(context, viewer.user_id, place, size, fields, backwards=backwards)
    is_beyond = place is not None and await _has_beside(
        context, viewer.user_id, place, is_newer=not backwards
    )
    page, is_more = arguments.cut(listed, size)
    return Page(
        page,
        *arguments.bounds(is_more=is_more, is_beyond=is_beyond),
        secret,
        _ORDER,
        position_of=lambda one: cursors.Position(*_place(one[0])),
        node_of=lambda one: one[1],
    )


async def _read_listed(
    context: Context,
    user_id: str,
    place: tuple[int, str] | None,
    size: int,
    fields: loaders.Fields,
    *,
    backwards: bool,
) -> list[tuple[models.WatchlistEntryRecord, models.TitleRecord]]:
    """Entries with their titles, more than `size` if there are; deleted titles are left out."""
    listed: list[tuple[models.WatchlistEntryRecord, models.TitleRecord]] = []
    for limit in (size + 1, MAX_TITLES):  # the second time, all that are left
        entries = await models.read_watchlist(
            user_id, position=place, backwards=backwards, limit=limit
        )
        titles = await context.load_many(loaders.TitleById, _title_ids(entries), fields)
        listed += [(one, title) for one in entries if (title := titles[one.title_id]) is not None]
        if len(entries) < limit or len(listed) > size:
            break
        place = _place(entries[-1])
    return listed


async def _has_beside(
    context: Context, user_id: str, place: tuple[int, str], *, is_newer: bool
) -> bool:
    """Whether a title that still exists is listed at the place, or before it (else behind it)."""
    for limit in (PAGE_SIZE, MAX_TITLES):
        entries = await models.read_watchlist_beside(user_id, place, is_newer=is_newer, limit=limit)
        titles = await context.load_many(loaders.TitleById, _title_ids(entries), _NO_FIELDS)
        if any(title is not None for title in titles.values()):
            return True
        if len(entries) < limit:
            break
    return False


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


def _title_ids(entries: Iterable[models.WatchlistEntryRecord]) -> list[str]:
    return [entry.title_id for entry in entries]


def _place(entry: models.WatchlistEntryRecord) -> tuple[int, str]:
    return models.milliseconds(entry.added_at), entry.id
