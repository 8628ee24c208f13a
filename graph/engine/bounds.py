"""Checks what clients send against its declared bounds, before it is coerced.

Literals are checked once, with their document; each variable by one function per place it is used
in. List entries are counted on the way, as they are part of an operation's cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInputObjectType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    TokenKind,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
    value_from_ast_untyped,
)
from graphql.utilities import type_from_ast

from graph.base.bounds import ENUM_CHARACTERS, SCALAR_CHARACTERS, Constraint, constraint_of
from services.errors import ValidationFailed

Check = Callable[[Any, str], int]  # a raw value and its place -> the list entries in it
Literal = tuple[Any, Any, Constraint | None, str]  # a node, its type and bounds, and its place
_NUMBERS = frozenset({TokenKind.INT, TokenKind.FLOAT})
_UNDECLARED_ITEMS = 100  # of a list that no place declares: a variable that is not used


@dataclass(slots=True)
class InputBounds:
    """Bounds on the input of one operation; `entries` are the list entries of its literals."""

    entries: int = 0
    checks: dict[str, list[Check]] = field(default_factory=dict)  # by variable

    def check(self, raw: Mapping[str, Any]) -> int:
        """Check the variables and return the list entries of the whole input.

        Raises:
            ValidationFailed: a value is beyond its bound.
        """
        total = self.entries
        for name, checks in self.checks.items():
            value = raw.get(name)
            if value is not None:
                place = f"${name}"
                total += max([check(value, place) for check in checks])
        return total


def check_numbers(document: DocumentNode) -> None:
    """Check every number a document writes, before validation converts any.

    Raises:
        ValidationFailed: a number is too long to be converted, or infinite as a Float.
    """
    token = document.loc.start_token if document.loc is not None else None
    while token is not None:
        text = token.value
        if text is not None and token.kind in _NUMBERS:
            if len(text) > ENUM_CHARACTERS:
                raise ValidationFailed(f"A number has at most {ENUM_CHARACTERS} characters.")
            if not math.isfinite(float(text)):
                raise ValidationFailed("A number is too large.")
        token = token.next


class BoundsReader:
    """Reads the bounds of a valid document's operations; checks its literals on the way."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, checks: Checks) -> None:
        self._schema = schema
        self._checks = checks
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def operation(self, node: OperationDefinitionNode) -> InputBounds:
        """Return the bounds of one operation.

        Raises:
            ValidationFailed: a literal is beyond its bound.
        """
        bounds = InputBounds()
        root = self._schema.get_root_type(node.operation)
        for literal in self._literals(node.selection_set, root, set()):
            bounds.entries += self._read(literal, bounds)
        for variable in node.variable_definitions or ():
            self._read_variable(variable, bounds)
        return bounds

    def _read_variable(self, node: Any, bounds: InputBounds) -> None:
        """Bound a variable used nowhere by its type, and check its default."""
        name = node.variable.name.value
        type_ = type_from_ast(self._schema, node.type)
        checks = bounds.checks.setdefault(name, [])
        if not checks:
            checks.append(self._checks.of(type_, Constraint(max_items=_UNDECLARED_ITEMS)))
        if node.default_value is not None:
            default = value_from_ast_untyped(node.default_value)
            bounds.entries += max(check(default, f"${name}") for check in checks)

    def _literals(
        self, selections: SelectionSetNode | None, type_: Any, seen: set[str]
    ) -> Iterator[Literal]:
        """Yield the arguments of all fields below, those of a fragment once."""
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                yield from self._field(node, type_, seen)
                continue
            fragment: Any = node
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in seen:
                    continue
                seen.add(node.name.value)
                fragment = self._fragments[node.name.value]
            condition = fragment.type_condition
            inner = self._schema.get_type(condition.name.value) if condition else type_
            yield from self._literals(fragment.selection_set, inner, seen)

    def _field(self, node: FieldNode, type_: Any, seen: set[str]) -> Iterator[Literal]:
        definition = self._schema.get_field(type_, node.name.value)
        assert definition is not None  # the document is valid
        for argument in node.arguments or ():
            declared = definition.args[argument.name.value]
            place = f"{node.name.value}.{argument.name.value}"
            yield argument.value, declared.type, constraint_of(declared), place
        if node.selection_set is not None:
            yield from self._literals(node.selection_set, get_named_type(definition.type), seen)

    def _read(self, literal: Literal, bounds: InputBounds) -> int:
        """Check a literal, and note which bounds the variables in it have."""
        node, type_, constraint, place = literal
        type_ = get_nullable_type(type_)
        if isinstance(node, VariableNode):
            check = self._checks.of(type_, constraint)
            bounds.checks.setdefault(node.name.value, []).append(check)
        elif isinstance(node, ListValueNode) and is_list_type(type_):
            _refuse_more(place, "items", len(node.values), _items(constraint))
            parts = ((item, type_.of_type, constraint, place) for item in node.values)
            return len(node.values) + sum(self._read(part, bounds) for part in parts)
        elif isinstance(node, ObjectValueNode) and is_input_object_type(get_named_type(type_)):
            return sum(self._read(part, bounds) for part in _parts(node, type_, place))
        elif isinstance(node, StringValueNode):
            return self._checks.of(type_, constraint)(node.value, place)
        return 0


