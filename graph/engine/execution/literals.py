"""Literals with variables in input objects: read from the document once, filled in at each run.

Covers variables that have a value; everything else is graphql-core's, and its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    ObjectValueNode,
    Undefined,
    VariableNode,
    is_non_null_type,
)
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

from graph.engine.execution.variables import UndecidedValue

ReadLiteral = Callable[[Mapping[str, Any]], Any]  # coerced variables -> the coerced literal


def literal_reader(node: Any, type_: Any) -> ReadLiteral:
    """Build a function that fills a literal in; it raises UndecidedValue without a value for it.

    Raises:
        UndecidedValue: the literal is invalid, or has variables elsewhere than in objects.
    """
    if isinstance(node, VariableNode):
        return _variable_reader(node.name.value)
    if not has_variable(node):
        return _constant_reader(coerce_input_literal(node, type_))
    inner = type_.of_type if is_non_null_type(type_) else type_
    if not isinstance(node, ObjectValueNode) or not isinstance(inner, GraphQLInputObjectType):
        raise UndecidedValue
    return _object_reader(node, inner)


def has_variable(node: Any) -> bool:
    """Whether a literal is a variable or holds one."""
    stack: list[Any] = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, VariableNode):
            return True
        stack.extend(getattr(one, "values", None) or ())
        stack.extend(field.value for field in getattr(one, "fields", None) or ())
    return False


def _variable_reader(name: str) -> ReadLiteral:
    def read(coerced: Mapping[str, Any]) -> Any:
        value = coerced.get(name)
        if value is None:  # null, or none at all: what that means depends on the place
            raise UndecidedValue
        return value

    return read


def _constant_reader(value: Any) -> ReadLiteral:
    if value is Undefined:
        raise UndecidedValue
    return lambda _coerced: value


def _object_reader(node: ObjectValueNode, type_: GraphQLInputObjectType) -> ReadLiteral:
    """Fill in an object's fields in the order of its type, with defaults for those left out."""
    nodes = {field.name.value: field.value for field in node.fields}
    parts: list[tuple[str, ReadLiteral]] = []
    for name, field in type_.fields.items():
        if name in nodes:
            parts.append((field.out_name or name, literal_reader(nodes.pop(name), field.type)))
            continue
        default = coerce_default_value(field)
        if default is not Undefined:
            parts.append((field.out_name or name, _constant_reader(default)))
        elif is_non_null_type(field.type):
            raise UndecidedValue
    if nodes or (type_.is_one_of and len(parts) != 1):
        raise UndecidedValue
    out_type = type_.out_type

    def read(coerced: Mapping[str, Any]) -> Any:
        return out_type({name: part(coerced) for name, part in parts})

    return read
