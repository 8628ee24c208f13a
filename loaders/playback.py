"""Loaders of playback. Data of one viewer is loaded for one operation, in no shared cache."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

import models
from loaders.base import CachedLoader, Fields, Scope, Values
from services.errors import UpstreamUnavailable
from services.playback.buffer import ProgressBuffer
from services.playback.repairs import RepairFlag
from services.playback.state import BufferedProgress

_V = TypeVar("_V")


class ViewerScope(Scope, Protocol):
    """An operation that knows its viewer; None: nobody is signed in."""

    @property
    def viewer_id(self) -> str | None:
        """Id of the signed-in viewer, or None."""

    @property
    def progress_buffer(self) -> ProgressBuffer:
        """The progress that Redis buffers."""

    @property
    def progress_repairs(self) -> RepairFlag:
        """Whether MongoDB may be ahead of Redis."""


class ViewerLoader(CachedLoader[_V]):
    """Data of the viewer: read once per operation, whole, and stored nowhere else.

    Without a signed-in viewer every value is None, at no cost. `fetch_own` reads the data.
    """

    def __init__(self, scope: ViewerScope) -> None:
        super().__init__(scope)
        self._viewer_id = scope.viewer_id
        self._buffer = scope.progress_buffer
        self._repairs = scope.progress_repairs

    async def fetch_own(self, viewer_id: str, keys: list[str]) -> Mapping[str, _V]:
        """Read these keys of the viewer. Overridden by every loader."""
        raise NotImplementedError

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, _V | None]:
        """Values by key, None for missing ones."""
        requested = dict.fromkeys(keys)
        missing = [key for key in requested if key not in self._seen]
        if missing:
            fetched = await self.fetch(missing, fields)
            self._seen.update({key: fetched.get(key) for key in missing})
        return {key: self._seen[key] for key in requested}

    def peek(self, keys: Collection[str], fields: Fields = None) -> Values[_V] | None:
        """Values by key, if this operation has read all of them; else None."""
        return self._seen if all(key in self._seen for key in keys) else None

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, _V]:
        """Read these keys of the viewer; nothing without one."""
        if self._viewer_id is None:
            return {}
        return await self.fetch_own(self._viewer_id, keys)

    def seen_cache_keys(self) -> Iterator[str]:
        """No keys: no cache has this data."""
        return iter(())  # no cache holds it

    def seen_tags(self) -> Iterator[str]:
        """No tags, for the same reason."""
        return iter(())


class ProgressByPlayableId(ViewerLoader[models.LiveProgress]):
    """The viewer's own progress: one pipeline to Redis, then one find for titles not buffered.

    With Redis unavailable MongoDB answers by itself: perhaps a few seconds old, and marked durable.
    While MongoDB may be ahead of Redis, all titles are read from both, and the later change counts;
    so are those that Redis has from before its restart.
    """

    async def fetch_own(self, viewer_id: str, keys: list[str]) -> Mapping[str, models.LiveProgress]:
        """Read progress from Redis and MongoDB and merge it."""
        buffered = await self._buffered(viewer_id, keys)
        live = {key: models.live_progress(row) for key, row in buffered.items() if row is not None}
        unbuffered = keys if self._repairs.is_set else _list_uncertain(keys, buffered)
        stored = await models.progress_by_playable(viewer_id, unbuffered) if unbuffered else {}
        ahead = {key: one for key, one in live.items() if not _is_older(one, stored.get(key))}
        return stored | ahead

    def renew(self, progress: models.LiveProgress) -> None:
        """Replace the value after a write, for the rest of this operation."""
        self._seen[progress.playable_id] = progress

    async def _buffered(
        self, user_id: str, keys: list[str]
    ) -> Mapping[str, BufferedProgress | None]:
        try:
            return await self._buffer.read_many(user_id, keys)
        except UpstreamUnavailable:
            return {}


class OnWatchlistByTitleId(ViewerLoader[bool]):
    """Whether films and shows are on the viewer's list; one find."""

    async def fetch_own(self, viewer_id: str, keys: list[str]) -> Mapping[str, bool]:
        """Read which titles are on the viewer's list."""
        listed = await models.on_watchlist(viewer_id, keys)
        return {key: key in listed for key in keys}

    def renew(self, title_id: str, is_listed: bool) -> None:
        """Replace the value after a write, for the rest of this operation."""
        self._seen[title_id] = is_listed


def _list_uncertain(keys: list[str], buffered: Mapping[str, BufferedProgress | None]) -> list[str]:
    verified = {key for key, row in buffered.items() if row is None or row.is_verified}
    return [key for key in keys if key not in verified]


def _is_older(live: models.LiveProgress, stored: models.LiveProgress | None) -> bool:
    return stored is not None and not models.is_later(live, stored)
