"""The viewer's progress, Redis over MongoDB; viewers see their own alone.

Redis is read before MongoDB: progress that is flushed in between is then in the second. While Redis
does not answer, MongoDB's progress is served, perhaps some seconds old.
"""

from __future__ import annotations

from collections.abc import Collection

import loaders
import models
from resolvers.context import Context
from resolvers.paging import require_kind
from services.errors import UpstreamUnavailable
from services.playback.buffer import UNFLUSHED_TITLES


async def progress_of(
    context: Context, playable_ids: Collection[str]
) -> dict[str, models.LiveProgress | None]:
    """The viewer's progress by title, in two reads at most; None for all if nobody is signed in."""
    return await context.load_many(loaders.ProgressByPlayableId, playable_ids)


async def title_progress(context: Context, playable_id: str) -> models.LiveProgress | None:
    """The viewer's progress in one title; None if not started.

    Raises:
        ValidationFailed: the id is malformed.
        UpstreamUnavailable.
    """
    require_kind(playable_id, path=["playableId"])
    return (await progress_of(context, [playable_id]))[playable_id]


async def progress_by_id(
    context: Context, progress_ids: Collection[str]
) -> dict[str, models.LiveProgress]:
    """The viewer's own progress among these ids; for `node`."""
    if context.viewer is None:
        return {}
    user_id = context.viewer.user_id
    live = {one.id: one for one in (await read_unflushed(context, user_id)).values()}
    stored = await models.find_by_id(models.ViewingProgress, models.LiveProgress, progress_ids)
    own = {id_: one for id_, one in stored.items() if one.user_id == user_id}
    visible_ids = [id_ for id_ in progress_ids if id_ in live or id_ in own]
    return {id_: pick_newest(live.get(id_), own.get(id_)) for id_ in visible_ids}


async def progress_among(
    context: Context, playable_ids: Collection[str]
) -> dict[str, models.LiveProgress]:
    """Progress of many titles of which few were watched: one script, one find.

    Titles without progress are absent.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    if context.viewer is None or not playable_ids:
        return {}
    live = await read_unflushed(context, context.viewer.user_id)
    if len(live) >= UNFLUSHED_TITLES:  # cut short: ask for each
        progress_by_title = await progress_of(context, playable_ids)
        return {id_: one for id_, one in progress_by_title.items() if one is not None}
    stored = await models.progress_by_playable(context.viewer.user_id, playable_ids)
    return {id_: pick_newest(live.get(id_), stored.get(id_)) for id_ in live.keys() | stored.keys()}


async def read_unflushed(context: Context, user_id: str) -> dict[str, models.LiveProgress]:
    """Progress that MongoDB may not have yet, by title; none while Redis does not answer."""
    try:
        rows = await context.progress_buffer.list_unflushed(user_id)
    except UpstreamUnavailable:
        return {}
    return {row.playable_id: models.live_progress(row) for row in rows}


def pick_newest(
    live: models.LiveProgress | None, stored: models.LiveProgress | None
) -> models.LiveProgress:
    """The later change of the two; one of them may be None."""
    if live is None or stored is None:
        only = live or stored
        assert only is not None
        return only
    return live if models.is_later(live, stored) else stored
