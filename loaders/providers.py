"""The loader of what operators changed of providers: all of it at once, it is a few lines."""

from __future__ import annotations

from collections.abc import Mapping

import models
from loaders.base import CachedLoader, Fields
from services.cache.cache import Codec
from services.redis import cache_keys


class AllProviderSettings(CachedLoader[list[models.ProviderSettingRecord]]):
    """Its one key is "all". Kept a minute, and forgotten in every process when one is changed."""

    kind = cache_keys.PROVIDER_SETTINGS
    codec = Codec(list[models.ProviderSettingRecord])

    async def fetch(
        self, keys: list[str], fields: Fields
    ) -> Mapping[str, list[models.ProviderSettingRecord]]:
        return {"all": await models.all_provider_settings()}

    def cache_key(self, key: str) -> str:
        return self.kind.key()
