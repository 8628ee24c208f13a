"""A field's arguments: read from the document once; what comes from variables, once per run.

Most arguments are literals or whole variables and are read here. Variables inside literals, and
every mistake, go through graphql-core and Strawberry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import FieldNode, GraphQLField, Undefined, VariableNode, is_non_null_type
from graphql.execution.values import get_argument_values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import StrawberryArgument, convert_arguments

from graph.base.fields import Field
from graph.engine.execution.converters import converter
from graph.engine.execution.plan import Arguments

Direct = list[tuple[str, str, Callable[[Any], Any] | None, bool, bool]]


def argument_reader(
    definition: GraphQLField,
    field: Field,
    node: FieldNode,
    config: StrawberryConfig,
    scalars: Any,
) -> Arguments | None:
    """Build a function from variable values to the field function's keyword arguments.

    What that function raises is the field's error. None: the field takes no arguments.
    """
    if not definition.args:
        return None

    def read(variables: Any) -> dict[str, Any]:
        values = get_argument_values(definition, node, variables)
        return convert_arguments(values, field.arguments, scalars, config)

    argument_nodes = {one.name.value: one.value for one in node.arguments or ()}
    if not any(_has_variable(value) for value in argument_nodes.values()):
        return _constant_reader(read)
    if any(not isinstance(v, VariableNode) and _has_variable(v) for v in argument_nodes.values()):
        return read
    try:
        return _direct_reader(definition, field, argument_nodes, config, scalars, read)
    except Exception:
        return read  # which raises it at each run, as the field's error


def _constant_reader(read: Arguments) -> Arguments:
    try:
        constant = read(None)
    except Exception:
        return read  # which raises it at each run, as the field's error
    return lambda _variables: constant


def _direct_reader(
    definition: GraphQLField,
    field: Field,
    argument_nodes: dict[str, Any],
    config: StrawberryConfig,
    scalars: Any,
    fallback: Arguments,
) -> Arguments:
    constants, direct = _split_arguments(definition, field, argument_nodes, config, scalars)

    def read(variables: Any) -> dict[str, Any]:
        coerced = variables.coerced
        keywords = constants.copy()
        for variable, name, convert, is_required, has_default in direct:
            value = coerced.get(variable, Undefined)
            if value is Undefined:
                if is_required and not has_default:
                    return fallback(variables)
            elif value is None:
                if is_required:
                    return fallback(variables)
                keywords[name] = None
            else:
                keywords[name] = value if convert is None else convert(value)
        return keywords

    return read


def _split_arguments(
    definition: GraphQLField,
    field: Field,
    argument_nodes: dict[str, Any],
    config: StrawberryConfig,
    scalars: Any,
) -> tuple[dict[str, Any], Direct]:
    """Return literals and defaults by keyword, and what to read from which variable."""
    constants: dict[str, Any] = {}
    direct: Direct = []
    for argument in field.arguments:
        public = config.name_converter.from_argument(argument)
        declared, value = definition.args[public], argument_nodes.get(public)
        default = coerce_default_value(declared)
        if isinstance(value, VariableNode):
            convert = converter(argument.type, config, scalars)
            required = is_non_null_type(declared.type)
            known = default is not Undefined
            direct.append((value.name.value, argument.python_name, convert, required, known))
            literal = default
        else:
            literal = default if value is None else coerce_input_literal(value, declared.type)
        if literal is not Undefined:
            constants.update(_convert(argument, public, literal, config, scalars))
    return constants, direct


def _convert(
    argument: StrawberryArgument, public: str, value: Any, config: StrawberryConfig, scalars: Any
) -> dict[str, Any]:
    return convert_arguments({public: value}, [argument], scalars, config)


def _has_variable(value: Any) -> bool:
    stack: list[Any] = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, VariableNode):
            return True
        stack.extend(getattr(one, "values", None) or ())
        stack.extend(field.value for field in getattr(one, "fields", None) or ())
    return False
