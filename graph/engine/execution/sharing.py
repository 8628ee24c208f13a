"""What a subscription's events depend on, so that equal subscriptions can share their answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import ListValueNode, ObjectValueNode, ValueNode, VariableNode

from graph.engine.execution.plan import EventTraits, FieldPlan, GroupPlan, walk_fields


def read_event_traits(root: GroupPlan) -> EventTraits:
    """Read the traits off a plan; the root field's own arguments only choose the events."""
    fields = list(walk_fields(child for field in root.fields for child in field.children.values()))
    personal = [field.spec.is_private for field in [*root.fields, *fields]]
    return EventTraits(
        frozenset(name for field in fields for name in _field_variables(field)),
        is_personal=any(personal),
        waits=any(field.waits for field in fields),
    )


def _field_variables(field: FieldPlan) -> Iterator[str]:
    for node in field.nodes:
        for argument in node.arguments or ():
            yield from _value_variables(argument.value)


def _value_variables(value: ValueNode) -> Iterator[str]:
    stack: list[Any] = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, VariableNode):
            yield node.name.value
        elif isinstance(node, ListValueNode):
            stack += node.values
        elif isinstance(node, ObjectValueNode):
            stack += [field.value for field in node.fields]
