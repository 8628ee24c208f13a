"""Base classes of stored data. Documents are written, records are read.

Documents (Beanie) own shape, validation, indexes and writes; records (msgspec) are what reads
return, straight from the driver's dict. A record's default stands for "not requested", never for
data.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from beanie import Document
from pydantic import Field

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


class StoredDocument(Document):
    """Base of all documents.

    `version` grows by one with every write; `schema_version` says how to upgrade on read.
    """

    id: str  # type: ignore[assignment]  # our ids are text
    version: int = 1
    schema_version: int = 1
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An immutable read result, shared between operations, stored in Redis as it is."""


class IdentifiedRecord(Record, frozen=True):
    """A record of a document with its own id."""

    id: str = msgspec.field(name="_id")
