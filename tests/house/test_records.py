"""Documents are written, records are read: both mean the same stored thing."""

from __future__ import annotations

import types
import typing
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

import models

# A record is named after its document, but for those that are one view of a document of many.
_NAMED_OTHERWISE = {
    models.CredentialRecord: models.User,
    models.ProgressRecord: models.ViewingProgress,
    models.TitleRecord: models.Movie,
}

_BASES = (models.Record, models.IdentifiedRecord)


def _records() -> list[type[models.Record]]:
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type)]
    return [each for each in kinds if issubclass(each, models.Record) and _is_named_record(each)]


def _is_named_record(kind: type) -> bool:
    return kind.__name__.endswith("Record") and kind not in _BASES


def document_of(record: type[models.Record]) -> type[BaseModel]:
    found = _NAMED_OTHERWISE.get(record) or getattr(models, record.__name__.removesuffix("Record"))
    assert issubclass(found, BaseModel)
    return found


@pytest.mark.parametrize("record", _records(), ids=lambda record: record.__name__)
def test_every_record_field_is_on_its_document_with_the_same_type(
    record: type[models.Record],
) -> None:
    # given what the document stores, `_id` under its name in MongoDB
    document = document_of(record)
    stored = {field.alias or name: name for name, field in document.model_fields.items()}
    types_stored = {name: field.annotation for name, field in document.model_fields.items()}
    types_read = typing.get_type_hints(record)
    # when each field of the record is compared with it
    differing = [
        f"{field.name}: {types_read[field.name]}"
        for field in msgspec.structs.fields(record)
        if field.encode_name not in stored
        or not same(types_read[field.name], types_stored[stored[field.encode_name]])
    ]
    # then none is missing or of another type
    assert differing == []


def test_every_document_has_a_record() -> None:
    read = {document_of(record) for record in _records()}
    assert [each.__name__ for each in models.DOCUMENTS if each not in read] == []


def same(read: Any, stored: Any) -> bool:
    """Equal types; a record inside stands for the model it is a view of."""
    if isinstance(read, type) and _is_named_record(read):
        return document_of(read) is stored
    parts, others = typing.get_args(read), typing.get_args(stored)
    if not parts:
        return bool(read == stored)
    if _shape(read) is not _shape(stored) or len(parts) != len(others):
        return False
    return all(same(part, other) for part, other in zip(parts, others, strict=True))


def _shape(kind: Any) -> Any:
    origin = typing.get_origin(kind)
    return typing.Union if origin is types.UnionType else origin
