"""Marks a viewer sets on titles: watched, not watched, dismissed from continueWatching.

One call to Redis for up to 500 titles, each all or nothing; repeating it is harmless. Marking does
not change the history, and dismissing moves no position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import loaders
import models
from resolvers.context import Context
from resolvers.paging import require_kind
from resolvers.playback.durations import find_durations
from resolvers.playback.next_up import today
from resolvers.playback.progress import progress_among
from resolvers.playback.reports import ReportResult
from services.errors import NotFound, ValidationFailed
from services.playback.changes import MOST_CHANGES, Mark
from services.playback.state import ReportOutcome

ProgressByTitle = Mapping[str, models.LiveProgress]
_AHEAD = timedelta(minutes=5)  # how far a client's clock may be


async def mark_watched(
    context: Context, id_: str, watched_at: datetime | None = None, *, path: str = "id"
) -> ReportResult:
    """Mark a film, an episode, or the aired episodes of a season or a show as watched.

    Specials of a show are left out. Returns the progress of the last title.

    Args:
        path: what the client calls the id.

    Raises:
        NotFound: there is no such title, or none of its episodes has aired.
        ValidationFailed: `watched_at` is in the future or before 1970.
        UpstreamUnavailable: not stored for certain; mark again.
        Unauthenticated.
    """
    context.require(models.Role.USER)
    at_ms = _watched_ms(context, watched_at)
    titles = await _titles(context, id_, path=path)
    if titles is None:
        raise NotFound("There is no such film, episode, season or show.", path=[path])
    if not titles:
        raise NotFound("Nothing of it was shown yet.", path=[path])
    progress_by_title = await progress_among(context, [title.id for title in titles])
    durations = await find_durations(context, titles)
    is_one = titles[-1].id == id_
    marks = [
        Mark(title.id, at_ms, durations[title.id])
        for title in titles
        if is_one or not (title.id in progress_by_title and progress_by_title[title.id].completed)
    ]
    return await _mark(context, marks, progress_by_title, watched=True, last_id=titles[-1].id)


async def mark_unwatched(context: Context, id_: str) -> ReportResult:
    """Reset the position in a film, an episode, or the episodes of a season or a show.

    How often it was watched stays. Returns the progress of the last title, None if it has none.

    Raises: as mark_watched.
    """
    context.require(models.Role.USER)
    titles = await _titles(context, id_, path="playableId")
    progress_by_title = await progress_among(
        context, [one.id for one in titles] if titles else [id_]
    )
    if titles is None and id_ not in progress_by_title:
        raise NotFound("There is no such film, episode, season or show.", path=["playableId"])
    title_ids = [id_] if titles is None else [title.id for title in titles]
    marks = [Mark(one, 0) for one in title_ids if one in progress_by_title]
    return await _mark(
        context,
        marks,
        progress_by_title,
        watched=False,
        last_id=title_ids[-1] if title_ids else None,
    )


async def dismiss(context: Context, playable_id: str) -> ReportResult:
    """Leave a film or episode out of continueWatching until it is watched again.

    Raises:
        NotFound: there is no such film or episode.
        ValidationFailed, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    kind = require_kind(playable_id, path=["playableId"])
    playable = await context.load(loaders.PlayableById, playable_id)
    current = (await progress_among(context, [playable_id])).get(playable_id)
    if playable is None and current is None:
        raise NotFound("There is no such film or episode.", path=["playableId"])
    if current is None and kind != "episode":  # an episode may be in the list as the next one
        return ReportResult(None, False)
    changed = await context.progress_buffer.dismiss(
        viewer.user_id, playable_id, _now_ms(context), models.progress_base(current)
    )
    buffered = changed.progress[playable_id]
    if buffered is None:
        return ReportResult(None, False)
    progress = models.live_progress(buffered)
    context.loader(loaders.ProgressByPlayableId).renew(progress)
    return ReportResult(progress, changed.outcomes == [ReportOutcome.APPLIED])


async def _mark(
    context: Context,
    marks: Sequence[Mark],
    progress_by_title: ProgressByTitle,
    *,
    watched: bool,
    last_id: str | None,
) -> ReportResult:
    assert context.viewer is not None
    user_id, now_ms = context.viewer.user_id, _now_ms(context)
    last, is_applied = progress_by_title.get(last_id or ""), False
    loader = context.loader(loaders.ProgressByPlayableId)
    for at in range(0, len(marks), MOST_CHANGES):
        batch = marks[at : at + MOST_CHANGES]
        bases = {
            one.playable_id: models.progress_base(progress_by_title.get(one.playable_id))
            for one in batch
        }
        changed = await context.progress_buffer.set_watched(
            user_id, batch, watched=watched, now_ms=now_ms, bases=bases
        )
        is_applied = is_applied or ReportOutcome.APPLIED in changed.outcomes
        for playable_id, buffered in changed.progress.items():
            if buffered is None:
                continue
            progress = models.live_progress(buffered)
            loader.renew(progress)
            last = progress if playable_id == last_id else last
    return ReportResult(last, is_applied)


async def _titles(
    context: Context, id_: str, *, path: str
) -> Sequence[models.MovieRecord | models.EpisodeRecord | models.EpisodeInOrder] | None:
    """The title with this id, or a season's or show's aired episodes in order.

    None: there is no such title.
    """
    kind = require_kind(id_, path=[path])
    if kind in ("season", "show"):
        return await _episodes(context, id_, kind)
    playable = await context.load(loaders.PlayableById, id_)
    return [playable] if playable is not None else None


async def _episodes(context: Context, id_: str, kind: str) -> list[models.EpisodeInOrder] | None:
    whole = await context.load(loaders.SeasonById if kind == "season" else loaders.ShowById, id_)
    if whole is None:
        return None
    show_id = whole.show_id if kind == "season" else id_
    order = await context.load(loaders.EpisodesByShowId, show_id) or []
    date = today(context.runtime)
    return [
        one
        for one in models.aired_episodes(order, date)
        if (one.season_id == id_ if kind == "season" else one.season_number > 0)
    ]


def _watched_ms(context: Context, watched_at: datetime | None) -> int:
    now = datetime.fromtimestamp(context.runtime.clock(), UTC)
    if watched_at is None:
        return _now_ms(context)
    if watched_at > now + _AHEAD:
        raise ValidationFailed("`watchedAt` is in the future.", path=["watchedAt"])
    at_ms = models.milliseconds(watched_at)
    if at_ms < 0:
        raise ValidationFailed("`watchedAt` is before 1970.", path=["watchedAt"])
    return at_ms


def _now_ms(context: Context) -> int:
    return int(context.runtime.clock() * 1000)
