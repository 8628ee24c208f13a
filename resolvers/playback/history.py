"""What a viewer watched, session by session, and taking it out again. Progress is another thing:
nothing here moves it.

It is read from MongoDB, where workers/flush_progress.py writes it a moment behind.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import models
from models.mongo import ids
from resolvers.context import Context
from resolvers.paging import validate_size
from services import cursors
from services.errors import NotFound, ValidationFailed

PAGE_SIZE = 50
_ORDER = "history"


@dataclass(frozen=True, slots=True)
class History:
    """A page of viewings and what is needed to make cursors of it."""

    nodes: list[models.ViewingRecord]
    has_next_page: bool
    has_previous_page: bool
    secret: bytes

    @property
    def start_cursor(self) -> str | None:
        return self.cursor(self.nodes[0]) if self.nodes else None

    @property
    def end_cursor(self) -> str | None:
        return self.cursor(self.nodes[-1]) if self.nodes else None

    def cursor(self, viewing: models.ViewingRecord) -> str:
        at_ms = models.milliseconds(viewing.started_at)
        return cursors.encode(self.secret, _ORDER, cursors.Position(at_ms, viewing.id))


async def history(
    context: Context,
    first: int | None = None,
    after: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> History:
    """The viewer's viewings begun from `since` on and before `until`, the newest first.

    Raises:
        ValidationFailed, InvalidCursor, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    size = validate_size(first, "first", PAGE_SIZE)
    secret = context.runtime.settings.secret_bytes
    before = cursors.decode_instant(secret, _ORDER, after)
    rows = await models.read_history(
        viewer.user_id, since=since, until=until, before=before, limit=size + 1
    )
    nodes = models.infer_ends(rows[:size], _silence_cutoff(context))
    return History(nodes, len(rows) > size, after is not None, secret)


async def viewings_by_id(
    context: Context, viewing_ids: Collection[str]
) -> dict[str, models.ViewingRecord]:
    """Those that are the viewer's own; for `node`."""
    if context.viewer is None:
        return {}
    found = await models.viewings_by_id(context.viewer.user_id, viewing_ids)
    told = models.infer_ends(list(found.values()), _silence_cutoff(context))
    return {viewing.id: viewing for viewing in told}


async def delete_history(
    context: Context,
    *,
    viewing_id: str | None = None,
    playable_id: str | None = None,
    before: datetime | None = None,
) -> None:
    """Takes one viewing, those of a title, or those begun before a time out for good.

    Raises:
        NotFound: the viewer has no such viewing.
        ValidationFailed: no id, or no film's or episode's.
        Unauthenticated, UpstreamUnavailable.
    """
    user_id = context.require(models.Role.USER).user_id
    now = _now(context)
    if viewing_id is not None:
        kind = ids.kind_of(viewing_id)
        if kind != "viewing" or not await models.delete_viewing(user_id, viewing_id, now):
            raise NotFound("There is no such viewing.", path=["viewingId"])
    if playable_id is not None:
        if ids.kind_of(playable_id) not in ("movie", "episode"):
            raise ValidationFailed("This is no film or episode.", path=["playableId"])
        await models.delete_viewings(user_id, now, playable_id=playable_id)
    if before is not None:
        await models.delete_viewings(user_id, now, before=before)


def _silence_cutoff(context: Context) -> datetime:
    """A viewing last heard of before this has ended, though its player never said so."""
    sessions = context.runtime.playback.sessions
    return _now(context) - timedelta(milliseconds=sessions.silent_after_ms)


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.runtime.clock(), UTC)
