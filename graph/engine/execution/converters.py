"""From coerced input to function arguments: Strawberry's conversion, built once per type."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_argument
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryOptional,
    get_object_definition,
)
from strawberry.types.lazy_type import LazyType

Convert = Callable[[Any], Any]


def converter(type_: Any, config: StrawberryConfig, scalars: Any) -> Convert | None:
    """Build a function for values that are not null; None where the value needs no conversion."""
    if isinstance(type_, LazyType):
        return converter(type_.resolve_type(), config, scalars)
    if isinstance(type_, StrawberryMaybe):
        return _as_strawberry(type_, config, scalars)
    if isinstance(type_, StrawberryOptional):
        return converter(type_.of_type, config, scalars)
    if isinstance(type_, StrawberryList):
        return _list(converter(type_.of_type, config, scalars))
    definition = get_object_definition(type_)
    if definition is None:
        return None  # scalars and enums
    if definition.from_input is not None:
        return _as_strawberry(type_, config, scalars)
    return _input(type_, definition, config, scalars)


def _as_strawberry(type_: Any, config: StrawberryConfig, scalars: Any) -> Convert:
    return lambda value: convert_argument(value, type_, scalars, config)


def _list(item: Convert | None) -> Convert:
    if item is None:
        return list  # a copy: a default is the same object for every request
    return lambda value: [None if one is None else item(one) for one in value]


def _input(type_: Any, definition: Any, config: StrawberryConfig, scalars: Any) -> Convert:
    fields: list[tuple[str, str, Convert | None]] = []
    for field in definition.fields:
        resolved = field.resolve_type(type_definition=definition)
        name = config.name_converter.from_field(field)
        fields.append((name, field.python_name, _lazily(resolved, type_, config, scalars)))
    absent = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    }

    def convert(value: Any) -> Any:
        keywords = absent.copy()
        for name, python_name, convert_field in fields:
            if name in value:
                one = value[name]
                plain = convert_field is None or one is None
                keywords[python_name] = one if plain else convert_field(one)  # type: ignore[misc]
        return type_(**keywords)

    return convert


def _lazily(type_: Any, inside: Any, config: StrawberryConfig, scalars: Any) -> Convert | None:
    """Leave an input within itself to Strawberry, as its conversion would be built for ever."""
    inner: Any = type_
    while isinstance(inner, StrawberryOptional | StrawberryList):
        inner = inner.of_type
    if isinstance(inner, LazyType) or inner is inside:
        return _as_strawberry(type_, config, scalars)
    return converter(type_, config, scalars)
