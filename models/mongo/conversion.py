"""Conversion of a struct to a struct of another class, field by field of the same name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from msgspec.structs import FieldInfo

S = TypeVar("S", bound=msgspec.Struct)
_FLAGS: dict[tuple[type, type], Callable[[Any], Any]] = {(int, bool): bool, (bool, int): int}
_Steps = tuple[  # names, what reads them all, and those to convert
    tuple[str, ...], Callable[[Any], tuple[Any, ...]], list[tuple[str, Callable[[Any], Any]]]
]


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
    names, read, conversions = _steps(type(source), target, frozenset(values))
    values.update(zip(names, read(source), strict=True))
    for name, convert in conversions:
        values[name] = convert(values[name])
    return target(**values)


@cache
def _steps(
    source: type[msgspec.Struct], target: type[msgspec.Struct], assigned: frozenset[str]
) -> _Steps:
    fields = {field.name: field for field in msgspec.structs.fields(source)}
    steps = {
        field.name: _conversion(fields.get(field.name), field, target)
        for field in msgspec.structs.fields(target)
        if field.name not in assigned
    }
    conversions = [(name, convert) for name, convert in steps.items() if convert is not None]
    return tuple(steps), _reader(tuple(steps)), conversions


def _reader(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Build a function that reads these attributes in one call."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda source: tuple(getattr(source, name) for name in names)


def _conversion(
    source: FieldInfo | None, target: FieldInfo, owner: type
) -> Callable[[Any], Any] | None:
    if source is not None and source.type == target.type:
        return None
    convert = _FLAGS.get((source.type, target.type)) if source is not None else None
    if convert is None:
        raise TypeError(f"{owner.__name__}.{target.name} has no field of its type to come from")
    return convert
