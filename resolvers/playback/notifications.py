"""A viewer's own progress, told whenever it changes: the newest state of each title, read anew.

Redis tells only that something changed (services/playback/notifications.py). After a break
everything that may have changed meanwhile is read once more, so nobody is left with an old state.
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
    """What the subscriber knows already, by title."""

    def __init__(self) -> None:
        self._stamps: OrderedDict[str, int] = OrderedDict()

    def is_new(self, progress: models.LiveProgress) -> bool:
        known = self._stamps.get(progress.playable_id, -1)
        if progress.stamp_ms <= known:
            return False
        self._stamps[progress.playable_id] = progress.stamp_ms
        self._stamps.move_to_end(progress.playable_id)
        if len(self._stamps) > _MAX_STAMPS:
            self._stamps.popitem(last=False)
        return True


def stream_progress(
    context: Context, playable_id: str | None = None
) -> AsyncIterator[models.LiveProgress]:
    """One title's state of now, if any, and each newer one; or changes of all titles.

    Raises:
        Unauthenticated.
        ValidationFailed: this is no id.
        NotFound: this is no id of a film or episode.
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
    told = _SentStamps()
    if playable_id is None:  # before listening: what changes from here on is told
        for one in (await _read_recent(context)).values():
            told.is_new(one)
    news_of = context.runtime.progress_news.listen
    async with news_of(context.viewer.user_id, playable_id) as listener:
        async for news in listener:
            for progress in await _read(context.for_event(), playable_id, news):
                if told.is_new(progress):
                    yield progress


async def _read_recent(context: Context) -> dict[str, models.LiveProgress]:
    """What was watched last, Redis over MongoDB: changes of a break are among it."""
    assert context.viewer is not None
    user_id = context.viewer.user_id
    live = await read_unflushed(context, user_id)
    stored = await models.watched_progress(user_id, before=None, limit=_MAX_RECENT)
    found = {one.playable_id: pick_newest(live.get(one.playable_id), one) for one in stored}
    return live | found


async def _read(
    context: Context, playable_id: str | None, news: Changes
) -> Iterable[models.LiveProgress]:
    """Earliest change first."""
    assert context.viewer is not None
    found: dict[str, models.LiveProgress | None] = {}
    if news.may_have_missed and playable_id is None:
        found.update(await _read_recent(context))
    wanted = news.playable_ids if playable_id is None else [playable_id]
    found |= await progress_of(context, wanted)
    return sorted((one for one in found.values() if one is not None), key=lambda one: one.stamp_ms)
