"""Random input values of any type, as they come in variables and as documents write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    Undefined,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)

Custom = Callable[[Random, str, str], Any]  # dice, name of the type, name of the argument -> value

_SCALARS: dict[str, tuple[Any, ...]] = {
    "Int": (0, 1, 2, 3, -1, 2**31 - 1),
    "Float": (0, 1.5, -2, 1e10),
    "String": ("", "a", "späte \u2028 Züge", 'quo"te\\', "\n"),
    "ID": ("cat:1", "dog:2", "rock:3", "cat:4", "ghost:0", 12),
    "Boolean": (True, False),
    "Date": ("2024-02-29",),
    "DateTime": ("2024-02-29T12:00:00Z", "1999-12-31T23:59:59.5+02:00"),
    "URL": ("https://example.org/a",),
    "LanguageTag": ("en", "pt-BR"),
    "EmailAddress": ("ada@example.org",),
    "JSONObject": ({}, {"a": [1, None, {"b": "c"}]}),
}


class Name(str):
    """An enum value, written without quotes."""

    __slots__ = ()


class Literal(str):
    """A variable, where a literal could stand."""

    __slots__ = ()


def nothing_special(_dice: Random, _type: str, _name: str) -> Any:
    return Undefined


def value_of(dice: Random, type_: Any, name: str, custom: Custom, depth: int = 2) -> Any:
    """A valid value of an input type; `custom` may know better ones (else Undefined)."""
    if is_non_null_type(type_):
        return _present(dice, type_.of_type, name, custom, depth)
    return None if dice.random() < 0.15 else _present(dice, type_, name, custom, depth)


def _present(dice: Random, type_: Any, name: str, custom: Custom, depth: int) -> Any:
    if is_list_type(type_):
        if dice.random() < 0.25 and not is_list_type(_nullable(type_.of_type)):
            return _present(dice, _nullable(type_.of_type), name, custom, depth)  # a list of one
        most = dice.randrange(3)
        return [value_of(dice, type_.of_type, name, custom, depth - 1) for _ in range(most)]
    custom_value = custom(dice, type_.name, name)
    if custom_value is not Undefined:
        return custom_value
    if is_enum_type(type_):
        return _enum(dice, type_)
    if is_input_object_type(type_):
        return _object(dice, type_, custom, depth)
    return dice.choice(_SCALARS[type_.name])


def is_one_of(type_: Any) -> bool:
    """Whether exactly one field is to be given, and no null."""
    return bool(type_.extensions["strawberry-definition"].is_one_of)


def _nullable(type_: Any) -> Any:
    return type_.of_type if is_non_null_type(type_) else type_


def _enum(dice: Random, type_: GraphQLEnumType) -> Name:
    return Name(dice.choice(list(type_.values)))


def _object(
    dice: Random, type_: GraphQLInputObjectType, custom: Custom, depth: int
) -> dict[str, Any]:
    names = list(type_.fields)
    if is_one_of(type_):
        name = dice.choice(names)
        return {name: _present(dice, _nullable(type_.fields[name].type), name, custom, depth)}
    made = {}
    for name in names:
        field = type_.fields[name]
        nested = is_input_object_type(_nullable(field.type))
        if is_required_input_field(field) or (dice.random() < 0.4 and (depth > 0 or not nested)):
            made[name] = value_of(dice, field.type, name, custom, depth - 1)
    return made


def write_literal(value: Any) -> str:
    """The value as a literal of a document."""
    if isinstance(value, Literal | Name):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(write_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {write_literal(item)}' for name, item in value.items())}}}"
    return json.dumps(value)
