"""A viewer's history, viewing by viewing, and deleting from it; progress is not changed.

Read from MongoDB, where workers/flush_progress.py writes it a moment after the reports.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import models
from resolvers.context import Context
from resolvers.paging import Page, PageArguments, require_kind
from services import cursors
from services.errors import NotFound, ValidationFailed

PAGE_SIZE = 50
_ORDER = "history"


async def history(
    context: Context,
    first: int | None = None,
    after: str | None = None,
    *,
    last: int | None = None,
    before: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[models.ViewingRecord]:
    """One page of the viewer's viewings begun from `since` on and before `until`, newest first.

    Raises:
        ValidationFailed, InvalidCursor, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    arguments = PageArguments(first, after, last, before)
    size, backwards = arguments.size(PAGE_SIZE), arguments.is_backwards
    secret = context.runtime.settings.secret_bytes
    place = cursors.decode_instant(secret, _ORDER, *arguments.cursor)
    period = {"since": since, "until": until}
    rows = await models.read_history(
        viewer.user_id, **period, position=place, backwards=backwards, limit=size + 1
    )
    is_beyond = place is not None and await models.has_history_beside(
        viewer.user_id, place, is_newer=not backwards, **period
    )
    page, is_more = arguments.cut(rows, size)
    bounds = arguments.bounds(is_more=is_more, is_beyond=is_beyond)
    nodes = models.infer_ends(page, _silence_cutoff(context))
    return Page(nodes, *bounds, secret, _ORDER, _position)


def _position(viewing: models.ViewingRecord) -> cursors.Position:
    return cursors.Position(models.milliseconds(viewing.started_at), viewing.id)


async def viewings_by_id(
    context: Context, viewing_ids: Collection[str]
) -> dict[str, models.ViewingRecord]:
    """The viewer's own viewings among these ids; for `node`."""
    if context.viewer is None:
        return {}
    records = await models.viewings_by_id(context.viewer.user_id, viewing_ids)
    viewings = models.infer_ends(list(records.values()), _silence_cutoff(context))
    return {viewing.id: viewing for viewing in viewings}


async def delete_history(
    context: Context,
    *,
    viewing_id: str | None = None,
    playable_id: str | None = None,
    before: datetime | None = None,
) -> None:
    """Delete one viewing, those of a title, or those begun before a time, for good.

    Raises:
        NotFound: the viewer has no such viewing.
        ValidationFailed: this is no id, or not a film's or an episode's.
        Unauthenticated, UpstreamUnavailable.
    """
    user_id = context.require(models.Role.USER).user_id
    now = _now(context)
    if viewing_id is not None:
        kind = require_kind(viewing_id, path=["viewingId"])
        if kind != "viewing" or not await models.delete_viewing(user_id, viewing_id, now):
            raise NotFound("There is no such viewing.", path=["viewingId"])
    if playable_id is not None:
        if require_kind(playable_id, path=["playableId"]) not in ("movie", "episode"):
            raise ValidationFailed("This is no film or episode.", path=["playableId"])
        await models.delete_viewings(user_id, now, playable_id=playable_id)
    if before is not None:
        await models.delete_viewings(user_id, now, before=before)


def _silence_cutoff(context: Context) -> datetime:
    """The time before which a viewing's last report means that it has ended.

    Its player may never have said so.
    """
    sessions = context.runtime.playback.sessions
    return _now(context) - timedelta(milliseconds=sessions.silent_after_ms)


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.runtime.clock(), UTC)
