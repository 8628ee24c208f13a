"""The loader of provider settings changed by operators: all at once, they are few."""

from __future__ import annotations

from collections.abc import Mapping

import models
from loaders.base import CachedLoader, Fields
from services.cache.cache import Codec
from services.redis import cache_keys


class AllProviderSettings(CachedLoader[list[models.ProviderSettingRecord]]):
    """All overrides under the one key "all". Cached a minute; a change invalidates it."""

    kind = cache_keys.PROVIDER_SETTINGS
    codec = Codec(list[models.ProviderSettingRecord])

    async def fetch(
        self, keys: list[str], fields: Fields
    ) -> Mapping[str, list[models.ProviderSettingRecord]]:
        """Read all overrides."""
        return {"all": await models.all_provider_settings()}

    def cache_key(self, key: str) -> str:
        """The one Redis key."""
        return self.kind.key()
