"""Loaders of several kinds of records: the kind in an id selects the loader."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from loaders.base import CachedLoader, Fields, Values
from loaders.catalog import MovieById, PersonById
from loaders.shows import EpisodeById, ShowById
from models.mongo import ids


class LoaderByKind(CachedLoader[Any]):
    """Loader that delegates by kind and stores nothing; an unknown kind has no value."""

    by_kind: ClassVar[Mapping[str, type[CachedLoader[Any]]]]

    async def load(self, key: str) -> Any | None:
        """Load one key with the loader of its kind."""
        kind = self.by_kind.get(ids.kind_of(key) or "")
        return await self._scope.loader(kind).load(key) if kind is not None else None

    async def many(self, keys: Iterable[str], fields: Fields = None) -> dict[str, Any | None]:
        """Load many keys, one batch per kind."""
        values: dict[str, Any | None] = dict.fromkeys(keys)
        parts = self._split_by_kind(values)
        for part in await asyncio.gather(*(one.many(some, fields) for one, some in parts)):
            values.update(part)
        return values

    def peek(self, keys: Collection[str], fields: Fields = None) -> Values[Any] | None:
        """Values by key, if every loader has its part fresh; else None."""
        values: dict[str, Any | None] = dict.fromkeys(keys)
        for one, some in self._split_by_kind(values):
            part = one.peek(some, fields)
            if part is None:
                return None
            values.update(part)
        return values

    def seen_cache_keys(self) -> Iterator[str]:
        """No keys: the loaders of each kind report their own."""
        return iter(())  # the loaders behind tell theirs

    def seen_tags(self) -> Iterator[str]:
        """No tags, for the same reason."""
        return iter(())

    def _split_by_kind(self, keys: Iterable[str]) -> list[tuple[CachedLoader[Any], list[str]]]:
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
