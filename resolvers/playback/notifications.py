"""A stream of the viewer's own progress: each title's newest state, read after every change.

Redis only says that a title changed, or was stored for good. After a lost connection
everything that may have changed is read again, so no subscriber stays with an old state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable

import models
from models import Role
from resolvers.context import Context
from resolvers.paging import require_kind
from resolvers.playback.progress import pick_newest, progress_of, read_unflushed
from services.errors import NotFound
from services.playback.notifications import Changes

_MAX_RECENT = 200
_MAX_STAMPS = 1_000  # stamps remembered; a title told before those may be told once more


class _SentStamps:
    """The stamp of the state sent last, and if it was durable, by title; the oldest are dropped."""

    def __init__(self) -> None:
        self._stamps: OrderedDict[str, tuple[int, bool]] = OrderedDict()

    def is_new(self, progress: models.LiveProgress) -> bool:
        """Whether it is newer than the state sent last, or that made durable; it then is sent."""
        stamp = progress.stamp_ms, progress.durable
        if stamp <= self._stamps.get(progress.playable_id, (-1, False)):
            return False
        self._stamps[progress.playable_id] = stamp
        self._stamps.move_to_end(progress.playable_id)
        if len(self._stamps) > _MAX_STAMPS:
            self._stamps.popitem(last=False)
        return True


def stream_progress(
    context: Context, playable_id: str | None = None
) -> AsyncIterator[models.LiveProgress]:
    """Stream one title's current state, if any, and each newer one; or all titles' changes.

    Raises:
        Unauthenticated.
        ValidationFailed: this is no id.
        NotFound: this is not the id of a film or episode.
        TooManyStreams: at the first event.
    """
    context.require(Role.USER)
    if playable_id is not None and require_kind(playable_id, path=["playableId"]) not in (
        "movie",
        "episode",
    ):
        raise NotFound("There is no such film or episode.", path=["playableId"])
    return _stream_changes(context, playable_id)


async def _stream_changes(
    context: Context, playable_id: str | None
) -> AsyncIterator[models.LiveProgress]:
    assert context.viewer is not None
    sent = _SentStamps()
    if playable_id is None:  # before listening: what changes from here on is told
        for one in (await _read_recent(context)).values():
            sent.is_new(one)
    listen = context.runtime.playback.notifications.listen
    async with listen(context.viewer.user_id, playable_id) as listener:
        async for changes in listener:
            for progress in await _read(context.for_event(), playable_id, changes):
                if sent.is_new(progress):
                    yield progress


async def _read_recent(context: Context) -> dict[str, models.LiveProgress]:
    """The titles watched last, Redis over MongoDB.

    Changes during a lost connection are among them.
    """
    assert context.viewer is not None
    user_id = context.viewer.user_id
    live = await read_unflushed(context, user_id)
    stored = await models.watched_progress(user_id, before=None, limit=_MAX_RECENT)
    progress_by_title = {
        one.playable_id: pick_newest(live.get(one.playable_id), one) for one in stored
    }
    return live | progress_by_title


async def _read(
    context: Context, playable_id: str | None, changes: Changes
) -> Iterable[models.LiveProgress]:
    """The current state of the changed titles, earliest change first."""
    assert context.viewer is not None
    progress_by_title: dict[str, models.LiveProgress | None] = {}
    if changes.resync and playable_id is None:
        progress_by_title.update(await _read_recent(context))
    changed_ids = changes.playable_ids if playable_id is None else [playable_id]
    progress_by_title |= await progress_of(context, changed_ids)
    return sorted(
        (one for one in progress_by_title.values() if one is not None), key=lambda one: one.stamp_ms
    )
