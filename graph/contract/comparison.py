"""Comparison of two schemas, type by type; the most critical changes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    is_introspection_type,
    is_specified_directive,
    is_specified_scalar_type,
)
from graphql.utilities.find_schema_changes import (
    is_change_safe_for_object_or_interface_field as is_output_change_safe,
)

from graph.contract.changes import (
    Change,
    Changes,
    Criticality,
    breaking,
    breaking_if,
    dangerous,
    find_differences,
    safe,
)
from graph.contract.directives import (
    compare_applied,
    compare_definitions,
    compare_deprecation,
    compare_description,
    compare_value_deprecation,
)
from graph.contract.inputs import compare_arguments, compare_input_fields


class UnreadableSchema(ValueError):
    """A text is no schema; the message says where."""


def compare_schemas(old: str, new: str) -> list[Change]:
    """List the changes from one schema's text to another's, the breaking ones first.

    Raises:
        UnreadableSchema: one of the texts is no schema.
    """
    changes = [*_compare(_read_schema(old, "old"), _read_schema(new, "new"))]
    order = list(Criticality)
    return sorted(changes, key=lambda change: order.index(change.criticality))


def _read_schema(text: str, which: str) -> GraphQLSchema:
    try:
        return build_schema(text)
    except (GraphQLError, TypeError) as error:
        raise UnreadableSchema(f"The {which} schema cannot be read: {error}") from error


def _compare(old: GraphQLSchema, new: GraphQLSchema) -> Changes:
    for root in ("query", "mutation", "subscription"):
        yield from _compare_roots(root, getattr(old, f"{root}_type"), getattr(new, f"{root}_type"))
    before, after = _list_types(old), _list_types(new)
    names = find_differences(before, after)
    for name in names.removed:
        yield breaking(f"Type '{name}' was removed")
    for name in names.added:
        yield safe(f"Type '{name}' was added")
    for name in names.common:
        yield from _compare_types(name, before[name], after[name])
    yield from _compare_directives(old, new)


def _compare_roots(root: str, old: Any, new: Any) -> Changes:
    before, after = (one.name if one is not None else "unknown" for one in (old, new))
    if before != after:
        message = f"Schema {root} root has changed from '{before}' to '{after}'"
        yield breaking_if(old is not None, message, Criticality.SAFE)


def _compare_directives(old: GraphQLSchema, new: GraphQLSchema) -> Changes:
    before, after = (
        {one.name: one for one in schema.directives if not is_specified_directive(one)}
        for schema in (old, new)
    )
    names = find_differences(before, after)
    for name in names.removed:
        yield breaking(f"Directive '{name}' was removed")
    for name in names.added:
        yield safe(f"Directive '{name}' was added")
    for name in names.common:
        yield from compare_definitions(name, before[name], after[name])


def _list_types(schema: GraphQLSchema) -> dict[str, Any]:
    return {
        name: kind
        for name, kind in schema.type_map.items()
        if not is_introspection_type(kind) and not is_specified_scalar_type(kind)
    }


def _compare_types(name: str, old: Any, new: Any) -> Changes:
    if type(old) is not type(new):
        yield breaking(f"'{name}' kind changed from '{_kind(old)}' to '{_kind(new)}'")
        return
    place = f"{_KIND_WORDS[type(new)]} '{name}'"
    before, after = old.description, new.description
    if before and after and before != after:
        yield safe(f"Description '{before}' on type '{name}' has changed to '{after}'")
    else:
        yield from compare_description(place, before, after)
    yield from compare_applied(place, old, new)
    yield from _COMPARISONS[type(new)](name, old, new)


def _kind(kind: Any) -> str:
    return type(kind).__name__.removeprefix("GraphQL") + "Definition"


def _compare_scalars(name: str, old: Any, new: Any) -> Changes:
    before, after = old.specified_by_url, new.specified_by_url
    if before != after:
        yield dangerous(f"Scalar '{name}' specification changed from '{before}' to '{after}'")


def _compare_enums(name: str, old: Any, new: Any) -> Changes:
    names = find_differences(old.values, new.values)
    for value in names.removed:
        was = " (deprecated)" if old.values[value].deprecation_reason is not None else ""
        yield breaking(f"Enum value '{value}'{was} was removed from enum '{name}'")
    for value in names.added:
        yield dangerous(f"Enum value '{value}' was added to enum '{name}'")
    for value in names.common:
        before, after = old.values[value], new.values[value]
        place = f"enum value '{name}.{value}'"
        yield from compare_description(place, before.description, after.description)
        reasons = before.deprecation_reason, after.deprecation_reason
        yield from compare_value_deprecation(f"{name}.{value}", *reasons)
        yield from compare_applied(place, before, after)


def _compare_unions(name: str, old: Any, new: Any) -> Changes:
    before, after = ({one.name: one for one in union.types} for union in (old, new))
    names = find_differences(before, after)
    for member in names.removed:
        yield breaking(f"Member '{member}' was removed from Union type '{name}'")
    for member in names.added:
        yield dangerous(f"Member '{member}' was added to Union type '{name}'")


def _compare_inputs(name: str, old: Any, new: Any) -> Changes:
    yield from compare_input_fields(name, old.fields, new.fields)


def _compare_objects(name: str, old: Any, new: Any) -> Changes:
    before, after = ({one.name: one for one in kind.interfaces} for kind in (old, new))
    interfaces = find_differences(before, after)
    for interface in interfaces.removed:
        yield breaking(f"'{name}' object type no longer implements '{interface}' interface")
    for interface in interfaces.added:
        yield dangerous(f"'{name}' object implements '{interface}' interface")
    word = "interface" if isinstance(new, GraphQLInterfaceType) else "object type"
    fields = find_differences(old.fields, new.fields)
    for field in fields.removed:
        was = " (deprecated)" if old.fields[field].deprecation_reason is not None else ""
        yield breaking(f"Field '{field}'{was} was removed from {word} '{name}'")
    for field in fields.added:
        yield safe(f"Field '{field}' was added to {word} '{name}'")
    for field in fields.common:
        yield from _compare_fields(f"{name}.{field}", old.fields[field], new.fields[field])


def _compare_fields(field: str, old: Any, new: Any) -> Changes:
    place = f"field '{field}'"
    yield from compare_description(place, old.description, new.description)
    yield from compare_deprecation(place, old.deprecation_reason, new.deprecation_reason)
    yield from compare_applied(place, old, new)
    if str(old.type) != str(new.type):
        yield breaking_if(
            not is_output_change_safe(old.type, new.type),
            f"Field '{field}' changed type from '{old.type}' to '{new.type}'",
            Criticality.SAFE,
        )
    yield from compare_arguments(field, old.args, new.args)


_KIND_WORDS = {
    GraphQLScalarType: "scalar",
    GraphQLEnumType: "enum",
    GraphQLUnionType: "union",
    GraphQLInputObjectType: "input object type",
    GraphQLInterfaceType: "interface",
    GraphQLObjectType: "object type",
}
_COMPARISONS: dict[Any, Callable[[str, Any, Any], Changes]] = {
    GraphQLScalarType: _compare_scalars,
    GraphQLEnumType: _compare_enums,
    GraphQLUnionType: _compare_unions,
    GraphQLInputObjectType: _compare_inputs,
    GraphQLInterfaceType: _compare_objects,
    GraphQLObjectType: _compare_objects,
}
