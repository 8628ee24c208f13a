"""The viewer's own word about titles: watched, not watched, not to be continued.

One call to Redis for up to 500 titles, each all or nothing; it may be repeated. Marking never
touches the history, and dismissing moves no position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import loaders
import models
from resolvers.context import Context
from resolvers.paging import require_kind
from resolvers.playback.next_up import today
from resolvers.playback.progress import progress_among
from resolvers.playback.reports import ReportResult
from services.errors import NotFound, ValidationFailed
from services.playback.changes import MOST_CHANGES, Mark
from services.playback.state import ReportOutcome

ProgressByTitle = Mapping[str, models.LiveProgress]
_AHEAD = timedelta(minutes=5)  # how far a client's clock may be


async def mark_watched(
    context: Context, id_: str, watched_at: datetime | None = None
) -> ReportResult:
    """Marks a film, an episode, or what was shown of a season or a show; of a show without its
    specials. Tells the progress of the last of them.

    Raises:
        NotFound: there is no such thing, or nothing of it was shown yet.
        ValidationFailed: `watched_at` is in the future.
        UpstreamUnavailable: not stored for certain; mark again.
        Unauthenticated.
    """
    context.require(models.Role.USER)
    at_ms = _watched_ms(context, watched_at)
    titles = await _titles(context, id_, path="id")
    if titles is None:
        raise NotFound("There is no such film, episode, season or show.", path=["id"])
    if not titles:
        raise NotFound("Nothing of it was shown yet.", path=["id"])
    known = await progress_among(context, [title.id for title in titles])
    is_one = titles[-1].id == id_
    marks = [
        Mark(title.id, at_ms, title.runtime_seconds)
        for title in titles
        if is_one or not (title.id in known and known[title.id].completed)
    ]
    return await _mark(context, marks, known, watched=True, last_id=titles[-1].id)


async def mark_unwatched(context: Context, id_: str) -> ReportResult:
    """Forgets how far the viewer got in a film, an episode, a season or a show; how often it was
    watched stays. Tells the progress of the last of them, None if there never was any.

    Raises: as mark_watched.
    """
    context.require(models.Role.USER)
    titles = await _titles(context, id_, path="playableId")
    known = await progress_among(context, [one.id for one in titles] if titles else [id_])
    if titles is None and id_ not in known:
        raise NotFound("There is no such film, episode, season or show.", path=["playableId"])
    some = [id_] if titles is None else [title.id for title in titles]
    marks = [Mark(one, 0) for one in some if one in known]
    return await _mark(context, marks, known, watched=False, last_id=some[-1] if some else None)


async def dismiss(context: Context, playable_id: str) -> ReportResult:
    """Keeps a film or episode out of continueWatching until it is watched again.

    Raises:
        NotFound: there is no such film or episode.
        ValidationFailed, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    kind = require_kind(playable_id, path=["playableId"])
    playable = await context.load(loaders.PlayableById, playable_id)
    known = (await progress_among(context, [playable_id])).get(playable_id)
    if playable is None and known is None:
        raise NotFound("There is no such film or episode.", path=["playableId"])
    if known is None and kind != "episode":  # an episode may be in the list as the next one
        return ReportResult(None, False)
    changed = await context.progress_buffer.dismiss(
        viewer.user_id, playable_id, _now_ms(context), models.progress_base(known)
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
    known: ProgressByTitle,
    *,
    watched: bool,
    last_id: str | None,
) -> ReportResult:
    assert context.viewer is not None
    user_id, now_ms = context.viewer.user_id, _now_ms(context)
    last, is_applied = known.get(last_id or ""), False
    loader = context.loader(loaders.ProgressByPlayableId)
    for at in range(0, len(marks), MOST_CHANGES):
        some = marks[at : at + MOST_CHANGES]
        bases = {one.playable_id: models.progress_base(known.get(one.playable_id)) for one in some}
        changed = await context.progress_buffer.set_watched(
            user_id, some, watched=watched, now_ms=now_ms, bases=bases
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
    """What an id stands for: itself, or the episodes shown so far, in order. None: nothing."""
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
        for one in order
        if one.is_aired(date)
        and (one.season_id == id_ if kind == "season" else one.season_number > 0)
    ]


def _watched_ms(context: Context, watched_at: datetime | None) -> int:
    now = datetime.fromtimestamp(context.runtime.clock(), UTC)
    if watched_at is None:
        return _now_ms(context)
    if watched_at > now + _AHEAD:
        raise ValidationFailed("`watchedAt` is in the future.", path=["watchedAt"])
    return max(0, models.milliseconds(watched_at))


def _now_ms(context: Context) -> int:
    return int(context.runtime.clock() * 1000)
