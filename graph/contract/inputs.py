"""Changes of what clients send: arguments, fields of inputs, and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import is_required_argument, is_required_input_field, print_ast
from graphql.utilities.find_schema_changes import (
    is_change_safe_for_input_object_field_or_field_arg as is_input_change_safe,
)

from graph.contract.changes import (
    Changes,
    Criticality,
    breaking,
    breaking_if,
    dangerous,
    find_differences,
)
from graph.contract.directives import (
    compare_applied,
    compare_deprecation,
    compare_description,
)


def compare_arguments(field: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Compare the arguments of a field, told as Type.field."""
    names = find_differences(old, new)
    for name in names.removed:
        was = _mark_deprecated(old[name])
        text = f"Argument '{name}: {old[name].type}'{was} was removed from field '{field}'"
        yield breaking(text)
    for name in names.added:
        argument = new[name]
        default = " (with default value)" if _read_default(argument) is not None else ""
        yield breaking_if(
            is_required_argument(argument),
            f"Argument '{name}: {argument.type}'{default} added to field '{field}'",
            Criticality.DANGEROUS,
        )
    for name in names.common:
        yield from _compare_argument(field, name, old[name], new[name])


def _compare_argument(field: str, name: str, old: Any, new: Any) -> Changes:
    place = f"argument '{name}' on field '{field}'"
    yield from compare_description(place, old.description, new.description)
    yield from compare_deprecation(place, old.deprecation_reason, new.deprecation_reason)
    yield from compare_applied(place, old, new)
    if str(old.type) != str(new.type):
        yield breaking_if(
            not is_input_change_safe(old.type, new.type),
            f"Type for {place} changed from '{old.type}' to '{new.type}'",
            Criticality.SAFE,
        )
    before, after = _read_default(old), _read_default(new)
    if before is None and after is not None:
        yield dangerous(f"Default value '{after}' was added to {place}")
    elif before is not None and after is None:
        yield dangerous(f"Default value '{before}' was removed from {place}")
    elif before != after:
        yield dangerous(f"Default value for {place} changed from '{before}' to '{after}'")


def compare_input_fields(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Compare the fields of an input object type."""
    names = find_differences(old, new)
    for field in names.removed:
        was = _mark_deprecated(old[field])
        yield breaking(f"Input field '{field}'{was} was removed from input object type '{name}'")
    for field in names.added:
        yield breaking_if(
            is_required_input_field(new[field]),
            f"Input field '{field}' of type '{new[field].type}' was added to input object type "
            f"'{name}'",
            Criticality.DANGEROUS,
        )
    for field in names.common:
        yield from _compare_input_field(f"{name}.{field}", old[field], new[field])


def _compare_input_field(field: str, old: Any, new: Any) -> Changes:
    place = f"input field '{field}'"
    yield from compare_description(place, old.description, new.description)
    yield from compare_deprecation(place, old.deprecation_reason, new.deprecation_reason)
    yield from compare_applied(place, old, new)
    if str(old.type) != str(new.type):
        yield breaking_if(
            not is_input_change_safe(old.type, new.type),
            f"Input field '{field}' changed type from '{old.type}' to '{new.type}'",
            Criticality.SAFE,
        )
    before, after = _read_default(old), _read_default(new)
    if before != after:
        text = f"Input field '{field}' default value changed from '{before}' to '{after}'"
        yield dangerous(text.replace("'None'", "'undefined'"))


def _read_default(element: Any) -> str | None:
    """The default as it is written; None: there is none."""
    node = element.ast_node.default_value if element.ast_node is not None else None
    return print_ast(node) if node is not None else None


def _mark_deprecated(element: Any) -> str:
    return " (deprecated)" if element.deprecation_reason is not None else ""
