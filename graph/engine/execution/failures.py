"""Failures within an answer, until the answer is finished.

Runs share children between parents, so a failure is placed once and its paths are found at the end,
in one walk that only happens when something failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphql import GraphQLError, Undefined, is_list_type, is_non_null_type, located_error
from graphql.pyutils import is_iterable

from graph.engine.error_behavior import ErrorBehavior
from graph.engine.execution.plan import FieldPlan, GroupPlan


class FailedValue:
    """Takes the place of a value that could not be resolved, with the error."""

    __slots__ = ("error", "field")

    def __init__(self, error: Exception, field: FieldPlan) -> None:
        self.error = error
        self.field = field


def null_in_non_null(field: FieldPlan) -> TypeError:
    """Build graphql-core's error for null in a non-null field."""
    return TypeError(f"Cannot return null for non-nullable field {field.parent}.{field.name}.")


def coerce_leaf(
    field: FieldPlan, type_: Any, value: Any, fail: Callable[[Exception, FieldPlan], FailedValue]
) -> Any:
    """Complete a leaf or lists of leaves as graphql-core does; a bad list item fails by itself.

    Raises:
        Exception: the value itself where it is one, or what coercion raises.
    """
    if isinstance(value, Exception):
        raise value
    if is_non_null_type(type_):
        if value is None:
            raise null_in_non_null(field)
        type_ = type_.of_type
    if value is None:
        return None
    if is_list_type(type_):
        if not is_iterable(value):
            raise GraphQLError(
                f"Expected Iterable, but did not find one for field '{field.parent}.{field.name}'."
            )
        return [_coerce_item(field, type_.of_type, item, fail) for item in value]
    coerced = type_.coerce_output_value(value)
    if coerced is Undefined or coerced is None:
        raise TypeError(f"{type_} cannot represent the value of {field.parent}.{field.name}.")
    return coerced


def _coerce_item(
    field: FieldPlan, type_: Any, item: Any, fail: Callable[[Exception, FieldPlan], FailedValue]
) -> Any:
    try:
        return coerce_leaf(field, type_, item, fail)
    except Exception as error:
        return fail(error, field)


class _NullBubble(Exception):
    """A null that its position does not allow: the parent becomes null instead."""


class ErrorBubbler:
    """Turns an answer with failures into data and errors.

    `groups` has each built dict's group by the dict's identity. Only where errors propagate does a
    null that is not allowed reach the parent.

    Source: GraphQL specification, section 6.4.4.
    """

    def __init__(
        self,
        groups: dict[int, GroupPlan],
        behavior: ErrorBehavior = ErrorBehavior.PROPAGATE,
    ) -> None:
        self._groups = groups
        self._propagates = behavior is ErrorBehavior.PROPAGATE
        self.errors: list[GraphQLError] = []

    def root(self, group: GroupPlan, data: dict[str, Any]) -> dict[str, Any] | None:
        """Return the root's data, None where a null reached it, and collect the errors."""
        try:
            return self._object(group, data, [])
        except _NullBubble:
            return None

    def _object(
        self, group: GroupPlan, data: dict[str, Any], path: list[str | int]
    ) -> dict[str, Any]:
        return {
            field.key: self._field(field, data[field.key], [*path, field.key])
            for field in group.fields
            if field.key in data
        }

    def _field(self, field: FieldPlan, value: Any, path: list[str | int]) -> Any:
        return self._position(field, field.type, value, path)

    def _position(self, field: FieldPlan, type_: Any, value: Any, path: list[str | int]) -> Any:
        inner = type_.of_type if is_non_null_type(type_) else type_
        try:
            return self._value(field, inner, value, path)
        except _NullBubble:
            if inner is not type_ and self._propagates:
                raise
            return None

    def _value(self, field: FieldPlan, type_: Any, value: Any, path: list[str | int]) -> Any:
        if isinstance(value, FailedValue):
            self._add_error(field.nodes, value.error, path)
            raise _NullBubble
        if is_list_type(type_) and isinstance(value, list):
            return [
                self._position(field, type_.of_type, item, [*path, index])
                for index, item in enumerate(value)
            ]
        if field.leaf is None and isinstance(value, dict):
            return self._object(self._groups[id(value)], value, path)
        return value

    def _add_error(self, nodes: Sequence[Any], error: Exception, path: list[str | int]) -> None:
        self.errors.append(located_error(error, nodes, path))
