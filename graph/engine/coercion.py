"""The values of an operation's variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, GraphQLSchema
from graphql.execution.values import VariableValues, get_variable_values
from strawberry.exceptions import StrawberryInputCoercionError

from graph.engine.documents import Operation

_MAX_ERRORS = 5
_NONE = VariableValues({}, {})


def coerce_variables(
    schema: GraphQLSchema, operation: Operation, raw: Mapping[str, Any]
) -> VariableValues | list[GraphQLError]:
    """Coerce the variables that the client sent; returns up to 5 errors if they do not fit."""
    declared = operation.node.variable_definitions
    if not declared:
        return _NONE
    plain = operation.read_variables(raw)
    if plain is not None:
        return plain
    try:
        return get_variable_values(
            schema, declared, dict(raw), max_errors=_MAX_ERRORS, hide_suggestions=True
        )
    except StrawberryInputCoercionError as error:  # @oneOf is checked by Strawberry alone
        return [GraphQLError(str(error))]
