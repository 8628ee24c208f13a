"""Loaders of playback. What one viewer watched is kept for one operation, in no shared cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import models
from loaders.base import CachedLoader, Fields, Scope
from services.errors import UpstreamUnavailable
from services.progress_buffer import Buffered, ProgressBuffer


class ViewerScope(Scope, Protocol):
    """An operation that knows who asks; None: nobody is signed in."""

    @property
    def viewer_id(self) -> str | None: ...

    @property
    def progress_buffer(self) -> ProgressBuffer: ...


class ProgressByPlayableId(CachedLoader[models.LiveProgress]):
    """The viewer's own progress: one pipeline to Redis, then one find for what it does not hold.

    With Redis away MongoDB answers alone: perhaps a few seconds old, and marked durable.
    """

    def __init__(self, scope: ViewerScope) -> None:
        super().__init__(scope)
        self._viewer_id = scope.viewer_id
        self._buffer = scope.progress_buffer

    async def many(
        self, keys: Iterable[str], fields: Fields = None
    ) -> dict[str, models.LiveProgress | None]:
        wanted = dict.fromkeys(keys)
        missing = [key for key in wanted if key not in self._seen]
        if missing:
            found = await self.fetch(missing, fields)
            self._seen.update({key: found.get(key) for key in missing})
        return {key: self._seen[key] for key in wanted}

    def ready(
        self, keys: Iterable[str], fields: Fields = None
    ) -> dict[str, models.LiveProgress | None] | None:
        wanted = list(keys)
        if any(key not in self._seen for key in wanted):
            return None
        return {key: self._seen[key] for key in wanted}

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.LiveProgress]:
        if self._viewer_id is None:
            return {}
        buffered = await self._buffered(self._viewer_id, keys)
        found = {key: models.live_progress(row) for key, row in buffered.items() if row is not None}
        rest = [key for key in keys if key not in buffered]
        if rest:
            found |= await models.progress_by_playable(self._viewer_id, rest)
        return found

    def renew(self, progress: models.LiveProgress) -> None:
        """After a write: what this operation reads from now on."""
        self._seen[progress.playable_id] = progress

    async def _buffered(self, user_id: str, keys: list[str]) -> Mapping[str, Buffered | None]:
        try:
            return await self._buffer.read_many(user_id, keys)
        except UpstreamUnavailable:
            return {}
