"""The next episode of a show for its viewer; reads, never writes.

Next is the episode after the last one completed, in order of season and number. Specials (season 0)
neither count nor come next; an episode that has not aired comes once it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import loaders
import models
from resolvers.context import Context, Runtime
from resolvers.playback.progress import progress_among

Order = Sequence[models.EpisodeInOrder]
Seen = Mapping[str, models.LiveProgress]


async def next_up_of_shows(
    context: Context, show_ids: Collection[str], *, rewatch: bool = False
) -> dict[str, models.EpisodeRecord | None]:
    """The next episode by show; the number of reads does not depend on that of shows.

    None for a show of which nothing was watched, of which all was (unless `rewatch`), or if nobody
    is signed in.

    Raises:
        UpstreamUnavailable: MongoDB did not answer in time.
    """
    next_progress = await find_next(context, show_ids, rewatch=rewatch)
    episodes = await context.load_many(
        loaders.EpisodeById, [one.playable_id for one in next_progress.values()]
    )
    return {
        show_id: episodes[next_progress[show_id].playable_id] if show_id in next_progress else None
        for show_id in show_ids
    }


async def find_next(
    context: Context, show_ids: Collection[str], *, rewatch: bool = False
) -> dict[str, models.LiveProgress]:
    """The next episode's progress by show; version 0 where it was never begun.

    Shows without a next episode are absent.
    """
    if context.viewer is None or not show_ids:
        return {}
    orders = await context.load_many(loaders.EpisodesByShowId, show_ids)
    regular = {show_id: _regular(order or (), context) for show_id, order in orders.items()}
    seen = await progress_among(context, [one.id for some in regular.values() for one in some])
    choose = choose_rewatch if rewatch else choose_unwatched
    chosen = {show_id: choose(order, seen) for show_id, order in regular.items()}
    return {
        show_id: seen.get(one.id) or _not_begun(context.viewer.user_id, one, regular[show_id], seen)
        for show_id, one in chosen.items()
        if one is not None
    }


def choose_unwatched(order: Order, seen: Seen) -> models.EpisodeInOrder | None:
    """The episode after the last one completed; while none is, the first one begun."""
    completed = [at for at, one in enumerate(order) if _is_completed(seen.get(one.id))]
    if completed:
        later = order[completed[-1] + 1 :]
        return later[0] if later else None
    return next((one for one in order if is_begun(seen.get(one.id))), None)


def choose_rewatch(order: Order, seen: Seen) -> models.EpisodeInOrder | None:
    """The episode watched last, or the one after it if that was completed.

    After the last episode comes the first: a show can be watched round after round.
    """
    watched = [
        (seen[one.id].last_watched_at, at)
        for at, one in enumerate(order)
        if is_watched(seen.get(one.id))
    ]
    if not watched:
        return None
    _, at = max(watched)
    return order[(at + 1) % len(order)] if seen[order[at].id].completed else order[at]


def is_begun(progress: models.LiveProgress | None) -> bool:
    """Whether the title was begun and not completed."""
    return progress is not None and not progress.completed and progress.position_seconds > 0


def is_watched(progress: models.LiveProgress | None) -> bool:
    """Whether the title was begun or completed.

    One that was marked unwatched, or only dismissed, is neither.
    """
    return is_begun(progress) or _is_completed(progress)


def today(runtime: Runtime) -> str:
    """The runtime's date in UTC, as YYYY-MM-DD."""
    return datetime.fromtimestamp(runtime.clock(), UTC).date().isoformat()


def _regular(order: Order, context: Context) -> Order:
    date = today(context.runtime)
    return [one for one in models.aired_episodes(order, date) if one.season_number > 0]


def _not_begun(
    user_id: str, episode: models.EpisodeInOrder, order: Order, seen: Seen
) -> models.LiveProgress:
    """Empty progress of the next episode, last watched when the show was."""
    return models.LiveProgress(
        id=models.progress_id(user_id, episode.id),
        user_id=user_id,
        playable_id=episode.id,
        duration_seconds=episode.runtime_seconds,
        last_watched_at=max(
            seen[one.id].last_watched_at for one in order if is_watched(seen.get(one.id))
        ),
        durable=False,
    )


def _is_completed(progress: models.LiveProgress | None) -> bool:
    return progress is not None and progress.completed
