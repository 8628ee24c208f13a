"""Enums of the floors below as public ones, every value described."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

import strawberry

E = TypeVar("E", bound=type[Enum])


def describe_enum(
    enum: E, description: str, values: Mapping[str, str], *, name: str | None = None
) -> E:
    """Make an enum public, under its own name or another, with a description per value.

    Raises:
        ValueError: a value has no description, or a description no value.
    """
    if set(values) != {member.name for member in enum}:
        raise ValueError(f"{enum.__name__}: describe exactly its values")
    strawberry.enum(enum, name=name, description=description)
    definition: Any = enum.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]
    return enum
