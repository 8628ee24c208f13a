"""What to continue: films begun, and of each show the episode begun or the next one.

Sorted by when a title, or a show's last episode, was watched, newest first. A dismissed title is
left out until it is watched again. Reads, never writes; reaches back over 4,000 titles.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import loaders
import models
from models.mongo import ids
from resolvers.context import Context
from resolvers.paging import Page, PageArguments
from resolvers.playback.next_up import find_next, is_begun, is_watched
from resolvers.playback.progress import pick_newest, read_unflushed
from services import cursors

Place = tuple[int, str]  # when it was watched last, in ms, and the progress's id
_ORDER = "continue_watching"
_ROWS = 100  # in one read: more than most viewers have
_MAX_READS = 40
_MIN_BLOCK = 51  # of which the next episode is looked up together


class Item(NamedTuple):
    """An item of the list. A next episode has the place of the episode before it."""

    progress: models.LiveProgress
    place: Place


class _Watched(NamedTuple):
    """A film, or the episode of a show that was watched last."""

    progress: models.LiveProgress
    show_id: str | None

    @property
    def place(self) -> Place:
        return models.milliseconds(self.progress.last_watched_at), self.progress.id


async def continue_watching(
    context: Context,
    first: int | None = None,
    after: str | None = None,
    *,
    last: int | None = None,
    before: str | None = None,
    include_next_up: bool = True,
) -> Page[models.LiveProgress]:
    """One page of the viewer's own list.

    A next episode that was never begun has no progress: it is listed with version 0 and position 0.

    Raises:
        ValidationFailed, InvalidCursor, Unauthenticated, UpstreamUnavailable.
    """
    viewer = context.require(models.Role.USER)
    arguments = PageArguments(first, after, last, before)
    size = arguments.size()
    secret = context.runtime.settings.secret_bytes
    place = cursors.decode_instant(secret, _ORDER, *arguments.cursor)
    titles = _read_watched(context, viewer.user_id)
    if arguments.is_backwards:
        newer = await _read_newer(context, titles, place, include_next_up)
        items, is_beyond = newer.items[::-1], newer.is_beyond
    else:
        older = await _read_older(context, titles, place, size + 1, include_next_up)
        items, is_beyond = older.items, older.is_beyond
    page, is_more = arguments.cut(items, size)
    return Page(
        page,
        *arguments.bounds(is_more=is_more, is_beyond=is_beyond),
        secret,
        _ORDER,
        position_of=lambda item: cursors.Position(*item.place),
        node_of=lambda item: item.progress,
    )


class _Side(NamedTuple):
    """Items on one side of a place, newest first, and whether there are some on the other one."""

    items: list[Item]
    is_beyond: bool


async def _read_older(
    context: Context,
    watched: AsyncIterator[list[_Watched]],
    place: Place | None,
    limit: int,
    include_next_up: bool,
) -> _Side:
    """The items behind a place, or all, until there are `limit` or more."""
    items: list[Item] = []
    passed: list[_Watched] = []
    async for titles in watched:
        remaining = [one for one in titles if place is None or one.place < place]
        passed += titles[: len(titles) - len(remaining)]
        for block in _split(remaining, max(limit, _MIN_BLOCK)):
            items += await _build_items(context, block, include_next_up)
            if len(items) >= limit:
                break
        if len(items) >= limit:
            break
    return _Side(items, await _has_items(context, passed, include_next_up))


async def _read_newer(
    context: Context,
    watched: AsyncIterator[list[_Watched]],
    place: Place | None,
    include_next_up: bool,
) -> _Side:
    """All items before a place, or all there are."""
    items: list[Item] = []
    is_beyond = False
    async for titles in watched:
        due = [one for one in titles if place is None or one.place > place]
        for block in _split(due, _MIN_BLOCK):
            items += await _build_items(context, block, include_next_up)
        for block in _split(titles[len(due) :], _MIN_BLOCK):
            is_beyond = is_beyond or bool(await _build_items(context, block, include_next_up))
        if is_beyond:
            break
    return _Side(items, is_beyond)


async def _has_items(context: Context, passed: Sequence[_Watched], include_next_up: bool) -> bool:
    """Whether one of the titles before a page is on the list; looks at the nearest first."""
    for block in _split(passed[::-1], _MIN_BLOCK):
        if await _build_items(context, block, include_next_up):
            return True
    return False


async def _read_watched(context: Context, user_id: str) -> AsyncIterator[list[_Watched]]:
    """Films and shows, watched last first, each once.

    Begins at the newest whatever page is read: a show has the place of its newest episode alone.
    """
    seen_ids: set[str] = set()
    async for rows in _read_rows(context, user_id):
        episodes = await context.load_many(
            loaders.EpisodeById,
            [row.playable_id for row in rows if ids.kind_of(row.playable_id) == "episode"],
        )
        titles = []
        for row in rows:
            episode = episodes.get(row.playable_id)
            title_id = episode.show_id if episode is not None else row.playable_id
            if title_id not in seen_ids:
                seen_ids.add(title_id)
                titles.append(_Watched(row, episode.show_id if episode is not None else None))
        yield titles


async def _read_rows(context: Context, user_id: str) -> AsyncIterator[list[models.LiveProgress]]:
    """All progress of watched titles, watched last first, Redis over MongoDB."""
    live = await read_unflushed(context, user_id)
    pending = sorted(live.values(), key=_place, reverse=True)
    before: Place | None = None
    for _ in range(_MAX_READS):
        stored = await models.watched_progress(user_id, before=before, limit=_ROWS)
        is_last = len(stored) < _ROWS
        before = _place(stored[-1]) if stored else None
        due = [one for one in pending if is_last or (before is not None and _place(one) > before)]
        pending = pending[len(due) :]
        newer = {row.playable_id for row in stored if _is_newest(row, live)}
        rows = [row for row in stored if row.playable_id in newer or row.playable_id not in live]
        rows += [one for one in due if one.playable_id not in newer]
        yield sorted(filter(is_watched, rows), key=_place, reverse=True)
        if is_last:
            return


def _is_newest(row: models.LiveProgress, live: Mapping[str, models.LiveProgress]) -> bool:
    return row.playable_id in live and pick_newest(live[row.playable_id], row) is row


async def _build_items(
    context: Context, titles: Iterable[_Watched], include_next_up: bool
) -> list[Item]:
    """The items of these titles; none for a completed film or a show without a next episode."""
    show_ids = [
        one.show_id
        for one in titles
        if include_next_up and one.show_id is not None and one.progress.completed
    ]
    next_episodes = await find_next(context, show_ids)
    items = []
    for one in await _drop_deleted(context, titles):
        progress = one.progress if is_begun(one.progress) else next_episodes.get(one.show_id or "")
        if progress is not None and not progress.dismissed_at_ms:
            items.append(Item(progress, one.place))
    return items


async def _drop_deleted(context: Context, titles: Iterable[_Watched]) -> list[_Watched]:
    """The titles without films, shows and episodes that were deleted since they were watched."""
    some = list(titles)
    shows = await context.load_many(loaders.ShowById, [one.show_id for one in some if one.show_id])
    films = await context.load_many(
        loaders.PlayableById, [one.progress.playable_id for one in some if not one.show_id]
    )
    found = {**shows, **films}
    return [one for one in some if found.get(one.show_id or one.progress.playable_id) is not None]


def _split(titles: Sequence[_Watched], size: int) -> Iterator[Sequence[_Watched]]:
    return (titles[at : at + size] for at in range(0, len(titles), size))


def _place(progress: models.LiveProgress) -> Place:
    return models.milliseconds(progress.last_watched_at), progress.id
