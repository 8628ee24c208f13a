"""Updates of stored documents: the only place that writes MongoDB's update operators.

Each update names its document class, and every field in it is looked up there: MongoDB itself would
store a misspelt one without a word.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec
from pydantic import BaseModel

from models.mongo.base import Record, StoredDocument

Values = Mapping[str, Any]
_NONE: Values = MappingProxyType({})
_ATTRIBUTES = {"_id": "id", "id": ""}  # of stored names that are others than the document's


def build_update(
    document: type[StoredDocument],
    changes: Values = _NONE,
    *,
    increments: Values = _NONE,
    on_insert: Values = _NONE,
    pushes: Values = _NONE,
    maxima: Values = _NONE,
    minima: Values = _NONE,
    unset: Collection[str] = (),
) -> dict[str, Any]:
    """Build an update; fields of embedded documents are dotted.

    Args:
        changes: new values.
        increments: numbers to add.
        on_insert: values of a document that the update has to insert.
        pushes: list fields with what to append.
        maxima: values that replace a smaller one.
        minima: values that replace a larger one.
        unset: fields to remove.

    Raises:
        ValueError: a field that the document does not have.
    """
    operators = {
        "$set": changes,
        "$inc": increments,
        "$setOnInsert": on_insert,
        "$push": pushes,
        "$max": maxima,
        "$min": minima,
        "$unset": dict.fromkeys(unset, ""),
    }
    return {
        operator: build_row(document, values) for operator, values in operators.items() if values
    }


def build_revision(
    document: type[StoredDocument], changes: Values, now: datetime, **increments: int
) -> dict[str, Any]:
    """Build an update that raises `version` by one and sets `updated_at`.

    Raises:
        ValueError: a field that the document does not have.
    """
    return build_update(
        document, {**changes, "updated_at": now}, increments={"version": 1, **increments}
    )


def build_row(document: type[StoredDocument], values: Values) -> dict[str, Any]:
    """Copy values after looking up their names.

    Raises:
        ValueError: a field that the document does not have.
    """
    unknown = [name for name in values if not is_stored(document, name)]
    if unknown:
        raise ValueError(f"{document.__name__} does not store {unknown}")
    return dict(values)


def build_bounded_push(value: Any, most: int) -> dict[str, Any]:
    """Build what to push: one value, of which list the last `most` stay."""
    return {"$each": [value], "$slice": -most}


def build_initial_values(now: datetime) -> dict[str, Any]:
    """Values of a new document that an update inserts, besides its `version`."""
    return {"schema_version": 1, "created_at": now}


def encode_record(
    record: Any, *, of: type[Record] | None = None, exclude: Collection[str] = ()
) -> dict[str, Any]:
    """Values of a record as MongoDB stores them, by name and without its id.

    Enums become their values, records inside become dicts, instants stay datetimes.

    Args:
        record: a record or a dataclass.
        of: the record class whose fields are meant, where `record` has more.
        exclude: names of fields to leave out.
    """
    values: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(datetime,))
    names = values.keys() if of is None else of.__struct_encode_fields__
    return {name: values[name] for name in names if name != "_id" and name not in exclude}


def is_stored(document: type[BaseModel], name: str) -> bool:
    """Whether the document stores a field of this name, dotted for embedded ones."""
    head, _, inner = name.partition(".")
    field = document.model_fields.get(_ATTRIBUTES.get(head, head))
    if field is None:
        return False
    return not inner or any(_has_inside(part, inner) for part in _parts(field.annotation))


def _has_inside(kind: Any, name: str) -> bool:
    return issubclass(kind, dict) or (issubclass(kind, BaseModel) and is_stored(kind, name))


def _parts(annotation: Any) -> Iterator[type]:
    """The classes of a field: of a union all."""
    origin = typing.get_origin(annotation)
    if origin is dict or isinstance(annotation, type):
        yield origin or annotation
        return
    for part in typing.get_args(annotation):
        yield from _parts(part)
