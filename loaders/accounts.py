"""Loaders of accounts. Private data: read for one operation, in no shared cache."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

import models
from loaders.base import CachedLoader, Fields, Values
from loaders.tiers import CacheTier

_V = TypeVar("_V")


class PrivateLoader(CachedLoader[_V]):
    """Loader that batches within its operation only and reads straight from MongoDB."""

    async def keep(self, values: Mapping[str, _V]) -> None:
        """Remember values for this operation only."""
        self.prime(values)

    def peek(self, keys: Collection[str], fields: Fields = None) -> Values[_V] | None:
        """Values by key, if this operation has read all of them; else None."""
        return self._seen if all(key in self._seen for key in keys) else None

    async def _fill(self, keys: list[str]) -> None:
        values = await self.fetch(keys, None)
        self._seen.update({key: values.get(key) for key in keys})

    def _count(self, tier: CacheTier, keys: int) -> None:
        """Count nothing: no tier has it."""


class UserByIdUnscoped(PrivateLoader[models.UserRecord]):
    """Any user, not only the viewer: each caller states why it may."""

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.UserRecord]:
        """Read users by id; deleted accounts are absent."""
        return await models.users_by_id(keys, fields)
