"""Loaders of playback. What one viewer watched is kept for one operation, in no shared cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

import models
from loaders.base import CachedLoader, Fields, Scope
from services.errors import UpstreamUnavailable
from services.playback.buffer import ProgressBuffer
from services.playback.repairs import RepairFlag
from services.playback.state import BufferedProgress

V = TypeVar("V")


class ViewerScope(Scope, Protocol):
    """An operation that knows who asks; None: nobody is signed in."""

    @property
    def viewer_id(self) -> str | None: ...

    @property
    def progress_buffer(self) -> ProgressBuffer: ...

    @property
    def progress_repairs(self) -> RepairFlag: ...


class ViewerLoader(CachedLoader[V]):
    """What belongs to who asks: read once per operation, whole, and kept nowhere else.

    Nobody signed in: None for all, at no cost. `fetch_own` says how it is read.
    """

    def __init__(self, scope: ViewerScope) -> None:
        super().__init__(scope)
        self._viewer_id = scope.viewer_id
        self._buffer = scope.progress_buffer
        self._repairs = scope.progress_repairs

    async def fetch_own(self, viewer_id: str, keys: list[str]) -> Mapping[str, V]:
        raise NotImplementedError

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, V | None]:
        wanted = dict.fromkeys(keys)
        missing = [key for key in wanted if key not in self._seen]
        if missing:
            found = await self.fetch(missing, fields)
            self._seen.update({key: found.get(key) for key in missing})
        return {key: self._seen[key] for key in wanted}

    def ready(self, keys: Iterable[str], fields: Fields = None) -> dict[str, V | None] | None:
        wanted = list(keys)
        if any(key not in self._seen for key in wanted):
            return None
        return {key: self._seen[key] for key in wanted}

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, V]:
        if self._viewer_id is None:
            return {}
        return await self.fetch_own(self._viewer_id, keys)

    def keys_read(self) -> Iterator[str]:
        return iter(())  # no cache holds it


class ProgressByPlayableId(ViewerLoader[models.LiveProgress]):
    """The viewer's own progress: one pipeline to Redis, then one find for what it does not hold.

    With Redis away MongoDB answers alone: perhaps a few seconds old, and marked durable. While
    MongoDB may be ahead of Redis, all are read from both, and the later change counts.
    """

    async def fetch_own(self, viewer_id: str, keys: list[str]) -> Mapping[str, models.LiveProgress]:
        buffered = await self._buffered(viewer_id, keys)
        found = {key: models.live_progress(row) for key, row in buffered.items() if row is not None}
        rest = [key for key in keys if self._repairs.is_any or key not in buffered]
        stored = await models.progress_by_playable(viewer_id, rest) if rest else {}
        ahead = {key: one for key, one in found.items() if not _is_older(one, stored.get(key))}
        return stored | ahead

    def renew(self, progress: models.LiveProgress) -> None:
        """After a write: what this operation reads from now on."""
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
        listed = await models.on_watchlist(viewer_id, keys)
        return {key: key in listed for key in keys}

    def renew(self, title_id: str, is_listed: bool) -> None:
        """After a write: what this operation reads from now on."""
        self._seen[title_id] = is_listed


def _is_older(live: models.LiveProgress, stored: models.LiveProgress | None) -> bool:
    return stored is not None and not models.is_later(live, stored)
