"""Conversion of a struct to a struct of another class, field by field of the same name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec.structs import FieldInfo

S = TypeVar("S", bound=msgspec.Struct)
_FLAGS: dict[tuple[type, type], Callable[[Any], Any]] = {(int, bool): bool, (bool, int): int}
_Step = tuple[str, Callable[[Any], Any] | None]


def convert_by_name(source: msgspec.Struct, target: type[S], **values: Any) -> S:
    """Build a `target` from the fields of the same name in `source`; flags become 0 and 1 or back.

    Args:
        source: where fields of `target` are taken from.
        target: the class to build.
        values: the fields of `target` that `source` does not have, or has in another type.

    Raises:
        TypeError: a field of `target` is in neither, or `source` has it in another type. Defaults
            do not count: a field added to one class only would be lost.
    """
    for name, convert in _steps(type(source), target, frozenset(values)):
        value = getattr(source, name)
        values[name] = value if convert is None else convert(value)
    return target(**values)


@cache
def _steps(
    source: type[msgspec.Struct], target: type[msgspec.Struct], assigned: frozenset[str]
) -> Sequence[_Step]:
    fields = {field.name: field for field in msgspec.structs.fields(source)}
    return [
        (field.name, _conversion(fields.get(field.name), field, target))
        for field in msgspec.structs.fields(target)
        if field.name not in assigned
    ]


def _conversion(
    source: FieldInfo | None, target: FieldInfo, owner: type
) -> Callable[[Any], Any] | None:
    if source is not None and source.type == target.type:
        return None
    convert = _FLAGS.get((source.type, target.type)) if source is not None else None
    if convert is None:
        raise TypeError(f"{owner.__name__}.{target.name} has no field of its type to come from")
    return convert