def _parts(node: ObjectValueNode, type_: Any, place: str) -> Iterator[Literal]:
    """Yield the fields of an object; a list's place is given an object as its only item."""
    fields = get_named_type(type_).fields
    for one in node.fields:
        declared = fields[one.name.value]
        yield one.value, declared.type, constraint_of(declared), f"{place}.{one.name.value}"


class Checks:
    """Checks of raw values by type and bounds, built once per process."""

    def __init__(self) -> None:
        self._inputs: dict[GraphQLInputObjectType, Check] = {}

    def of(self, type_: Any, constraint: Constraint | None) -> Check:
        """Build the check of values of a type at a place with these bounds."""
        type_ = get_nullable_type(type_)
        if is_list_type(type_):
            return _list(self.of(type_.of_type, constraint), _items(constraint))
        if isinstance(type_, GraphQLInputObjectType):
            if type_ not in self._inputs:
                self._inputs[type_] = lambda value, place: self._inputs[type_](value, place)
                self._inputs[type_] = self._object(type_)
            return self._inputs[type_]
        return _leaf(_characters(type_.name, constraint))

    def _object(self, type_: GraphQLInputObjectType) -> Check:
        checks = {
            name: self.of(declared.type, constraint_of(declared))
            for name, declared in type_.fields.items()
        }

        def check(value: Any, place: str) -> int:
            if not isinstance(value, dict):
                return 0  # coercion refuses it
            return sum(
                check_field(value[name], f"{place}.{name}")
                for name, check_field in checks.items()
                if value.get(name) is not None
            )

        return check


def _list(check_item: Check, most: int) -> Check:
    def check(value: Any, place: str) -> int:
        if not isinstance(value, list):
            return check_item(value, place)  # a list of one
        _refuse_more(place, "items", len(value), most)
        return len(value) + sum(check_item(item, place) for item in value)

    return check


def _leaf(most: int) -> Check:
    def check(value: Any, place: str) -> int:
        if isinstance(value, str):
            _refuse_more(place, "characters", len(value), most)
        return 0

    return check


def _refuse_more(place: str, unit: str, actual: int, most: int) -> None:
    if actual > most:
        raise ValidationFailed(f"`{place}` has at most {most} {unit}.")


def _items(constraint: Constraint | None) -> int:
    most = constraint.max_items if constraint is not None else None
    return most if isinstance(most, int) else _UNDECLARED_ITEMS


def _characters(scalar: str, constraint: Constraint | None) -> int:
    most = constraint.max_length if constraint is not None else None
    return most if isinstance(most, int) else SCALAR_CHARACTERS.get(scalar, ENUM_CHARACTERS)
