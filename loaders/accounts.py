"""Loaders of accounts. Private data: read for one operation, kept in no cache another may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import models
from loaders.base import CachedLoader, Fields
from loaders.tiers import CacheTier

V = TypeVar("V")


class PrivateLoader(CachedLoader[V]):
    """Batches and remembers within its operation only; goes straight to MongoDB."""

    async def keep(self, values: Mapping[str, V]) -> None:
        self.prime(values)

    async def _fill(self, keys: list[str]) -> None:
        found = await self.fetch(keys, None)
        self._seen.update({key: found.get(key) for key in keys})

    def _count(self, level: CacheTier, keys: int) -> None:
        """No tier holds it."""


class UserByIdUnscoped(PrivateLoader[models.UserRecord]):
    """Anybody's, not only the viewer's own: who calls it says why it may."""

    async def fetch(self, keys: list[str], fields: Fields) -> Mapping[str, models.UserRecord]:
        return await models.users_by_id(keys, fields)
