"""Values of enums that a later release wrote, read by this one after a rollback.

They stay in MongoDB, because updates name the fields they change; records show OTHER where their
enum has it, else the field's default, and lists go without them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

E = TypeVar("E", bound=Enum)
D = TypeVar("D")
_OTHER = "OTHER"
_UNKNOWN: Any = object()
Replace = Callable[[Any], Any]  # value -> value to decode, or _UNKNOWN


def replace_unknown(row: dict[str, Any], record: type[msgspec.Struct]) -> dict[str, Any]:
    """Copy a row without the values of enums that this release does not know.

    Args:
        row: as the driver returned it.
        record: what it is to be decoded as.
    """
    known: dict[str, Any] = _replacement(record)(row)
    return known


def parse_known(kind: type[E], value: Any, default: D) -> E | D:
    """Return the member of an enum with this value; `default` if this release has none."""
    try:
        return kind(value)
    except ValueError:
        return default


@cache
def _replacement(record: type[msgspec.Struct]) -> Replace:
    return _of_type(inspect.type_info(record))


def _of_type(info: inspect.Type) -> Replace:
    """Build the function that replaces unknown values in one of this type."""
    if isinstance(info, inspect.EnumType):
        return _of_enum(info.cls)
    if isinstance(info, inspect.StructType):
        fields = {field.encode_name: _of_type(field.type) for field in info.fields}
        return lambda value: _replace_in_fields(value, fields)
    if isinstance(info, (inspect.ListType, inspect.VarTupleType)):
        of_item = _of_type(info.item_type)
        return lambda value: _replace_in_list(value, of_item)
    if isinstance(info, inspect.UnionType):
        return _of_union(info)
    return lambda value: value


def _of_enum(kind: type[Enum]) -> Replace:
    values = {member.value for member in kind}
    fallback = _OTHER if _OTHER in values else _UNKNOWN
    return lambda value: value if value in values else fallback


def _of_union(info: inspect.UnionType) -> Replace:
    """Of unions only those with None are in records."""
    kinds = [one for one in info.types if not isinstance(one, inspect.NoneType)]
    if len(kinds) != 1:
        return lambda value: value
    of_value = _of_type(kinds[0])
    return lambda value: None if value is None else of_value(value)


def _replace_in_fields(value: Any, fields: dict[str, Replace]) -> Any:
    if not isinstance(value, dict):
        return value
    replaced = {name: fields[name](one) for name, one in value.items() if name in fields}
    return {name: one for name, one in replaced.items() if one is not _UNKNOWN}


def _replace_in_list(value: Any, of_item: Replace) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    return [one for one in map(of_item, value) if one is not _UNKNOWN]
