"""A field's arguments: read from the document once, or, where variables are used, once per run."""

from __future__ import annotations

from typing import Any

from graphql import FieldNode, GraphQLField, VariableNode
from graphql.execution.values import get_argument_values
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_arguments

from graph.execution.plan import Arguments
from graph.fields import Field


def argument_reader(
    definition: GraphQLField,
    field: Field,
    node: FieldNode,
    config: StrawberryConfig,
    scalars: Any,
) -> Arguments | None:
    """A function from variable values to the field function's keyword arguments.

    Coercion is graphql-core's and Strawberry's own; its errors are the field's errors.
    """
    if not definition.args:
        return None

    def read(variables: Any) -> dict[str, Any]:
        values = get_argument_values(definition, node, variables)
        return convert_arguments(values, field.arguments, scalars, config)

    if _uses_variables(node):
        return read
    constant = read(None)
    return lambda _variables: constant


def _uses_variables(node: FieldNode) -> bool:
    stack: list[Any] = [argument.value for argument in node.arguments or ()]
    while stack:
        value = stack.pop()
        if isinstance(value, VariableNode):
            return True
        stack.extend(getattr(value, "values", None) or ())
        stack.extend(field.value for field in getattr(value, "fields", None) or ())
    return False
