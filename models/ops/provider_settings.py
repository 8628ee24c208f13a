"""What operators changed of providers; what is not here is as the settings of the process say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from pymongo import ReturnDocument

from models.mongo.base import IdentifiedRecord, StoredDocument
from models.mongo.reading import database_errors, find, projection

MOST = 200  # more providers than anybody configures


class ProviderSetting(StoredDocument):
    """Its id is the provider's; None leaves what is configured."""

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
    return await find(ProviderSetting, ProviderSettingRecord, {}, limit=MOST)


async def change_provider_setting(
    provider_id: str, changes: Mapping[str, bool | int], changed_by: str, now: datetime
) -> ProviderSettingRecord:
    """These fields set, the others left as they are; one atomic command.

    Raises:
        UpstreamUnavailable: MongoDB did not answer; whether it is changed is not known.
    """
    with database_errors():
        row = await ProviderSetting.get_pymongo_collection().find_one_and_update(
            {"_id": provider_id},
            {
                "$set": {**changes, "changed_by": changed_by, "updated_at": now},
                "$setOnInsert": {"created_at": now, "schema_version": 1},
                "$inc": {"version": 1},
            },
            projection(ProviderSettingRecord, None),
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    return msgspec.convert(row, ProviderSettingRecord)
