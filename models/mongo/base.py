"""Base classes of stored data. Documents are written, records are read.

Documents (Beanie) own shape, validation, indexes and writes; records (msgspec) are what reads
return, straight from the driver's dict. A record's default stands for "not requested", never for
data.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from beanie import Document
from pydantic import Field

from models.mongo import ids

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


class StoredDocument(Document):
    """Base of all documents.

    `version` grows by one with every write; `schema_version` is for migrations to find what they
    have to change, while reads take all (unknown_values.py). A subclass is registered where it is
    defined, but for one with an underscore, which is a base.
    """

    id_kind: ClassVar[str | None] = None  # of its public ids; None where it has none

    id: str  # type: ignore[assignment]  # our ids are text
    version: int = 1
    schema_version: int = 1
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=utc_now)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):
            DOCUMENTS.append(cls)
            if cls.id_kind is not None:
                ids.KINDS.add(cls.id_kind)


DOCUMENTS: list[type[StoredDocument]] = []  # every document, in the order of definition


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An immutable read result, shared between operations, stored in Redis as it is."""


class IdentifiedRecord(Record, frozen=True):
    """A record of a document with its own id."""

    id: str = msgspec.field(name="_id")
