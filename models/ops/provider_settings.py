"""Provider settings changed by operators; without one the process's own settings apply."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from pymongo import ReturnDocument

from models.mongo.base import IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find, projection
from models.mongo.updates import build_initial_values, build_update

MOST = 200  # more providers than anybody configures


class ProviderSetting(StoredDocument):
    """Overrides of one provider, whose id it has; None leaves the configured value."""

    enabled: bool | None = None
    priority: int | None = None
    rollout_percent: int | None = None
    changed_by: str | None = None

    class Settings:
        name = "provider_settings"


class ProviderSettingRecord(IdentifiedRecord, frozen=True):
    enabled: bool | None = None
    priority: int | None = None
    rollout_percent: int | None = None
    version: int = 0


async def all_provider_settings() -> list[ProviderSettingRecord]:
    """All overrides, at most 200."""
    return await find(ProviderSetting, ProviderSettingRecord, {}, limit=MOST)


async def change_provider_setting(
    provider_id: str, changes: Mapping[str, bool | int], changed_by: str, now: datetime
) -> ProviderSettingRecord:
    """Set these fields and leave the others unchanged; one atomic command.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; whether it is changed is not known.
    """
    with database_errors():
        row = await ProviderSetting.get_pymongo_collection().find_one_and_update(
            {"_id": provider_id},
            build_update(
                ProviderSetting,
                {**changes, "changed_by": changed_by, "updated_at": now},
                on_insert=build_initial_values(now),
                increments={"version": 1},
            ),
            projection(ProviderSettingRecord, None),
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    return msgspec.convert(row, ProviderSettingRecord)
