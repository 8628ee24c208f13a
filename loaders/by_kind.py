"""Loaders of things of several kinds: an id's kind says which loader has it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from loaders.base import CachedLoader, Fields
from loaders.catalog import MovieById, PersonById
from loaders.shows import EpisodeById, ShowById
from models.mongo import ids


class LoaderByKind(CachedLoader[Any]):
    """Keeps nothing itself. An id of another kind names nothing."""

    by_kind: ClassVar[Mapping[str, type[CachedLoader[Any]]]]

    async def load(self, key: str) -> Any | None:
        kind = self.by_kind.get(ids.kind_of(key) or "")
        return await self._scope.loader(kind).load(key) if kind is not None else None

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, Any | None]:
        found: dict[str, Any | None] = dict.fromkeys(keys)
        parts = self._parts(found)
        for part in await asyncio.gather(*(one.many(some, fields) for one, some in parts)):
            found.update(part)
        return found

    def ready(self, keys: Iterable[str], fields: Fields = None) -> dict[str, Any | None] | None:
        found: dict[str, Any | None] = dict.fromkeys(keys)
        for one, some in self._parts(found):
            part = one.ready(some, fields)
            if part is None:
                return None
            found.update(part)
        return found

    def keys_read(self) -> Iterator[str]:
        return iter(())  # the loaders behind tell theirs

    def _parts(self, keys: Iterable[str]) -> list[tuple[CachedLoader[Any], list[str]]]:
        parts: dict[str, list[str]] = {}
        for key in keys:
            parts.setdefault(ids.kind_of(key) or "", []).append(key)
        return [
            (self._scope.loader(kind), parts[name])
            for name, kind in self.by_kind.items()
            if name in parts
        ]


class TitleById(LoaderByKind):
    by_kind: ClassVar = {"movie": MovieById, "show": ShowById}


class PlayableById(LoaderByKind):
    by_kind: ClassVar = {"movie": MovieById, "episode": EpisodeById}


class SearchResultById(LoaderByKind):
    by_kind: ClassVar = {"movie": MovieById, "show": ShowById, "person": PersonById}
