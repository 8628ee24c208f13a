"""Bounds on what clients send, each declared once: with its scalar, or with its place.

The engine enforces them for literals and variables alike before anything is done
(graph/engine/bounds.py); clients read them in the schema, as `@constraint`.
"""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.schema_directive import Location

# Characters of a value of each scalar; numbers are bounded by their own ranges.
SCALAR_CHARACTERS = {
    "ID": 128,
    "String": 2_048,
    "Date": 10,
    "DateTime": 64,
    "EmailAddress": 320,
    "LanguageTag": 35,
    "URL": 2_000,
}
NUMBERS = frozenset({"Boolean", "Float", "Int"})
ENUM_CHARACTERS = 128


@strawberry.schema_directive(
    locations=[Location.ARGUMENT_DEFINITION, Location.INPUT_FIELD_DEFINITION],
    description="Bounds on a value; one beyond them is refused before anything is done. Without "
    "`maxLength`, a String has at most 2,048 characters and an ID at most 128. `min` and `max` are "
    "of a number; beyond them its field fails, and others do not.",
)
class Constraint:
    max_length: int | None = strawberry.directive_field(name="maxLength", default=UNSET)
    max_items: int | None = strawberry.directive_field(name="maxItems", default=UNSET)
    least: int | None = strawberry.directive_field(name="min", default=UNSET)
    most: int | None = strawberry.directive_field(name="max", default=UNSET)


def bound(*, items: int | None = None, characters: int | None = None) -> list[object]:
    """Build the directives of an argument or input field with these bounds.

    Args:
        items: of the list.
        characters: of the string, or of each string in the list.
    """
    return [
        Constraint(
            max_length=UNSET if characters is None else characters,
            max_items=UNSET if items is None else items,
        )
    ]


def bound_number(least: int, most: int) -> list[object]:
    """Build the directives of a number that the field's resolver checks itself."""
    return [Constraint(least=least, most=most)]


def constraint_of(definition: Any) -> Constraint | None:
    """Return the bounds declared with an argument or input field of the built schema."""
    declared = definition.extensions.get("strawberry-definition")
    for directive in getattr(declared, "directives", ()):
        if isinstance(directive, Constraint):
            return directive
    return None
