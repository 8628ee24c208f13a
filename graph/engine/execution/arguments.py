"""A field's arguments: read from the document once; what comes from variables, once per run.

Literals, variables and input objects that hold some are read here. Variables in lists, and every
mistake, go through graphql-core and Strawberry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphql import FieldNode, GraphQLField, Undefined, VariableNode, is_non_null_type
from graphql.execution.values import get_argument_values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import StrawberryArgument, convert_arguments

from graph.base.fields import Field
from graph.engine.execution.converters import converter
from graph.engine.execution.literals import ReadLiteral, has_variable, literal_reader
from graph.engine.execution.plan import Arguments
from graph.engine.execution.variables import UndecidedValue

Convert = Callable[[Any], Any] | None  # None: the value stays as it is
Direct = list[tuple[str, str, Convert, bool, bool]]


class _Parts(NamedTuple):
    """Keyword arguments by where they are from: the document, a variable, a literal with some."""

    constants: dict[str, Any]
    direct: Direct
    literals: list[tuple[str, ReadLiteral, Convert]]


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
    if not any(has_variable(value) for value in argument_nodes.values()):
        return _constant_reader(read)
    try:
        parts = _split_arguments(definition, field, argument_nodes, config, scalars)
        return _direct_reader(parts, read)
    except Exception:
        return read  # which raises it at each run, as the field's error


def _constant_reader(read: Arguments) -> Arguments:
    try:
        constant = read(None)
    except Exception:
        return read  # which raises it at each run, as the field's error
    return lambda _variables: constant


def _direct_reader(parts: _Parts, fallback: Arguments) -> Arguments:
    constants, direct, literals = parts

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
        for name, read_literal, convert in literals:
            value = read_literal(coerced)
            keywords[name] = value if convert is None else convert(value)
        return keywords

    if not literals:
        return read

    def read_or_leave(variables: Any) -> dict[str, Any]:
        try:
            return read(variables)
        except UndecidedValue:
            return fallback(variables)

    return read_or_leave


def _split_arguments(
    definition: GraphQLField,
    field: Field,
    argument_nodes: dict[str, Any],
    config: StrawberryConfig,
    scalars: Any,
) -> _Parts:
    """Return literals and defaults by keyword, and what to read from variables.

    Raises:
        UndecidedValue: graphql-core is to read them.
    """
    parts = _Parts({}, [], [])
    for argument in field.arguments:
        public, name = config.name_converter.from_argument(argument), argument.python_name
        declared, node = definition.args[public], argument_nodes.get(public)
        literal = default = coerce_default_value(declared)
        if isinstance(node, VariableNode):
            convert = converter(argument.type, config, scalars)
            required = is_non_null_type(declared.type)
            known = default is not Undefined
            parts.direct.append((node.name.value, name, convert, required, known))
        elif node is not None and has_variable(node):
            convert = converter(argument.type, config, scalars)
            parts.literals.append((name, literal_reader(node, declared.type), convert))
            continue
        elif node is not None:
            literal = coerce_input_literal(node, declared.type)
        if literal is not Undefined:
            parts.constants.update(_convert(argument, public, literal, config, scalars))
    return parts


def _convert(
    argument: StrawberryArgument, public: str, value: Any, config: StrawberryConfig, scalars: Any
) -> dict[str, Any]:
    return convert_arguments({public: value}, [argument], scalars, config)
